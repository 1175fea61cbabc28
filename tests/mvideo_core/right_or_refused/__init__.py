"""The cases of docs/right_or_refused.md, a file for each area; tests/mvideo_core/test_right_or_refused.py runs them."""

import pytest

pytest.register_assert_rewrite(
    *(f"{__name__}.{area}" for area in ("cases", "inputs", "captions", "runs", "models", "evaluation"))
)

"""Cases of docs/results/right_or_refused.md, one file per area; run by tests/mvideo_core/test_right_or_refused.py."""

import pytest

pytest.register_assert_rewrite(
    *(f"{__name__}.{area}" for area in ("cases", "inputs", "captions", "runs", "models", "evaluation"))
)

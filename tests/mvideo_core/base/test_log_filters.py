import logging

import pytest

from mvideo_core.base.log_filters import HARMLESS, drop_harmless_lines


@pytest.mark.parametrize("name", HARMLESS)
def test_one_line_is_dropped_and_every_other_is_kept(name: str, caplog: pytest.LogCaptureFixture) -> None:
    drop_harmless_lines()
    logger = logging.getLogger(name)
    logger.warning("%s, and so on", "a line that matters")
    logger.warning(f"before {HARMLESS[name]} after")
    assert caplog.messages == ["a line that matters, and so on"]

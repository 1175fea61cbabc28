"""Keeps diffusers from warning about missing checkpoint parameters if they are the ones this project adds."""

import logging
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager

LOGGER = "diffusers.models.modeling_utils"
_MARK = "are newly initialized: "


@contextmanager
def expect_missing(names: Collection[str]) -> Iterator[None]:
    """Inside the block, diffusers does not warn if a checkpoint lacks only some of `names`; for others it does."""

    def is_unexpected(record: logging.LogRecord) -> bool:
        _, found, listed = record.getMessage().partition(_MARK)
        return not found or not set(re.findall(r"'([^']+)'", listed)) <= set(names)

    logger = logging.getLogger(LOGGER)
    logger.addFilter(is_unexpected)
    try:
        yield
    finally:
        logger.removeFilter(is_unexpected)

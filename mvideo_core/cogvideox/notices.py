"""Keeps diffusers from warning of parameters a checkpoint lacks where those are the ones this project adds."""

import logging
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager

LOGGER = "diffusers.models.modeling_utils"
_MARK = "are newly initialized: "


@contextmanager
def expecting_missing(names: Collection[str]) -> Iterator[None]:
    """Inside, diffusers does not warn of a checkpoint that lacks only some of `names`; of others it does."""

    def unexpected(record: logging.LogRecord) -> bool:
        _, found, listed = record.getMessage().partition(_MARK)
        return not found or not set(re.findall(r"'([^']+)'", listed)) <= set(names)

    logger = logging.getLogger(LOGGER)
    logger.addFilter(unexpected)
    try:
        yield
    finally:
        logger.removeFilter(unexpected)

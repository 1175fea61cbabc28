"""Warnings of missing parameters: silent about the project's own, loud about others."""

import logging
from collections.abc import Iterator

import pytest
from diffusers import CogVideoXTransformer3DModel

from mvideo_core.cogvideox.base import random_base
from mvideo_core.cogvideox.fun_control import plain
from mvideo_core.cogvideox.notices import LOGGER, expect_missing
from mvideo_core.cogvideox.transformer import NEW_PARAMETERS, MVideoTransformer3DModel


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What diffusers' loader says."""
    messages: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger(LOGGER)
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)


def test_a_plain_base_loads_without_a_warning(tmp_path, warnings):
    plain(random_base(parts=("transformer",)).transformer).save_pretrained(tmp_path)
    assert isinstance(CogVideoXTransformer3DModel.from_pretrained(tmp_path), CogVideoXTransformer3DModel)
    MVideoTransformer3DModel.from_pretrained(tmp_path)
    assert warnings == []


def test_other_missing_parameters_are_told(warnings):
    logger = logging.getLogger(LOGGER)
    text = (
        "Some weights of X were not initialized from the model checkpoint at Y and are newly initialized: %s\nYou ..."
    )
    with expect_missing(NEW_PARAMETERS):
        logger.warning(text, ["mask_proj.weight", "norm.weight"])
        logger.warning(text, ["mask_proj.weight"])
        logger.warning("something else")
    logger.warning(text, ["mask_proj.weight"])
    assert [line.split()[0] for line in warnings] == ["Some", "something", "Some"]

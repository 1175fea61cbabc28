import logging

import pytest
import torch

from mvideo_core.cogvideox.base import Base, random_base
from mvideo_core.training.latents.text import embed_texts


@pytest.fixture(scope="module")
def base() -> Base:
    torch.set_num_threads(1)
    return random_base("tiny-sincos", parts=("text_encoder",))


def test_all_rows_are_kept_padding_included(base: Base) -> None:
    found = embed_texts(base.text_encoder, base.tokenizer, ["a dog", ""], 16)
    assert found.shape == (2, 16, 32)
    assert found.dtype == torch.bfloat16
    assert (found.float().abs().sum(dim=2) > 0).all()  # no row is zeroed by a mask


def test_padding_takes_part_in_attention(base: Base) -> None:
    short = embed_texts(base.text_encoder, base.tokenizer, ["a dog"], 8)
    longer = embed_texts(base.text_encoder, base.tokenizer, ["a dog"], 16)
    assert not torch.equal(short[0], longer[0, :8])


def test_a_caption_that_is_too_long_is_cut_and_told(base: Base, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = embed_texts(base.text_encoder, base.tokenizer, ["dog " * 30, "a dog"], 16)
    assert found.shape == (2, 16, 32)
    assert [record.getMessage()[:44] for record in caplog.records] == ["caption of 31 tokens is truncated to 16: dog"]

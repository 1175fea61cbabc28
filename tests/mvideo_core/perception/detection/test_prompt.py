"""Phrases own their tokens: no merging, no cutting, several prompts when one is too long."""

import numpy as np
import pytest
import torch

from mvideo_core.base.errors import ConfigError
from mvideo_core.perception.detection.coco import COCO80
from mvideo_core.perception.detection.groundingdino import bert_tokenizer
from mvideo_core.perception.detection.prompt import build_prompts, phrase_scores

VOCAB = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    ".",
    "?",
    "car",
    "truck",
    "hot",
    "dog",
    "wine",
    "glass",
    "hy",
    "##drant",
]


@pytest.fixture(scope="module")
def tokenizer():
    return bert_tokenizer(VOCAB)


def test_spans_by_hand(tokenizer):
    # [CLS] car . truck . hot dog . dog . hy ##drant . [SEP]
    #   0    1  2   3   4  5   6  7  8  9 10   11   12  13
    (prompt,) = build_prompts(["Car", "truck", "hot  dog", "dog", "hydrant"], tokenizer)
    assert prompt.caption == "car . truck . hot dog . dog . hydrant ."
    assert prompt.n_tokens == 14
    assert prompt.phrases == ("Car", "truck", "hot  dog", "dog", "hydrant")
    expected = np.zeros((5, 256), np.float32)
    expected[0, 1] = expected[1, 3] = expected[3, 8] = 1
    expected[2, [5, 6]] = expected[4, [10, 11]] = 0.5
    np.testing.assert_allclose(prompt.positive_map_KL, expected, atol=1e-6)


def test_car_and_truck_stay_two_classes(tokenizer):
    """A query that fires on both tokens is the better of the two, never a merged 'car truck'."""
    (prompt,) = build_prompts(["car", "truck"], tokenizer)
    logits = torch.full((1, 1, 256), -8.0)
    logits[0, 0, 1], logits[0, 0, 3] = 1.0, 2.0
    scores = phrase_scores(logits, prompt)[0, 0]
    np.testing.assert_allclose(scores, [0.7310586, 0.8807971], atol=1e-6)  # sigmoid(1), sigmoid(2)


def test_hot_dog_is_not_dog(tokenizer):
    """'dog' of 'hot dog' firing alone gives that phrase half its probability and the phrase 'dog' nothing."""
    (prompt,) = build_prompts(["hot dog", "dog", "wine glass"], tokenizer)
    logits = torch.full((1, 1, 256), -30.0)
    logits[0, 0, 2] = 30.0
    np.testing.assert_allclose(phrase_scores(logits, prompt)[0, 0], [0.5, 0.0, 0.0], atol=1e-6)


def test_padded_minus_infinity_counts_as_nothing(tokenizer):
    (prompt,) = build_prompts(["car"], tokenizer)
    logits = torch.full((1, 2, 256), float("-inf"))
    logits[0, 0, 1] = 0.0
    np.testing.assert_allclose(phrase_scores(logits, prompt)[0, :, 0], [0.5, 0.0])


def test_too_long_a_list_becomes_several_prompts(tokenizer):
    # "car . truck ." is 6 tokens with [CLS] and [SEP]; "hot dog ." would make it 9.
    prompts = build_prompts(["car", "truck", "hot dog", "wine glass"], tokenizer, max_text_len=8)
    assert [p.phrases for p in prompts] == [("car", "truck"), ("hot dog", "wine glass")]
    assert [p.n_tokens for p in prompts] == [6, 8]
    assert all(p.positive_map_KL.shape == (2, 8) for p in prompts)
    with pytest.raises(ConfigError, match="'hot dog' alone needs 5 tokens; the model's limit is 4"):
        build_prompts(["hot dog"], tokenizer, max_text_len=4)


@pytest.mark.parametrize(("phrases", "message"), [
    ([], "non-empty list"), ("car", "non-empty list"), (["car", " "], "is empty"), (["traffic.light"], "end a phrase"),
    (["car/truck"], "end a phrase"), (["car", "Car "], "is listed twice"), (["zebra"], "does not know 'zebra'"),
])  # fmt: skip
def test_phrases_that_cannot_be_asked(tokenizer, phrases, message):
    with pytest.raises(ConfigError, match=message):
        build_prompts(phrases, tokenizer)


def test_coco80_is_one_prompt(tiny):
    (prompt,) = build_prompts(COCO80, tiny.tokenizer)
    assert len(COCO80) == len(set(COCO80)) == 80
    assert prompt.n_tokens == 2 + 80 + sum(len(name.split()) for name in COCO80) == 177
    np.testing.assert_allclose(prompt.positive_map_KL.sum(axis=1), 1, atol=1e-6)
    assert ((prompt.positive_map_KL > 0).sum(axis=0) <= 1).all(), "two phrases share a token"

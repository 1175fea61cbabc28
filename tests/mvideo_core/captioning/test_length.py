import pytest

from mvideo_core.captioning.length import cap_text, estimated_tokens
from mvideo_core.errors import ModelError


def test_estimate_by_hand():
    # "A" 1, "dog" 1, "running" 2 (7 letters), "." 1, end mark 1
    assert estimated_tokens("A dog running.") == 6
    assert estimated_tokens("42") == 3
    assert estimated_tokens("é") == 3


def test_short_text_stays_and_white_space_is_one_blank():
    assert cap_text("A dog\n runs.  ") == "A dog runs."


def test_cut_after_the_last_sentence_that_fits():
    text = 'A dog runs. It says "stop!" Then a very long sentence follows here.'
    # "A dog runs." is 1 + (1 + 1 + 1 + 1) = 5; the second sentence adds 1 + 1 + (1 + 1 + 1 + 1) = 6
    assert cap_text(text, 11) == 'A dog runs. It says "stop!"'
    assert cap_text(text, 10) == "A dog runs."


def test_decimal_points_are_no_sentence_ends():
    assert cap_text("It weighs 1.5 tons. And more words.", 11) == "It weighs 1.5 tons."


def test_one_long_sentence_is_cut_between_words_and_closed():
    cut = cap_text("a dog, a cat, a cow, a pig, a hen and a fox", 8)
    # a dog , a cat . and the end mark are 7; "a dog, a cat, a." would be 9
    assert cut == "a dog, a cat."
    assert estimated_tokens(cut) == 7


def test_an_exact_tokenizer_is_used_when_its_folder_is_given(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["<unk>", "</s>", "one.", "two.", "internationalization."]
    raw = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    raw.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="<unk>", eos_token="</s>").save_pretrained(tmp_path)
    text = "internationalization. one. two."  # 3 words and the end mark: 4 tokens; estimated 7 + 2 + 2 + 1
    assert cap_text(text, 4, tmp_path) == text
    assert cap_text(text, 3, tmp_path) == "internationalization. one."
    assert cap_text(text, 8) == "internationalization."


def test_a_missing_tokenizer_is_named(tmp_path):
    with pytest.raises(ModelError, match="no such tokenizer folder"):
        cap_text("a", 8, tmp_path / "absent")
    with pytest.raises(ModelError, match="no tokenizer can be read"):
        cap_text("a", 8, tmp_path)

import pytest

from mvideo_core.base.errors import ModelError
from mvideo_core.perception.captioning.length import cap_text, count_words, estimate_tokens


def test_estimate_by_hand():
    # "A" 1, "dog" 1, "running" 2 (7 letters), "." 1, end mark 1
    assert estimate_tokens("A dog running.") == 6
    assert estimate_tokens("42") == 3
    assert estimate_tokens("é") == 3


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
    assert estimate_tokens(cut) == 7


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
    with pytest.raises(ModelError, match="cannot read a tokenizer"):
        cap_text("a", 8, tmp_path)


@pytest.mark.parametrize(
    ("text", "n_words"),
    [
        ("A dog runs.", 3),
        ("don't stop", 2),
        ("3 dogs, 1.5 m", 5),
        ("一只狗在草地上奔跑", 5),  # 9 letters, two a word
        ("犬が走る。", 2),  # 4 letters
        ("สุนัขวิ่งบนหญ้า", 3),  # 9 letters with their marks, four a word
        ("개가 빨리 뛴다.", 3),  # Korean has blanks
        ("A 狗 runs", 3),
        ("", 0),
        ("...", 0),
    ],
)
def test_words_of_any_script(text, n_words):
    assert count_words(text) == n_words


def test_long_text_without_blanks_is_cut_and_never_lost():
    chinese = "一只狗在草地上奔跑而且不停地追赶着一个红色的球"
    # two tokens a letter, one for the end mark, two for the closing 。: (20 - 1 - 2) // 2 = 8 letters
    assert cap_text(chinese, 20) == "一只狗在草地上奔。"
    assert cap_text("一只狗在草地上奔跑。背景是森林和山脉", 24) == "一只狗在草地上奔跑。"
    thai = cap_text("สุนัขวิ่งบนหญ้าและแมวนอนอยู่ใต้ต้นไม้", 20)
    assert "สุนัขวิ่งบนหญ้าและแมวนอนอยู่ใต้ต้นไม้".startswith(thai)
    assert estimate_tokens(thai) <= 20
    assert thai
    assert cap_text("x" * 400, 20) == "x" * 72 + "."  # 20 - 1 - 1 tokens of four letters

import pytest

from mvideo_core.perception.captioning.clean import (
    CODES,
    REASONS,
    clean_answer,
    cut_at_sentence,
    plain_characters,
    sentences,
)
from mvideo_core.perception.captioning.prompt import DEFAULT_PROMPT

PROSE = (
    "A brown dog runs across a wet meadow toward a low stone wall. It slows down, sniffs at a tuft of grass and looks "
    "back over its shoulder. Behind it, two children in yellow coats walk along a path. The camera stays still."
)


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        "The video shows three animals: a dog, a cat and a cow.",
        "There is no picture on the wall. A dog sleeps below it.",
        "The video is not moving; a dog sits on the grass.",
        "Here is a man who walks. He stops.",
        "A man says \"I'm sorry, I can't\" to a dog.",
        "I can see a dog that runs.",
        "The answer is on the board: a man writes 42.",
        "A man of 1.8 m stands at No. 10. He waves.",
        "A woman types snake_case names and 2 * 3 * 4 on a screen.",
        "The image on the wall is visible behind a sofa.",
        "Unlike the cat, the dog runs.",
        "一只狗在草地上奔跑。背景是森林。",
        "สุนัขวิ่งบนสนามหญ้า",
        "سگ می‌رود.",  # with a zero-width non-joiner, which Persian needs
        "एक कुत्ता दौड़ता है। वह रुकता है।",
        "👩‍👧 A mother and a child walk.",  # a joined emoji
        "The first dog moves to the left. The second dog moves to the left. The third dog stays in place.",
    ],
)
def test_captions_stay_as_they_are(text):
    seen = clean_answer(text, DEFAULT_PROMPT)
    assert (seen.text, seen.codes, seen.reason) == (text, (), "")


@pytest.mark.parametrize(
    ("answer", "text", "code"),
    [
        ("<think>a dog?</think>A dog runs.", "A dog runs.", "thinking"),
        ("<thinking>\n1. a dog\n</thinking>\n<answer>A dog runs.</answer>", "A dog runs.", "thinking"),
        ("[THINK]a dog[/THINK]A dog runs.", "A dog runs.", "thinking"),
        ("A dog, so ...</think>A dog runs.", "A dog runs.", "thinking"),
        ("A dog runs.</s>", "A dog runs.", "special_tokens"),
        ("A dog runs.<|im_end|>\n<|im_start|>user\nMore!", "A dog runs.", "special_tokens"),
        ("<s>[INST] [/INST] A dog runs.", "A dog runs.", "special_tokens"),
        ("ASSISTANT: A dog runs.", "A dog runs.", "special_tokens"),
        ("```\nA dog runs.\n```", "A dog runs.", "code_fence"),
        ('{"description": "A dog runs.", "score": 1}', "A dog runs.", "json"),
        ("**Caption:** A *brown* dog runs.", "A brown dog runs.", "markdown"),
        ("> A [dog](http://x.y) runs.<br>", "A dog runs.", "markdown"),
        ("1. A dog runs.\n2. It stops.", "A dog runs. It stops.", "markdown"),
        ("- A dog runs\n- It stops.", "A dog runs. It stops.", "markdown"),
        ("Caption: A dog runs.", "A dog runs.", "wrapper"),
        ("Description of the video: A dog runs.", "A dog runs.", "wrapper"),
        ("Certainly! Below is a paragraph that describes the video:\n\nA dog runs.", "A dog runs.", "wrapper"),
        ("Based on the frames, here's a caption: a dog runs.", "A dog runs.", "wrapper"),
        ("“A dog runs.”", "A dog runs.", "wrapper"),
        ("A dog runs. I hope this helps!", "A dog runs.", "wrapper"),
        ("好的，以下是视频描述：一只狗在跑。", "一只狗在跑。", "wrapper"),
        ("视频描述：一只狗在跑。", "一只狗在跑。", "wrapper"),
        ("動画の説明：犬が走る。", "犬が走る。", "wrapper"),
        (f"{DEFAULT_PROMPT}\nA dog runs.", "A dog runs.", "echo"),
        ("A dog runs. I'm unable to identify its owner.", "A dog runs.", "disclaimer"),
        ("A dog \ud83d runs.", "A dog runs.", "characters"),
        ("A\u200b dog\u202e run\u00ads\x07.\ufeff", "A dog runs.", "characters"),
        ("A dog\u2028runs.\x85It stops.\x0bIt sits.", "A dog runs. It stops. It sits.", ""),  # all are white space
    ],
)
def test_what_is_not_caption_is_removed_and_named(answer, text, code):
    seen = clean_answer(answer, DEFAULT_PROMPT)
    assert (seen.text, seen.reason) == (text, "")
    assert not code or code in seen.codes
    assert set(seen.codes) <= set(CODES)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "caption_empty"),
        (" \n", "caption_empty"),
        ("...", "caption_empty"),
        ("N/A", "caption_empty"),
        ("\u200b\u2060", "caption_empty"),
        ("<|im_end|>", "caption_empty"),
        ("<think>It is a dog", "caption_thinking"),
        ("<think>It is a dog</think>", "caption_thinking"),
        ('{"objects": [1, 2]}', "caption_not_prose"),
        ('```json\n{"a": 1}\n```', "caption_not_prose"),
        (DEFAULT_PROMPT, "caption_echo"),
        (f"Prompt: {DEFAULT_PROMPT.upper()}", "caption_echo"),
        ("A dog runs. " * 4, "caption_looped"),
        ("A dog runs. " * 3 + "It stops.", "caption_looped"),
        ("and then and then " * 20, "caption_looped"),
        (PROSE * 6, "caption_looped"),
        ("一只狗在跑。" * 5, "caption_looped"),
        ("I'm sorry, but I can't assist with that.", "caption_refused"),
        ("I am unable to view or analyze videos.", "caption_refused"),
        ("I’m not able to watch videos. But a dog may run.", "caption_refused"),
        ("Sorry, I can't do that.", "caption_refused"),
        ("As an AI language model, I cannot see.", "caption_refused"),
        ("Unfortunately, no video was provided.", "caption_refused"),
        ("It seems that no images were attached.", "caption_refused"),
        ("I don't see any frames in your message.", "caption_refused"),
        ("Please upload the video.", "caption_refused"),
        ("You haven't attached a video.", "caption_refused"),
        ("抱歉，我无法查看视频。", "caption_refused"),
        ("作为一个人工智能语言模型，我不能看视频。", "caption_refused"),
        ("申し訳ありませんが、動画を見ることはできません。", "caption_refused"),
        ("죄송하지만 동영상을 볼 수 없습니다.", "caption_refused"),
        ("Es tut mir leid, ich kann keine Videos ansehen.", "caption_refused"),
        ("Je suis désolé, je ne peux pas voir la vidéo.", "caption_refused"),
        ("Lo siento, no puedo ver el video.", "caption_refused"),
        ("Извините, я не могу смотреть видео.", "caption_refused"),
        ("عذراً، لا أستطيع مشاهدة الفيديو.", "caption_refused"),
    ],
)
def test_what_is_no_caption_is_refused_with_its_reason(answer, reason):
    seen = clean_answer(answer, DEFAULT_PROMPT)
    assert (seen.text, seen.reason) == ("", reason)
    assert reason in REASONS


def test_an_answer_at_the_length_limit_ends_with_its_last_whole_sentence():
    seen = clean_answer("A dog runs. It weighs 1.5 tons and", truncated=True)
    assert (seen.text, seen.codes, seen.reason) == ("A dog runs.", ("truncated",), "")
    assert clean_answer("A dog that runs to", truncated=True).reason == "caption_truncated"
    assert clean_answer("狗在跑。它停", truncated=True).text == "狗在跑。"
    whole = clean_answer("A dog runs.", truncated=True)
    assert (whole.text, whole.codes) == ("A dog runs.", ())


def test_a_very_long_answer_is_cut_at_a_sentence():
    seen = clean_answer(" ".join(f"Dog {n} meets cat {n * n}." for n in range(3000)))
    assert seen.codes == ("truncated",)
    assert 19_900 < len(seen.text) <= 20_000
    assert seen.text.endswith(".")


def test_sentences_of_many_scripts():
    assert sentences('He said "stop!" Then 1.5 s passed. 它停了。然后走了！ وقف الكلب؟ वह रुका। end') == [
        'He said "stop!"', "Then 1.5 s passed.", "它停了。", "然后走了！", "وقف الكلب؟", "वह रुका।", "end",
    ]  # fmt: skip
    assert cut_at_sentence("One. Two") == "One."
    assert cut_at_sentence("สุนัขวิ่ง") == ""


def test_half_a_surrogate_pair_goes_and_two_halves_become_one_character():
    assert plain_characters("a\ud83db") == "ab"
    assert plain_characters("a\ud83d\ude00b") == "a😀b"
    plain_characters("a\udfffb").encode()

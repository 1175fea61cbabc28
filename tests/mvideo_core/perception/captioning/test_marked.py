"""Answers of every kind about numbered objects: what is bound to which object, and why the rest is not."""

import json
from pathlib import Path

import numpy as np
import pytest

from mvideo_core.base.errors import MediaError
from mvideo_core.masks.codec import encode
from mvideo_core.masks.measure import areas
from mvideo_core.perception.captioning.base import Answer, CaptionInput, Question
from mvideo_core.perception.captioning.marked import REASONS, caption_and_phrases, phrase_prompt, read_answer

LABELS = {1: "dog", 2: "traffic light"}
DOG = {"number": 1, "class": "dog", "color": "brown", "action": "runs to the left", "place": "left",
       "phrase": "a brown dog that runs to the left"}  # fmt: skip
LIGHT = {"number": 2, "class": "Traffic light", "color": "black", "action": "hangs", "place": "top",
         "phrase": "A black traffic light above the street."}  # fmt: skip
GOOD = f"{json.dumps(DOG)}\n{json.dumps(LIGHT)}"


def read(text, **answer):
    return read_answer(Answer(text, **answer), LABELS)


def phrases(text, **answer):
    """Phrase by number; in brackets, the reason why there is none."""
    return {n: one.get("phrase") or f"({one['reason']})" for n, one in read(text, **answer).items()}


def without(entry, *names, **changes):
    return {name: value for name, value in entry.items() if name not in names} | changes


BOTH = {1: "a brown dog that runs to the left", 2: "A black traffic light above the street"}


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        json.dumps([DOG, LIGHT]),
        json.dumps({"objects": [LIGHT, DOG]}),
        json.dumps({"1": without(DOG, "number"), "#2": without(LIGHT, "number")}),
        json.dumps([without(DOG, number="1"), without(LIGHT, number=" #2 ")]),
        f"Sure! Here are [2] lines {{as asked}}:\n```json\n{GOOD}\n```\nLet me know if you need more.",
        f'<think>{{"number": 3}} no, {{"number": 1}}</think>{GOOD}<|im_end|>',
        GOOD.replace("runs", "runs\\u200b"),
        f"\ufeff{GOOD}",
        json.dumps([DOG, LIGHT], indent=4),
    ],
)
def test_both_are_read_from_any_dress(text):
    assert phrases(text) == BOTH


def test_all_words_come_with_the_phrase():
    assert read(GOOD)[1] == without(DOG, "number", "class")


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("", "(no_json)", "(no_json)"),
        ("A brown dog runs to the left below a traffic light.", "(no_json)", "(no_json)"),
        ("1: a brown dog\n2: a traffic light", "(no_json)", "(no_json)"),
        ("[" * 5000, "(no_json)", "(no_json)"),
        ('{"number": N, "class": "its class", "phrase": "x"}', "(no_json)", "(no_json)"),
        ("I'm sorry, I can't help with that.", "(caption_refused)", "(caption_refused)"),
        (json.dumps(DOG), BOTH[1], "(number_missing)"),
        (GOOD[:-40], BOTH[1], "(number_missing)"),  # cut off at the length limit
        (f"{GOOD}\n{json.dumps(DOG)}", "(number_twice)", BOTH[2]),
        (GOOD.replace('"number": 2', '"number": 1'), "(number_twice)", "(number_missing)"),
        ('{"1": {"class": "dog", "phrase": "a dog"}, "1": {"class": "dog", "phrase": "a cat"}}',
         "(number_twice)", "(number_missing)"),
        (GOOD.replace('"number": 1', '"number": 0'), "(unknown_number)", "(unknown_number)"),
        (f'{GOOD}\n{json.dumps(without(DOG, number=3))}', "(unknown_number)", "(unknown_number)"),
        (GOOD.replace('"number": 1', '"number": 1.0'), "(unknown_number)", "(unknown_number)"),
        (GOOD.replace('"number": 1', '"number": true'), "(unknown_number)", "(unknown_number)"),
        (GOOD.replace('"number": 1', '"number": "one"'), "(unknown_number)", "(unknown_number)"),
        (GOOD.replace('"number": 1', '"number": [1, 2]'), "(unknown_number)", "(unknown_number)"),
        # swapped: each number with the other object's words
        (json.dumps([without(DOG, number=2), without(LIGHT, number=1)]), "(other_class)", "(other_class)"),
        (json.dumps([without(DOG, "class"), LIGHT]), "(other_class)", BOTH[2]),
        (json.dumps([without(DOG, "phrase"), LIGHT]), "(incomplete)", BOTH[2]),
        (json.dumps([without(DOG, phrase="N/A"), LIGHT]), "(incomplete)", BOTH[2]),
        (json.dumps([without(DOG, phrase=None), LIGHT]), "(incomplete)", BOTH[2]),
        (json.dumps([without(DOG, color=["brown"]), LIGHT]), "(incomplete)", BOTH[2]),
        (json.dumps([without(DOG, color="brown " * 40), LIGHT]), "(incomplete)", BOTH[2]),
        ('{"1": "a brown dog", "2": "a traffic light"}', "(incomplete)", "(incomplete)"),
        (GOOD.replace('"color": "brown"', '"color": "brown", "color": "red"'), "(incomplete)", BOTH[2]),
        (json.dumps([without(DOG, phrase="a dog with a yellow outline"), LIGHT]), "(names_marks)", BOTH[2]),
        (json.dumps([without(DOG, phrase="object 1 runs"), LIGHT]), "(names_marks)", BOTH[2]),
        (json.dumps([without(DOG, phrase="I'm sorry, I can't see it"), LIGHT]), "(caption_refused)", BOTH[2]),
        (json.dumps([without(DOG, phrase="a very " * 30 + "big dog"), LIGHT]), "(caption_looped)", BOTH[2]),
        (json.dumps([without(DOG, phrase=" ".join(f"w{n}x" for n in range(41))), LIGHT]), "(too_long)", BOTH[2]),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_bound_to_no_object(text, first, second):
    assert phrases(text) == {1: first, 2: second}


def test_a_refusal_beside_the_text_counts():
    assert phrases("", refusal="no") == {1: "(caption_refused)", 2: "(caption_refused)"}


def test_the_prompt_names_every_number_with_its_class_and_has_no_example_to_copy():
    prompt = phrase_prompt({1: "dog", 2: "dog", 3: "bus"})
    assert "1 (dog), 2 (dog), 3 (bus)" in prompt
    assert phrases(prompt) == {1: "(no_json)", 2: "(no_json)"}


def clip(key="c", labels=("dog", "cat", "dog"), hidden=()):
    masks = np.zeros((4, len(labels), 96, 144), bool)
    for n in range(len(labels)):
        if n not in hidden:
            masks[:, n, 8 + 30 * n : 30 + 30 * n, 10:120] = True
    code = encode(masks)
    return CaptionInput(
        key, 144, 96, 8.0, np.full((4, 96, 144, 3), 90, np.uint8), labels, areas_NT=areas(code).T,
        object_ids=tuple(2 * n for n in range(len(labels))), masks=code,
    )  # fmt: skip


class Model:
    """Answers by script; keeps the texts that it was asked, and the frames."""

    def __init__(self, *answers):
        self.answers, self.asked, self.frames = list(answers), [], []

    def ask(self, questions):
        for n, one in enumerate(questions):
            frames, text = one.make()
            if text == "caption?":
                yield n, Answer("A dog runs.")
                continue
            self.asked.append(text)
            self.frames.append(frames)
            answer = self.answers.pop(0)
            yield n, answer if isinstance(answer, MediaError) else Answer(answer)

    def run(self, *clips):
        caption = lambda clip: Question(clip.key, lambda: (clip.sample(2), "caption?"))  # noqa: E731
        return {n: (outcome, found) for n, outcome, found in caption_and_phrases(self.ask, caption, clips, 2)}


def line(number, label, phrase):
    return json.dumps({"number": number, "class": label, "phrase": phrase})


def test_objects_left_out_are_asked_for_again_alone_with_marks_of_their_own():
    model = Model(f'{line(1, "dog", "the first dog")}\n{line(2, "dog", "a wrong cat")}', "\n".join(
        [line(1, "cat", "the cat"), line(2, "dog", "the second dog")]
    ))  # fmt: skip
    ((outcome, found),) = model.run(clip()).values()
    assert outcome == Answer("A dog runs.")
    assert [(one.object_id, one.label, one.phrase, one.reason) for one in found] == [
        (0, "dog", "the first dog", ""), (2, "cat", "the cat", ""), (4, "dog", "the second dog", ""),
    ]  # fmt: skip
    assert ["1 (dog), 2 (cat), 3 (dog)" in model.asked[0], "1 (cat), 2 (dog)" in model.asked[1]] == [True, True]
    assert (model.frames[1][:, 8:30] == 90).all()  # the first dog is no longer marked
    assert (model.frames[0][:, 8:30] != 90).any()


def test_after_the_second_answer_the_row_says_why():
    model = Model("no", line(1, "dog", "the first dog"))
    ((_, found),) = model.run(clip()).values()
    assert [one.phrase or one.reason for one in found] == ["the first dog", "number_missing", "number_missing"]


def test_an_object_that_no_frame_shows_is_not_asked_for():
    model = Model(line(1, "dog", "x y") + line(2, "dog", "z"))
    ((_, found),) = model.run(clip(hidden=(1,))).values()
    assert [one.reason for one in found] == ["", "out_of_sight", ""]
    assert "cat" not in model.asked[0]


def test_a_clip_without_objects_is_captioned_with_one_question():
    model = Model()
    assert model.run(clip(labels=())) == {0: (Answer("A dog runs."), [])}


def test_a_failed_question_about_objects_fails_that_clip_alone():
    model = Model(MediaError("broken"), line(1, "dog", "a dog"))
    first, second = model.run(clip("a", ("dog",)), clip("b", ("dog",))).values()
    assert isinstance(first[0], MediaError)
    assert (second[0], second[1][0].phrase) == (Answer("A dog runs."), "a dog")


def test_every_reason_is_documented():
    text = (Path(__file__).parents[4] / "docs/reference/captions.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in text for name in REASONS)

"""`openai_compatible` and `transformers_vlm` draw a thin outline and a number on each object in the frames that the
model sees, and ask the model for one line of JSON per number.

Each line must repeat the object's number and its class, so that the phrase is assigned to the right object. Lines that
do not match exactly are dropped, and the model is asked once more about the objects without a line. An object that
still has no valid line gets no phrase. Its `reason` is a word of the table below, or one of the [reasons for rejected
captions](#reasons), such as `caption_refused`. If a request about objects fails, the clip fails, too.
"""

import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import regex

from mvideo_core.base.errors import MediaError
from mvideo_core.base.records import ObjectPhrase
from mvideo_core.masks.marks import draw_marks
from mvideo_core.perception.captioning.base import Answer, CaptionInput, Outcome, Question
from mvideo_core.perception.captioning.clean import clean_answer, final_answer, plain_characters
from mvideo_core.perception.captioning.length import count_words
from mvideo_core.perception.captioning.phrases import OUT_OF_SIGHT

REASONS = {
    OUT_OF_SIGHT: "the object is visible in no frame of the clip, or in none of the frames that the model sees",
    "no_json": "the answer has no line of JSON",
    "number_missing": "the answer leaves the object's number out",
    "number_twice": "the answer has the object's number more than once",
    "unknown_number": "the answer has a number that was not drawn, so none of its numbers can be trusted",
    "other_class": "the answer has another class for the object's number",
    "incomplete": "the line has no phrase, or a field that is not text",
    "names_marks": "the phrase mentions outlines or numbers, which are not in the video",
    "too_long": "the phrase has more than 40 words",
}
"""Why an object has no phrase; besides, the reasons of `clean.REASONS`."""
ROUNDS = 2
"""Objects without a phrase are asked for again, alone, this many times in all."""
MAX_WORDS, MAX_FIELD_CHARS = 40, 80
TOKENS_PER_OBJECT = 120

_MARKS = regex.compile(
    r"(?i)\b(?:out-?lin\w+|numbered|bounding box\w*|(?:number|colou?red) tag)\b"
    r"|\b(?:number|mark|label|object|tag)s? *#? *\d+\b"
)
_NUMBER = regex.compile(r"#?(\d{1,3})")

Ask = Callable[[Sequence[Question]], Generator[tuple[int, Outcome], None, None]]


def phrase_prompt(labels: Mapping[int, str]) -> str:
    """The prompt about numbered objects.

    Args:
        labels: class by number.
    """
    listed = ", ".join(f"{number} ({label})" for number, label in labels.items())
    return (
        "These are frames of one video in order of time. Objects have a thin outline and a number, which stay the same "
        f"in all frames. The objects are: {listed}. "
        "Answer with one line of JSON for each of these numbers and with nothing else, in this form:\n"
        '{"number": N, "class": "its class as given above", "color": "its main color, not that of its outline", '
        '"action": "what it does from beginning to end", "place": "where it is in the picture", '
        '"phrase": "all of that as one short noun phrase"}\n'
        "State only what can be seen. Do not mention numbers or outlines in the texts."
    )


@dataclass
class _Request:
    """One clip: its caption, and the objects that are asked for.

    Attributes:
        open: positions in the clip's labels of the objects without a phrase.
        outcome: the caption; a MediaError if any request about the clip failed.
        waiting: requests without an outcome.
        asked: of the current request, position by number; known once its frames are marked.
    """

    clip: CaptionInput
    n_frames: int
    open: list[int]
    waiting: int
    outcome: Outcome | None = None
    asked: dict[int, int] = field(default_factory=dict)
    found: dict[int, ObjectPhrase] = field(default_factory=dict)

    def question(self) -> Question:
        """The request about all open objects."""
        return Question(self.clip.key, self._make, TOKENS_PER_OBJECT * len(self.open))

    def take(self, outcome: Outcome, is_caption: bool) -> None:
        """Take the outcome of a request; objects that an answer does not settle stay open."""
        self.waiting -= 1
        if is_caption or isinstance(outcome, MediaError):
            self.outcome = self.outcome if isinstance(self.outcome, MediaError) else outcome
            return
        labels = {number: self.clip.labels[n] for number, n in self.asked.items()}
        for number, words in read_answer(outcome, labels).items():
            n = self.asked[number]
            self.found[n] = ObjectPhrase(object_id=self.clip.object_ids[n], label=self.clip.labels[n], **words)
        self.open = [n for n in self.asked.values() if self.found[n].reason]

    def phrases(self) -> list[ObjectPhrase]:
        """One per object of the clip, in order."""
        pairs = zip(self.clip.object_ids, self.clip.labels, strict=True)
        unseen = [ObjectPhrase(object_id=number, label=label, reason=OUT_OF_SIGHT) for number, label in pairs]
        return [self.found.get(n, phrase) for n, phrase in enumerate(unseen)]

    def _make(self) -> tuple[np.ndarray, str]:
        """Marked frames and prompt. Numbers count the open objects from 1."""
        frames_THWC, masks = self.clip.sample(self.n_frames), self.clip.with_masks()
        at = self.clip.choose_frames(self.n_frames)
        if len(at) != len(frames_THWC) or frames_THWC.shape[1:3] != (masks.height, masks.width):
            raise MediaError(f"{self.clip.key}: frames and masks differ in size or number; run the stage segment again")
        masks_TNHW = np.stack([masks.select(self.open).frame(t) for t in at])
        marked_THWC, spots_TN = draw_marks(frames_THWC, masks_TNHW)
        shown = [m for m in range(len(self.open)) if any(spots[m] is not None for spots in spots_TN)]
        self.asked = {m + 1: self.open[m] for m in shown}
        return marked_THWC, phrase_prompt({number: self.clip.labels[n] for number, n in self.asked.items()})


def caption_and_phrases(
    ask: Ask, caption: Callable[[CaptionInput], Question], inputs: Sequence[CaptionInput], n_frames: int
) -> Iterator[tuple[int, Outcome, list[ObjectPhrase]]]:
    """Yield (position in `inputs`, caption, phrases) of each clip once both are there.

    Args:
        ask: sends questions and yields (position, outcome) in any order; its errors pass through.
        caption: the question for a clip's caption.
        inputs: clips with masks.
        n_frames: marked frames per clip.
    """
    requests = []
    for clip in inputs:
        in_sight = _in_sight(clip, n_frames)
        requests.append(_Request(clip, n_frames, in_sight, 2 if in_sight else 1))
    todo = [(n, is_caption) for n, one in enumerate(requests) for is_caption in (True, False)[: one.waiting]]
    for number in range(ROUNDS):
        sent, todo = todo, []
        questions = [caption(inputs[n]) if is_caption else requests[n].question() for n, is_caption in sent]
        with closing(ask(questions)) as outcomes:
            for at, outcome in outcomes:
                n, is_caption = sent[at]
                one = requests[n]
                one.take(outcome, is_caption)
                if one.waiting:
                    continue
                assert one.outcome is not None
                if one.open and number + 1 < ROUNDS and not isinstance(one.outcome, MediaError):
                    one.waiting = 1
                    todo.append((n, False))
                else:
                    yield n, one.outcome, one.phrases()
        if not todo:
            return


def read_answer(answer: Answer, labels: Mapping[int, str]) -> dict[int, dict[str, Any]]:
    """What an answer says about each number: `color`, `action`, `place` and `phrase`, or just a `reason`.

    Args:
        answer: of any form; only JSON in it counts.
        labels: class by number, of all numbers in the frames.
    """
    text = final_answer(answer.text)
    entries = list(_entries(text))
    refused = answer.refusal or (not entries and clean_answer(text).reason == "caption_refused")
    if refused or not entries:
        return {number: {"reason": "caption_refused" if refused else "no_json"} for number in labels}
    numbers = [number for number, _ in entries]
    if set(numbers) - labels.keys():
        return {number: {"reason": "unknown_number"} for number in labels}
    found: dict[int, dict[str, Any]] = {}
    for number, label in labels.items():
        if numbers.count(number) != 1:
            found[number] = {"reason": "number_twice" if number in numbers else "number_missing"}
        else:
            found[number] = _words(dict(entries)[number], label)
    return found


def _words(entry: Any, label: str) -> dict[str, Any]:
    """The texts of one entry, or the reason why it is dropped."""
    names = ("class", "color", "action", "place", "phrase")
    if not isinstance(entry, dict) or any(not isinstance(entry.get(name, ""), str) for name in names):
        return {"reason": "incomplete"}
    texts = {name: " ".join(plain_characters(entry.get(name, "")).split()) for name in names}
    if _plain(texts.pop("class")) != _plain(label):
        return {"reason": "other_class"}
    phrase = clean_answer(texts["phrase"])
    texts["phrase"] = phrase.text.rstrip(".")
    if phrase.reason and phrase.reason != "caption_empty":
        return {"reason": phrase.reason}
    if phrase.reason or any(len(texts[name]) > MAX_FIELD_CHARS for name in ("color", "action", "place")):
        return {"reason": "incomplete"}
    if any(_MARKS.search(one) for one in texts.values()):
        return {"reason": "names_marks"}
    return texts if count_words(texts["phrase"]) <= MAX_WORDS else {"reason": "too_long"}


def _entries(text: str) -> Iterator[tuple[int, Any]]:
    """(number, content) of every entry of all JSON in a text, in order; -1 for a number that is none.

    An entry is an object with the field "number", or a member of an object whose names are all numbers.
    """
    decoder = json.JSONDecoder(object_pairs_hook=_Pairs)
    at = 0
    while (start := min((n for n in (text.find("{", at), text.find("[", at)) if n >= 0), default=-1)) >= 0:
        try:
            value, at = decoder.raw_decode(text, start)
        except ValueError:
            at = start + 1
        except RecursionError:
            return
        else:
            yield from _entries_of(value)


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with every pair, since a name may occur twice."""


def _entries_of(value: Any) -> Iterator[tuple[int, Any]]:
    if not isinstance(value, list):
        return
    if not isinstance(value, _Pairs):
        for one in value:
            yield from _entries_of(one)
        return
    names = [name for name, _ in value]
    if "number" in names:
        content = dict(value) if len(set(names)) == len(names) else None
        yield from ((_number(one), content) for name, one in value if name == "number")
    elif names and all(_NUMBER.fullmatch(name) for name in names):
        for name, one in value:
            fields = [key for key, _ in one] if isinstance(one, _Pairs) else []
            yield _number(name), dict(one) if fields and len(set(fields)) == len(fields) else None
    else:
        for _, one in value:
            yield from _entries_of(one)


def _number(value: Any) -> int:
    if isinstance(value, str) and (match := _NUMBER.fullmatch(value.strip())):
        return int(match[1])
    return value if isinstance(value, int) and not isinstance(value, bool) else -1


def _in_sight(clip: CaptionInput, n_frames: int) -> list[int]:
    """Objects that are visible in the frames sent."""
    at = clip.choose_frames(n_frames) if clip.labels else []
    return [n for n in range(len(clip.labels)) if clip.areas_NT[n][at].any()]


def _plain(text: str) -> str:
    return " ".join(regex.findall(r"[\p{L}\p{N}]+", text.casefold()))

"""Captions in plain English, made by rules from classes and tracks.

They are deterministic, and describe only what the tracks show.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import ClassVar, Self

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import MediaError
from mvideo_core.base.options import Options as AnyOptions
from mvideo_core.base.options import digest
from mvideo_core.base.records import ObjectPhrase
from mvideo_core.perception.captioning.base import CAPTIONERS, Answer, CaptionerOptions, CaptionInput, Outcome
from mvideo_core.perception.captioning.english import (
    LIVING,
    about_seconds,
    count_noun,
    list_phrase,
    ordinal,
    sentence,
    with_article,
)
from mvideo_core.perception.captioning.phrases import measure_phrases
from mvideo_core.perception.captioning.tracks import GROWTH_RATIO, POSE_CHANGE, TrackFacts, movement, track_facts

GRAMMAR = "motion-1"
"""Version of the wording; changes if the same tracks get a different text."""


class MotionOptions(CaptionerOptions):
    """Level of detail of the motion captioner."""

    max_objects: int = Field(
        default=6, ge=1, le=50, description="objects described individually, largest first; the rest are only counted"
    )
    slow_frac_per_s: float = Field(
        default=0.05, gt=0, description="frame diagonals per second below which a movement is called slow"
    )
    fast_frac_per_s: float = Field(
        default=0.25, gt=0, description="frame diagonals per second above which a movement is called quick"
    )
    use_title: bool = Field(
        default=False, description="prepend the source's title, which may say more than the pixels show"
    )


@CAPTIONERS.register("motion")
class MotionCaptioner:
    """Describes the tracks of a clip: which objects, where, which way, how fast, in what order."""

    Options: ClassVar[type[AnyOptions]] = MotionOptions
    model_name = GRAMMAR
    needs_frames = 0
    batch_clips = 1

    def __init__(self, options: MotionOptions):
        self.options = options
        self.prompt_sha256 = digest({"grammar": GRAMMAR, "options": options.model_dump()})

    @classmethod
    def load(cls, options: AnyOptions, device: str = "cpu") -> Self:
        """Nothing to load; `device` is not used."""
        return cls(MotionOptions.model_validate(options.model_dump()))

    @classmethod
    def tiny(cls) -> Self:
        """The captioner itself: it has no weights."""
        return cls(MotionOptions())

    def question(self, clip: CaptionInput) -> str:
        """There is no prompt."""
        return ""

    def caption(self, inputs: Sequence[CaptionInput]) -> Iterator[tuple[int, Outcome]]:
        """One text per clip, in order."""
        yield from ((n, Answer(self.describe(clip))) for n, clip in enumerate(inputs))

    def caption_objects(self, inputs: Sequence[CaptionInput]) -> Iterator[tuple[int, Outcome, list[ObjectPhrase]]]:
        """One text per clip, in order, and a phrase per object from its pixels and track."""
        for n, clip in enumerate(inputs):
            try:
                yield n, Answer(self.describe(clip)), measure_phrases(clip)
            except MediaError as error:
                yield n, error, []

    def describe(self, clip: CaptionInput) -> str:
        """The caption of one clip."""
        facts = [
            track_facts(label, clip.boxes_NT4[n], clip.areas_NT[n], clip.width, clip.height, clip.fps)
            for n, label in enumerate(clip.labels)
        ]
        seen = sorted((fact for fact in facts if fact is not None), key=_description_order)
        title = [sentence(clip.title.strip(" ."))] if self.options.use_title and clip.title.strip(" .") else []
        if not seen:
            return " ".join([*title, "A scene without tracked objects."])
        described = self._largest(seen)
        sentences = [self._object_sentence(fact, name) for fact, name in zip(seen, _names(seen), strict=True)]
        kept = [text for n, text in enumerate(sentences) if n in described]
        return " ".join([*title, *_describe_opening(seen), *kept, *_describe_meeting(seen, clip.width, clip.height)])

    def _largest(self, seen: list[TrackFacts]) -> set[int]:
        by_area = sorted(range(len(seen)), key=lambda n: (-seen[n].area_frac, n))
        return set(by_area[: self.options.max_objects])

    def _object_sentence(self, fact: TrackFacts, name: str) -> str:
        way = self._way(fact)
        extras = _extras(fact)
        if fact.enters_s is not None:
            by = f"enters from the {fact.enters_by}" if fact.enters_by else f"appears {_place(fact.start_xy)}"
            head = f"after {about_seconds(fact.enters_s)} {name} {by} and {way or 'stays there'}"
        elif way:
            head = f"{name} starts {_place(fact.start_xy)} and {way}"
        else:
            head = f"{name} stays {_place(fact.start_xy)}"
        tail = [*extras]
        if fact.gaps:
            tail.append("going out of sight on the way and coming back")
        if fact.leaves_s is not None:
            by = f"leaves by the {fact.leaves_by}" if fact.leaves_by else "goes out of sight"
            return sentence(f"{', '.join([head, *tail])}, then {by} after {about_seconds(fact.leaves_s)}")
        return sentence(", ".join([head, *tail]))

    def _way(self, fact: TrackFacts) -> str:
        """The movement as a verb phrase; "" if it stays in place."""
        pace = ""
        if fact.speed_frac_per_s < self.options.slow_frac_per_s:
            pace = "slowly "
        elif fact.speed_frac_per_s > self.options.fast_frac_per_s:
            pace = "quickly "
        return movement(fact, pace)


def _description_order(fact: TrackFacts) -> tuple[float, float, float, str]:
    return (fact.enters_s or 0.0, -fact.area_frac, fact.start_xy[0], fact.label)


def _names(seen: list[TrackFacts]) -> list[str]:
    """ "the dog", "the second dog", or with "a" if it enters later."""
    totals, used, names = Counter(fact.label for fact in seen), Counter[str](), []
    for fact in seen:
        used[fact.label] += 1
        number = used[fact.label]
        if fact.enters_s is None:
            names.append(f"the {ordinal(number)} {fact.label}" if totals[fact.label] > 1 else f"the {fact.label}")
        else:
            names.append(f"a {ordinal(number)} {fact.label}" if number > 1 else with_article(fact.label))
    return names


def _describe_opening(seen: list[TrackFacts]) -> list[str]:
    counts = Counter(fact.label for fact in seen if fact.enters_s is None)
    if not counts:
        return []
    verb = "is" if sum(counts.values()) == 1 else "are"
    return [sentence(f"{list_phrase([count_noun(label, n) for label, n in counts.items()])} {verb} in view")]


def _place(xy: tuple[float, float]) -> str:
    column = "left" if xy[0] < 1 / 3 else "right" if xy[0] > 2 / 3 else ""
    row = "upper" if xy[1] < 1 / 3 else "lower" if xy[1] > 2 / 3 else ""
    if row and column:
        return f"in the {row} {column}"
    if column:
        return f"on the {column}"
    return {"upper": "at the top", "lower": "at the bottom", "": "in the centre"}[
        row
    ]  # spelling known to the mini models


def _extras(fact: TrackFacts) -> list[str]:
    words = []
    if fact.growth >= GROWTH_RATIO:
        words.append("coming closer to the camera")
    elif fact.growth <= 1 / GROWTH_RATIO:
        words.append("getting farther from the camera")
    if fact.pose_change >= POSE_CHANGE:
        words.append("changing pose" if fact.label in LIVING else "changing shape")
    return words


def _describe_meeting(seen: list[TrackFacts], width: int, height: int) -> list[str]:
    """Whether two objects that are visible throughout come together or move apart; [] for other numbers of objects."""
    if len(seen) != 2 or any(fact.enters_s is not None or fact.leaves_s is not None for fact in seen):
        return []
    size = np.array([width, height], np.float64)
    first, second = seen
    before = np.linalg.norm((np.array(first.start_xy) - second.start_xy) * size) / np.linalg.norm(size)
    after = np.linalg.norm((np.array(first.end_xy) - second.end_xy) * size) / np.linalg.norm(size)
    if before >= 0.2 and after <= before / 2:
        return ["They come together."]
    if after >= 0.2 and before <= after / 2:
        return ["They move apart."]
    return []

"""One evaluation: suite, items with absolute paths, and how to split it into parts for several GPUs."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import digest
from mvideo_core.evaluation.aggregate import GroupKey, group_of
from mvideo_core.evaluation.bars import with_bars
from mvideo_core.evaluation.failed_videos import failure_of
from mvideo_core.evaluation.inputs import read_inputs
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.suite import SuiteOptions

_PART = re.compile(r"(\d+)/(\d+)")


@dataclass(frozen=True, slots=True)
class Part:
    """Part `index` of `count`, zero-based: every count-th item."""

    index: int = 0
    count: int = 1


class EvalPlan(NamedTuple):
    """One evaluation; two with the same digest compute the same scores."""

    suite: SuiteOptions
    items: tuple[EvalItem, ...]

    @property
    def digest(self) -> str:
        """Identifies the notes of finished parts."""
        return digest({"suite": self.suite, "items": list(self.items)})

    def of_part(self, part: Part) -> tuple[EvalItem, ...]:
        """Items of a part."""
        return self.items[part.index :: part.count]


def make_plan(suite: SuiteOptions, manifests: Sequence[str]) -> EvalPlan:
    """Suite and items of all manifests: files or folders of videos, each as PATH or NAME=PATH.

    Raises:
        ConfigError: no manifest, an unreadable one, or two manifests with ambiguous systems or items.
    """
    if not manifests:
        raise ConfigError("eval: nothing to score; give --manifest FILE.jsonl or a folder of videos")
    return plan_of(suite, read_inputs(manifests))


def plan_of(suite: SuiteOptions, items: Sequence[EvalItem]) -> EvalPlan:
    """Suite and items, with the black bars of each system's videos if the suite crops them."""
    return EvalPlan(suite, tuple(with_bars(items) if suite.crop_bars else items))


def parse_part(text: str) -> Part:
    """ "2/8" -> part 2 of parts 0 to 7.

    Raises:
        ConfigError: wrong format, or no such part.
    """
    found = _PART.fullmatch(text)
    part = Part(int(found[1]), int(found[2])) if found else Part(0, 0)
    if not 0 <= part.index < part.count:
        raise ConfigError(f"part {text!r}: expected INDEX/COUNT, INDEX from 0 to COUNT - 1, such as 0/4")
    return part


def shuffle_masks(items: Sequence[EvalItem]) -> dict[tuple[GroupKey, str], EvalItem]:
    """For every item with masks, another item of its group whose masks it is compared with (chance level of mask mIoU).

    Distinct mask files are ordered by the SHA-256 of the first id that has each; every item gets the next file in this
    circle. So nothing is random, no item keeps its own masks, and systems with the same ids get the same pairs.
    Groups with a single mask file have no entry; items whose video could not be generated are left out.
    """
    groups: dict[GroupKey, list[EvalItem]] = {}
    for item in items:
        if item.masks and not failure_of(item.video):
            groups.setdefault(group_of(item), []).append(item)
    pairs: dict[tuple[GroupKey, str], EvalItem] = {}
    for group, members in groups.items():
        first = {item.masks: item for item in sorted(members, key=lambda one: one.id, reverse=True)}
        circle = sorted(first.values(), key=lambda one: hashlib.sha256(one.id.encode()).digest())
        following = {one.masks: circle[(place + 1) % len(circle)] for place, one in enumerate(circle)}
        if len(circle) > 1:
            pairs.update({(group, item.id): following[item.masks] for item in members})
    return pairs

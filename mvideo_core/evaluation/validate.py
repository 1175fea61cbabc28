"""Check every item before using a GPU: missing, broken, or not what a metric expects."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mvideo_core.base.records import Record
from mvideo_core.evaluation.aggregate import GroupKey, group_of
from mvideo_core.evaluation.bars import bars_of
from mvideo_core.evaluation.check_item import Level, check_item
from mvideo_core.evaluation.export import VBENCH_DIMENSIONS
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.plan import EvalPlan
from mvideo_core.evaluation.suite import Prepared, prepare
from mvideo_core.evaluation.video_facts import SAME_SECONDS, facts_from
from mvideo_core.media.probe import MediaInfo

VBENCH_LONG_S = 5.0
"""VBench's authors: VBench ("short") below this length, VBench-Long ("long") at or above it (README-FAQ of VBench)."""

_WORDS = {"prompt": "a prompt", "masks": "masks", "source": "a source_video", "interventions": "interventions"}


class Problem(Record):
    """One finding. An error means the item gets no score; a warning changes what the score means."""

    level: Level
    group: str
    item: str
    message: str


class GroupFacts(Record):
    """Facts about a system's readable videos."""

    group: str
    n_items: int
    n_readable: int
    fps: tuple[float, ...]
    frames: tuple[int, ...]
    sizes: tuple[str, ...]


class Validation(NamedTuple):
    """All problems, and facts about each system's videos."""

    problems: tuple[Problem, ...]
    groups: tuple[GroupFacts, ...]

    @property
    def n_errors(self) -> int:
        """Number of problems that prevent a score."""
        return sum(one.level == "error" for one in self.problems)


def validate(plan: EvalPlan) -> Validation:
    """Probe every video, read every mask, look for black bars in a few frames per system; loads no model.

    Raises:
        ConfigError: unknown metric or option in the suite.
    """
    metrics = prepare(plan.suite)
    problems: list[Problem] = []
    seen: dict[GroupKey, list[MediaInfo]] = {}
    seen_of: dict[tuple[GroupKey, str], MediaInfo] = {}
    sizes: dict[GroupKey, int] = {}
    without = {key: _find_absent(members) for key, members in _members(plan.items).items()}
    for item in plan.items:
        key = group_of(item)
        sizes[key] = sizes.get(key, 0) + 1
        found, info = check_item(item, metrics, without[key])
        problems += [Problem(level=level, group=key.title, item=item.id, message=text) for level, text in found]
        seen.setdefault(key, []).extend([info] if info else [])
        if info is not None:
            seen_of[key, item.id] = info
    facts = [_facts(key, sizes[key], infos) for key, infos in seen.items()]
    declared = _check_declared(plan.items, seen_of)
    between = [
        *declared,
        *_one_file(plan.items),
        *_check_left_out(without, metrics),
        *_protocols(seen, metrics),
        *_check_same_items(plan.items),
        *_check_uneven(facts),
        *_check_differing(facts),
        *_bars(plan),
    ]
    return Validation((*problems, *between), tuple(facts))


def _facts(key: GroupKey, n_items: int, infos: Sequence[MediaInfo]) -> GroupFacts:
    return GroupFacts(
        group=key.title,
        n_items=n_items,
        n_readable=len(infos),
        fps=tuple(sorted({round(info.fps, 3) for info in infos})),
        frames=tuple(sorted({info.n_frames for info in infos})),
        sizes=tuple(sorted({f"{info.width}x{info.height}" for info in infos})),
    )


def _check_declared(items: Sequence[EvalItem], seen: Mapping[tuple[GroupKey, str], MediaInfo]) -> list[Problem]:
    """Systems whose manifest declares a length that differs from the files."""
    wrong: dict[GroupKey, list[tuple[float, float]]] = {}
    for item in items:
        info = seen.get((group_of(item), item.id))
        if info is None or item.seconds is None:
            continue
        measured_s = facts_from(info, item.video).seconds
        if abs(measured_s - item.seconds) >= SAME_SECONDS:
            wrong.setdefault(group_of(item), []).append((item.seconds, measured_s))
    return [
        Problem(
            level="warning", group=key.title, item="",
            message=f"the manifest declares {found[0][0]:g} s, but the file has {found[0][1]:.1f} s ({len(found)} "
            "videos): tables use the files' length",
        )
        for key, found in wrong.items()
    ]  # fmt: skip


def _one_file(items: Sequence[EvalItem]) -> list[Problem]:
    """Systems in which several items have one video file: n would count it several times."""
    holders: dict[tuple[GroupKey, str], list[str]] = {}
    for item in items:
        if item.video:
            holders.setdefault((group_of(item), item.video), []).append(item.id)
    shared: dict[GroupKey, list[list[str]]] = {}
    for (key, _), ids in holders.items():
        if len(ids) > 1:
            shared.setdefault(key, []).append(ids)
    return [
        Problem(
            level="warning", group=key.title, item="",
            message=f"{len(found)} video files belong to several items, such as {found[0][0]!r} and {found[0][1]!r}: n "
            "counts each item",
        )
        for key, found in shared.items()
    ]  # fmt: skip


def _check_uneven(facts: Sequence[GroupFacts]) -> list[Problem]:
    """Systems whose videos differ among themselves."""
    found = []
    for one in facts:
        for what, values in (("frame rates", one.fps), ("frame counts", one.frames), ("sizes", one.sizes)):
            if len(values) > 1:
                text = ", ".join(map(str, values[:6])) + (", ..." if len(values) > 6 else "")
                message = f"{what} differ within the system: {text}"
                found.append(Problem(level="warning", group=one.group, item="", message=message))
    return found


def _check_differing(facts: Sequence[GroupFacts]) -> list[Problem]:
    """Systems with different frame rate, length or size, which affects their scores."""
    found = []
    for what, values in (
        ("frame rate (fps)", {one.group: one.fps for one in facts if one.fps}),
        ("number of frames", {one.group: one.frames for one in facts if one.frames}),
        ("size (px)", {one.group: one.sizes for one in facts if one.sizes}),
    ):
        if len({*values.values()}) > 1:
            text = "; ".join(f"{group} {'/'.join(map(str, seen[:3]))}" for group, seen in values.items())
            message = f"systems differ in {what}, which affects scores: {text}"
            found.append(Problem(level="warning", group="all systems", item="", message=message))
    return found


def _bars(plan: EvalPlan) -> list[Problem]:
    """Systems whose videos have black bars, cropped or not."""
    found: dict[GroupKey, tuple[tuple[int, int, int, int], bool]] = {}
    for item in plan.items:
        if any(item.bars_px):
            found[group_of(item)] = item.bars_px, True
    if not plan.suite.crop_bars:
        found |= {key: (bars, False) for (key, _), bars in bars_of(plan.items).items()}
    problems = []
    for key, (bars, cropped) in found.items():
        above, below, left, right = bars
        what = f"black bars of {above} px above, {below} below, {left} left, {right} right"
        after = "cropped before scoring" if cropped else "scored as part of the video; --set crop_bars=true crops them"
        problems.append(Problem(level="warning", group=key.title, item="", message=f"{what}: {after}"))
    return problems


def _members(items: Sequence[EvalItem]) -> dict[GroupKey, list[EvalItem]]:
    members: dict[GroupKey, list[EvalItem]] = {}
    for item in items:
        members.setdefault(group_of(item), []).append(item)
    return members


def _find_absent(items: Sequence[EvalItem]) -> frozenset[str]:
    """Inputs that none of the items has."""
    fields = {"prompt": "prompt", "masks": "masks", "source": "source_video", "interventions": "interventions"}
    return frozenset(name for name, field in fields.items() if not any(getattr(item, field) for item in items))


def _check_left_out(without: dict[GroupKey, frozenset[str]], metrics: Sequence[Prepared]) -> list[Problem]:
    """Systems that a metric cannot score."""
    found = []
    for key, lacking in without.items():
        for name in sorted(lacking):
            if waiting := [one.name for one in metrics if name in one.inputs]:
                message = f"no item has {_WORDS[name]}, so there are no scores for {', '.join(waiting)}"
                found.append(Problem(level="warning", group=key.title, item="", message=message))
    return found


def _protocols(seen: dict[GroupKey, list[MediaInfo]], metrics: Sequence[Prepared]) -> list[Problem]:
    """Systems whose length calls for VBench's other protocol, if the suite does not include it."""
    found = []
    for key, infos in seen.items():
        for fitting, length, lengths in (
            (
                "long",
                f"from {VBENCH_LONG_S:g} s on",
                [one.duration_s for one in infos if one.duration_s >= VBENCH_LONG_S],
            ),
            (
                "short",
                f"below {VBENCH_LONG_S:g} s",
                [one.duration_s for one in infos if one.duration_s < VBENCH_LONG_S],
            ),
        ):
            mine = [one for one in metrics if one.registered in VBENCH_DIMENSIONS]
            served = {one.registered for one in mine if getattr(one.options, "protocol", fitting) == fitting}
            names = list(dict.fromkeys(one.registered for one in mine if one.registered not in served))
            if lengths and names:
                message = (
                    f"{len(lengths)} videos of {min(lengths):.2f} to {max(lengths):.2f} s: VBench's authors score "
                    f"videos {length} with protocol: {fitting}; this suite does not for {', '.join(names)}"
                )
                found.append(Problem(level="warning", group=key.title, item="", message=message))
    return found


def _check_same_items(items: Sequence[EvalItem]) -> list[Problem]:
    """Systems of one test set with different items: their means are not over the same prompts."""
    ids: dict[str, dict[GroupKey, set[str]]] = {}
    for item in items:
        key = group_of(item)
        ids.setdefault(key.test_set, {}).setdefault(key, set()).add(item.id)
    found = []
    for groups in ids.values():
        every = set().union(*groups.values())
        for key, mine in groups.items():
            if lacking := every - mine:
                message = f"lacks {len(lacking)} items of other systems, such as {min(lacking)!r}"
                found.append(Problem(level="warning", group=key.title, item="", message=message))
    return found

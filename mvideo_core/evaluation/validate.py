"""Check every item before using a GPU: missing, broken, or not what a metric expects."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from mvideo_core.base.errors import MediaError
from mvideo_core.base.listing import is_file
from mvideo_core.base.records import Record
from mvideo_core.evaluation.aggregate import GroupKey, group_of
from mvideo_core.evaluation.bars import bars_of
from mvideo_core.evaluation.control.fit import describe_shapes
from mvideo_core.evaluation.export import VBENCH_DIMENSIONS
from mvideo_core.evaluation.failed_videos import absence_of
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.mask_grid import GridFit, GridMatch, check_match, check_shape, match_frames
from mvideo_core.evaluation.plan import EvalPlan
from mvideo_core.evaluation.suite import Prepared, prepare
from mvideo_core.evaluation.video import EvalVideo, picture_px
from mvideo_core.evaluation.video_facts import SAME_SECONDS, facts_from, frames_in
from mvideo_core.media.probe import MediaInfo

VBENCH_LONG_S = 5.0
"""VBench's authors: VBench ("short") below this length, VBench-Long ("long") at or above it (README-FAQ of VBench)."""

Level = Literal["error", "warning"]
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
    without = {key: _absent(members) for key, members in _members(plan.items).items()}
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
        *_left_out(without, metrics),
        *_protocols(seen, metrics),
        *_between(plan.items),
        *_uneven(facts),
        *_differing(facts),
        *_bars(plan),
    ]
    return Validation((*problems, *between), tuple(facts))


def check_item(
    item: EvalItem, metrics: Sequence[Prepared], without: frozenset[str] = frozenset()
) -> tuple[list[tuple[Level, str]], MediaInfo | None]:
    """Problems of one item, and facts about its video; None if it cannot be read.

    Args:
        without: of "prompt", "masks", "source", "interventions": inputs that no item of the system has; reported once.
    """
    inputs = {name for one in metrics for name in one.inputs} - without
    found: list[tuple[Level, str]] = []
    if "prompt" in inputs and not item.prompt:
        found.append(("error", "no prompt; metrics that need it skip the item"))
    if (absence := absence_of(item.video)) is not None:
        what = "not generated" if absence.status == "failed" else "missing"
        return [*found, ("error", f"{what}: {absence.why}")], None
    video = EvalVideo(item)
    try:
        info = video.info()
    except MediaError as error:
        return [*found, ("error", f"broken: {error}")], None
    found += [problem for one in metrics if "video" in one.inputs for problem in _video_problems(info, one)]
    if "masks" in inputs:
        own = [one for one in metrics if one.inputs >= {"masks", "video"} and not one.shuffled]
        found += _mask_problems(item, video, info, own)
    if "source" in inputs and not is_file(item.source_video):
        found.append(("error", f"source_video {item.source_video or '(none)'} does not exist"))
    if "interventions" in inputs:
        found += _intervention_problems(video)
    return list(dict.fromkeys(found)), info


def _intervention_problems(video: EvalVideo) -> list[tuple[Level, str]]:
    """Edited masks or videos that are missing or do not fit the item's."""
    if not video.item.interventions:
        return [("error", "no interventions; metrics that compare with them leave the item out")]
    found: list[tuple[Level, str]] = []
    for one in video.item.interventions:
        if (absence := absence_of(one.video)) is not None:
            found.append(("error", f"edit {one.edit!r}: {absence.why}"))
        try:
            seen, wanted = video.under(one).masks().shape, video.masks().shape
        except MediaError as error:
            found.append(("error", f"edit {one.edit!r}: {error}"))
            continue
        if seen != wanted:
            found.append(("error", f"edit {one.edit!r}: {describe_shapes(seen, wanted)}"))
    return found


def _video_problems(info: MediaInfo, metric: Prepared) -> list[tuple[Level, str]]:
    found: list[tuple[Level, str]] = []
    least = metric.kind.min_side_px
    if min(info.width, info.height) < least:
        found.append(("error", f"{info.width}x{info.height}: {metric.name} needs at least {least} px on each side"))
    n_frames = frames_in(info)
    if n_frames < metric.kind.min_frames:
        found.append(("error", f"{n_frames} frames: {metric.name} needs at least {metric.kind.min_frames}"))
    if info.rotation_deg:
        found.append(("warning", f"the container specifies a rotation by {info.rotation_deg}; it is not applied"))
    return found


def _mask_problems(
    item: EvalItem, video: EvalVideo, info: MediaInfo, metrics: Sequence[Prepared]
) -> list[tuple[Level, str]]:
    """Mismatches between masks and video, with the messages that scoring would fail with."""
    if not item.masks:
        return [("error", "no masks; metrics that need them skip the item")]
    try:
        masks = video.masks()
    except MediaError as error:
        return [("error", f"masks: {error}")]
    found: list[tuple[Level, str]] = []
    if masks.n_objects == 0 or len(masks.edges) == 0:
        found.append(("error", f"masks of {masks.n_objects} objects, all empty"))
    for one in metrics:
        align: bool | None = getattr(one.options, "align", None)
        fit: GridFit = getattr(one.options, "fit", "same")
        try:
            if info.n_frames:
                match = match_frames(masks.n_frames, video.masks_fps, info.n_frames, info.fps)
                check_match(match, masks.n_frames, video.masks_fps, info.fps, align)
                found += _describe_unmatched(match, one.name)
            check_shape(masks, *picture_px(item, info.height, info.width), item.fit or fit)
        except MediaError as error:
            found.append(("error", f"{one.name}: {error}"))
    return found


def _describe_unmatched(match: GridMatch, name: str) -> list[tuple[Level, str]]:
    """Unmatched masks or frames, where they are allowed."""
    found: list[tuple[Level, str]] = []
    if match.n_unmatched:
        n_frames = len(match.masks) + match.n_unmatched
        found.append(("warning", f"{name}: masks for only {len(match.masks)} of {n_frames} frames"))
    if len(match.lost):
        found.append(("warning", f"{name}: {len(match.lost)} masks after the video's end score 0"))
    return found


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


def _uneven(facts: Sequence[GroupFacts]) -> list[Problem]:
    """Systems whose videos differ among themselves."""
    found = []
    for one in facts:
        for what, values in (("frame rates", one.fps), ("frame counts", one.frames), ("sizes", one.sizes)):
            if len(values) > 1:
                text = ", ".join(map(str, values[:6])) + (", ..." if len(values) > 6 else "")
                message = f"{what} differ within the system: {text}"
                found.append(Problem(level="warning", group=one.group, item="", message=message))
    return found


def _differing(facts: Sequence[GroupFacts]) -> list[Problem]:
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


def _absent(items: Sequence[EvalItem]) -> frozenset[str]:
    """Inputs that none of the items has."""
    fields = {"prompt": "prompt", "masks": "masks", "source": "source_video", "interventions": "interventions"}
    return frozenset(name for name, field in fields.items() if not any(getattr(item, field) for item in items))


def _left_out(without: dict[GroupKey, frozenset[str]], metrics: Sequence[Prepared]) -> list[Problem]:
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


def _between(items: Sequence[EvalItem]) -> list[Problem]:
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

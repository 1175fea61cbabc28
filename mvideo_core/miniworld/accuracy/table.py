"""The report as a plain-text table."""

from collections.abc import Iterator

from mvideo_core.miniworld.accuracy.figures import AccuracyReport, MaskGroup, Score


def as_table(report: AccuracyReport) -> str:
    """Plain lines for a terminal."""
    return "\n".join(f"{name:<34}{value}" if value else f"\n{name}" for name, value in lines_of(report))


def lines_of(report: AccuracyReport) -> Iterator[tuple[str, str]]:
    """(name, value) pairs; a heading has no value."""
    yield from _cuts(report)
    yield from _funnel(report)
    yield from _detection(report)
    yield from _masks(report)
    if report.captions:
        captions = report.captions
        yield f"Captions, {_count(captions.n_clips, 'clip')}", ""
        yield "classes mentioned", _score(captions.classes)
        yield "actions mentioned", _share(captions.actions.hits, captions.actions.hits + captions.actions.misses)
        directions = captions.directions
        yield "directions right / wrong / none", f"{directions.hits} / {directions.false_alarms} / {directions.misses}"


def _cuts(report: AccuracyReport) -> Iterator[tuple[str, str]]:
    if report.cuts:
        yield f"Cuts, within {report.cuts.tolerance_s:g} s", ""
        yield "all", _score(report.cuts.all)
        for kind, score in report.cuts.by_kind.items():
            yield kind, _score(score)


def _funnel(report: AccuracyReport) -> Iterator[tuple[str, str]]:
    funnel = report.funnel
    counts = (funnel.n_videos, "video"), (funnel.n_shots, "shot"), (funnel.n_clips, "clip")
    yield f"Funnel, {', '.join(_count(*one) for one in counts)}", ""
    yield "long shots kept", _share(funnel.long_kept, funnel.long_kept + funnel.long_lost)
    yield "short shots dropped", _share(funnel.short_dropped, funnel.short_dropped + funnel.short_kept)
    yield "clips with a cut inside", _share(funnel.mixed_clips, funnel.n_clips)
    yield "unaccounted shots, failed videos", f"{funnel.unaccounted}, {funnel.failed_videos}"


def _detection(report: AccuracyReport) -> Iterator[tuple[str, str]]:
    found = report.detection
    if found:
        yield f"Detection, {_count(found.n_frames, 'first frame')}, IoU {found.iou_threshold:g}", ""
        yield "all classes", _score(found.all)
        yield "COCO classes located", _share(found.seen.hits, found.seen.hits + found.seen.misses)
        yield "unseen classes located", _share(found.unseen.hits, found.unseen.hits + found.unseen.misses)
        yield "class accuracy (COCO classes)", _rate(found.class_accuracy)
        yield "mean IoU of located", f"{found.mean_iou:.3f}"


def _masks(report: AccuracyReport) -> Iterator[tuple[str, str]]:
    masks = report.masks
    if masks:
        yield f"Masks, {_count(masks.n_clips, 'clip')}, {_count(masks.n_frames, 'frame')}", ""
        yield "followed objects", _group(masks.matched)
        yield "all objects (lost ones as 0)", _group(masks.all)
        yield "passed by the gate", _group(masks.kept)
        for what, groups in (
            ("size", masks.by_size),
            ("visibility", masks.by_occlusion),
            ("class", masks.by_class_kind),
        ):
            yield from ((f"  {what}: {name}", _group(one)) for name, one in groups.items())
        yield "J on the first frame", f"{masks.first_frame_j:.3f}"
        yield "identity kept through crossings", _share(masks.crossings_kept, masks.crossings)
        yield "found again after absence", _share(masks.returns_kept, masks.returns)
        yield "false masklets", str(masks.false_masklets)
        tracking = masks.tracking
        n_visible = tracking.visible.n_objects
        yield f"Tracks, {_count(n_visible, 'object')} visible in any frame", ""
        yield "found", _share(tracking.found, n_visible)
        yield "followed in half of their frames", _share(tracking.mostly_followed, n_visible)
        yield "masks (lost ones as 0)", _group(tracking.visible)
        yield "HOTA, DetA, AssA", f"{tracking.hota:.3f}, {tracking.det_a:.3f}, {tracking.ass_a:.3f}"
        yield "IDF1, identity switches", f"{tracking.idf1:.3f}, {tracking.switches}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _score(score: Score) -> str:
    wanted = score.hits + score.misses
    rates = f"precision {_rate(score.precision)}  recall {_rate(score.recall)}  F1 {_rate(score.f1)}"
    return f"{rates}  ({score.hits} of {wanted}, {score.false_alarms} false)"


def _group(one: MaskGroup) -> str:
    return f"J {one.j:.3f}  F {one.f:.3f}  J&F {one.j_and_f:.3f}  ({one.n_objects})" if one.n_objects else "-"


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole}" + (f"  ({part / whole:.3f})" if whole else "")


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"

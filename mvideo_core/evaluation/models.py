"""Match several models' videos to the samples of one manifest, by id or file name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.listing import exists
from mvideo_core.evaluation.inputs import Input, parse_input, read_inputs
from mvideo_core.evaluation.make_videos import find_video
from mvideo_core.evaluation.manifest import (
    VIDEO_ENDINGS,
    EvalItem,
    absolute_items,
    manifest_of_generated,
    read_manifest,
)
from mvideo_core.evaluation.systems import FolderSystem

NAMES = tuple(f"{name}{ending}" for name in ("{id}", "{prompt}-{seed}", "{prompt}") for ending in VIDEO_ENDINGS)


class Models(NamedTuple):
    """Items of every model, and warnings about the match."""

    items: tuple[EvalItem, ...]
    notices: list[str]


def read_models(texts: Sequence[str], samples: str = "") -> Models:
    """Read the items of every model.

    Args:
        texts: PATH or NAME=PATH: a folder of videos, output of `mvideo generate`, or a manifest.
        samples: manifest with id, prompt and masks of the samples the models were given; "" = use the models' own
            manifests and folders. A sample without a video counts as missing.

    Raises:
        ConfigError: fewer than two models, ambiguous inputs, samples of several systems or variants, a manifest with
            several videos for one sample, or a model without a video of any sample.
    """
    items = read_inputs(texts)
    names = list(dict.fromkeys(item.system for item in items))
    if len(names) < 2:
        raise ConfigError(f"{' '.join(texts)}: {len(names)} model; at least two required: A=PATH B=PATH")
    if not samples:
        return Models(items, [])
    requested = _samples(samples)
    found, notices = [], []
    for text in texts:
        one = parse_input(text)
        own = list(read_inputs([text]))
        systems = sorted({item.system for item in own})
        if len(systems) > 1:
            raise ConfigError(f"{one.path}: has {len(systems)} systems ({', '.join(systems)}); expected one per model")
        matched = _match_samples(one, own, requested, samples)
        found += [item.model_copy(update={"system": systems[0]}) for item in matched]
        notices += _warn_of_unused(systems[0], own, matched, samples)
    return Models(tuple(found), notices)


def _samples(path: str) -> list[EvalItem]:
    items = absolute_items(read_manifest(path))
    systems = sorted({item.system for item in items})
    if len(systems) > 1:
        raise ConfigError(f"{path}: has {len(systems)} systems ({', '.join(systems)}); expected one line per sample")
    _check_once(items, path, ("variant",))
    return items


def _check_once(items: Sequence[EvalItem], path: str, apart: tuple[Literal["variant", "test_set"], ...]) -> None:
    """Check that no id has several lines that differ in `apart`.

    Raises:
        ConfigError: names the id and its variants or test sets.
    """
    for field in apart:
        values: dict[tuple[str, ...], dict[str, None]] = {}
        for item in items:
            others = [getattr(item, other) for other in ("test_set", "variant") if other not in apart]
            values.setdefault((item.id, *others), {})[getattr(item, field)] = None
        for (name, *_), found in values.items():
            if len(found) > 1:
                named = ", ".join(repr(value) for value in found)
                raise ConfigError(
                    f"{path}: the id {name!r} has {len(found)} {field.replace('_', ' ')}s ({named}), but videos ~"
                    f"are matched by id only; give a manifest of one {field.replace('_', ' ')}"
                )


def _match_samples(one: Input, own: Sequence[EvalItem], requested: Sequence[EvalItem], samples: str) -> list[EvalItem]:
    """The samples with this model's videos, matched by id if the model has a manifest, otherwise by file name.

    Raises:
        ConfigError: no sample has a video, or one has several.
    """
    place = Path(one.path).expanduser()
    if place.is_dir() and not (place / "manifest.jsonl").is_file() and manifest_of_generated(place) is None:
        folder = FolderSystem(folder=str(place), names=NAMES)
        videos = {item.id: find_video(folder, item) for item in requested}
        wanted = "{id}.mp4, {prompt}-{seed}.mp4 or {prompt}.mp4"
    else:
        for items, path in ((own, one.path), (requested, samples)):
            _check_once(items, path, ("variant", "test_set"))
        videos = {item.id: item.video for item in own}
        wanted = "the samples' ids"
    there = [item.id for item in requested if exists(videos.get(item.id, ""))]
    if not there:
        raise ConfigError(
            f"{one.path}: no video for any of the {len(requested)} samples, e.g. {requested[0].id!r}; "
            f"expected names: {wanted}"
        )
    mine = {item.id: {"seed": item.seed, "fit": item.fit, "bars_px": item.bars_px} for item in own}
    return [
        item.model_copy(update={"video": videos.get(item.id, ""), "variant": "", **mine.get(item.id, {})})
        for item in requested
    ]


def _warn_of_unused(name: str, own: Sequence[EvalItem], matched: Sequence[EvalItem], samples: str) -> list[str]:
    used = {item.video for item in matched}
    unused = [item.video for item in own if item.video not in used]
    if not unused:
        return []
    such = Path(unused[0]).name
    return [f"{name}: {len(unused)} of {len(own)} videos match no sample of {samples}, e.g. {such}: ignored"]

"""Videos of several models for the samples of one manifest: each model's folder is matched to the samples by name."""

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
    """Items of every model, and what a person should know about the match."""

    items: tuple[EvalItem, ...]
    notices: list[str]


def read_models(texts: Sequence[str], samples: str = "") -> Models:
    """Items of every model.

    Args:
        texts: PATH or NAME=PATH: a folder of videos, an output of `mvideo generate`, or a manifest.
        samples: manifest with id, prompt and masks of what the models were asked for; "" = the models' own manifests
            and folders say it. A sample without a video counts as missing.

    Raises:
        ConfigError: fewer than two models, inputs that cannot be kept apart, samples of several systems or variants, a
            manifest with several videos for one sample, or a model without a video of any sample.
    """
    items = read_inputs(texts)
    names = list(dict.fromkeys(item.system for item in items))
    if len(names) < 2:
        raise ConfigError(f"{' '.join(texts)}: {len(names)} model; two or more are compared: A=PATH B=PATH")
    if not samples:
        return Models(items, [])
    asked = _samples(samples)
    found, notices = [], []
    for text in texts:
        one = parse_input(text)
        own = list(read_inputs([text]))
        systems = sorted({item.system for item in own})
        if len(systems) > 1:
            raise ConfigError(f"{one.path}: has {len(systems)} systems ({', '.join(systems)}); one per model is wanted")
        matched = _match_samples(one, own, asked, samples)
        found += [item.model_copy(update={"system": systems[0]}) for item in matched]
        notices += _warn_of_unused(systems[0], own, matched, samples)
    return Models(tuple(found), notices)


def _samples(path: str) -> list[EvalItem]:
    items = absolute_items(read_manifest(path))
    systems = sorted({item.system for item in items})
    if len(systems) > 1:
        raise ConfigError(f"{path}: has {len(systems)} systems ({', '.join(systems)}); one line per sample is wanted")
    _check_once(items, path, ("variant",))
    return items


def _check_once(items: Sequence[EvalItem], path: str, apart: tuple[Literal["variant", "test_set"], ...]) -> None:
    """Nothing when no id has several lines that differ in `apart`.

    Raises:
        ConfigError: with the id and its lines' variants or test sets.
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
                    f"{path}: the id {name!r} has {len(found)} {field.replace('_', ' ')}s ({named}), and ids alone "
                    f"match videos to samples; give a manifest of one {field.replace('_', ' ')}"
                )


def _match_samples(one: Input, own: Sequence[EvalItem], asked: Sequence[EvalItem], samples: str) -> list[EvalItem]:
    """The samples with this model's videos: by id where the model has a manifest, else by file name.

    Raises:
        ConfigError: none of them has one, or one of them several.
    """
    place = Path(one.path).expanduser()
    if place.is_dir() and not (place / "manifest.jsonl").is_file() and manifest_of_generated(place) is None:
        folder = FolderSystem(folder=str(place), names=NAMES)
        videos = {item.id: find_video(folder, item) for item in asked}
        wanted = "{id}.mp4, {prompt}-{seed}.mp4 or {prompt}.mp4"
    else:
        for items, path in ((own, one.path), (asked, samples)):
            _check_once(items, path, ("variant", "test_set"))
        videos = {item.id: item.video for item in own}
        wanted = "the samples' ids"
    there = [item.id for item in asked if exists(videos.get(item.id, ""))]
    if not there:
        raise ConfigError(
            f"{one.path}: no video of the {len(asked)} samples, such as {asked[0].id!r}; its videos are named {wanted}"
        )
    mine = {item.id: {"seed": item.seed, "fit": item.fit, "bars_px": item.bars_px} for item in own}
    return [
        item.model_copy(update={"video": videos.get(item.id, ""), "variant": "", **mine.get(item.id, {})})
        for item in asked
    ]


def _warn_of_unused(name: str, own: Sequence[EvalItem], matched: Sequence[EvalItem], samples: str) -> list[str]:
    used = {item.video for item in matched}
    unused = [item.video for item in own if item.video not in used]
    if not unused:
        return []
    such = Path(unused[0]).name
    return [f"{name}: {len(unused)} of {len(own)} videos belong to no sample of {samples}, such as {such}: left out"]

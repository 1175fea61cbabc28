"""`mvideo eval lmms-task` writes a test set as a task of [lmms-eval](https://github.com/EvolvingLMMs-Lab/lmms-eval).
lmms-eval asks a model for the videos, and this project scores them. Install `mvideo` in the same environment as
lmms-eval. This was tested with lmms-eval 0.7.3, but not with a real model.

    mvideo eval lmms-task sets/control/manifest.jsonl --out tasks/control
    lmms-eval --include_path tasks/control --tasks mvideo_masks --model MODEL

The first command writes

    mvideo_masks.yaml   the task
    docs.jsonl          one line per video to make: each item, and each of its edits
    manifest.jsonl      the items
    control/<id>.mp4    masks as video, white on black
    results/            scores, as `mvideo eval run` writes them

The model gets each prompt with a video of the masks, and answers with the path of its own video, or with JSON
(`{"videos": [PATH]}`). Items without a video are left out of the mean, with a warning.
"""

# lmms-eval calls the functions below by their names in the task; docs.jsonl has the order of `manifest.flatten_items`.

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from mvideo_core.base.disk import write_whole
from mvideo_core.base.errors import ConfigError
from mvideo_core.editing.mask_files import load_masks
from mvideo_core.evaluation.guides import file_name_of
from mvideo_core.evaluation.manifest import (
    EvalItem,
    absolute_items,
    flatten_items,
    fold_items,
    read_manifest,
    write_manifest,
)
from mvideo_core.evaluation.suite import SuiteOptions, load_suite, prepare
from mvideo_core.masks.io.clip import MaskClip
from mvideo_core.media.encode import write_gray_mp4

log = logging.getLogger(__name__)

TASK = "mvideo_masks"
MIOU, CONTROL = "mvideo_mask_miou", "mvideo_control"
KINDS = {MIOU: "mask_miou", CONTROL: "control_response"}


def write_task(manifest: str, out: Path, suite: str = "control") -> Path:
    """Write a task, and return the path of its YAML file.

    Args:
        manifest: items with prompts and masks; those of `mvideo eval interventions` also give a control score.
        suite: name or YAML file; must have `mask_miou`.

    Raises:
        ConfigError: an item has no masks or no prompt, or the suite lacks a metric. MediaError: masks are damaged.
    """
    items = [one.model_copy(update={"system": "", "variant": ""}) for one in absolute_items(read_manifest(manifest))]
    suite = str(Path(suite).absolute()) if Path(suite).is_file() else suite
    metrics = [MIOU, *([CONTROL] if any(one.interventions for one in items) else [])]
    for name in metrics:
        _name_in(load_suite(suite), name)
    out = out.absolute()
    docs = []
    for one in flatten_items(items):
        prompt = one.prompt_generation or one.prompt
        if not (one.masks and prompt):
            raise ConfigError(f"{manifest}: item {one.id} has no {'prompt' if one.masks else 'masks'}; both are needed")
        control = out / "control" / f"{file_name_of(one.id)}.mp4"
        _write_control(load_masks(one.masks), control)
        docs.append({
            "id": one.id, "prompt": prompt, "masks": one.masks, "control": str(control), "seed": one.seed or 0,
            "seconds": one.seconds or 0.0, "folder": str(out), "suite": suite, "metrics": metrics,
        })  # fmt: skip
    write_manifest(items, out / "manifest.jsonl")
    write_whole(out / "docs.jsonl", "".join(json.dumps(doc, ensure_ascii=False) + "\n" for doc in docs))
    path = out / f"{TASK}.yaml"
    write_whole(path, _task_yaml(out, metrics))
    return path


def doc_to_visual(doc: Mapping[str, Any]) -> list[str]:
    """What a model sees: the masks as video."""
    return [str(doc["control"])]


def doc_to_text(doc: Mapping[str, Any], lmms_eval_specific_kwargs: Any = None) -> str:
    """The prompt."""
    return str(doc["prompt"])


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, dict[str, str]]:
    """The video that a model answers with: a path, or JSON with `video` or `videos`. Scored with all others."""
    answer = {"folder": doc["folder"], "suite": doc["suite"], "id": doc["id"], "video": _path_in(results)}
    return dict.fromkeys(doc["metrics"], answer)


def mask_miou(answers: Iterable[Mapping[str, str]]) -> float | None:
    """Mask mIoU over all unedited items, as tables show it; None if nothing could be scored."""
    return _score(list(answers), MIOU)


def control(answers: Iterable[Mapping[str, str]]) -> float | None:
    """The control score over all items with edited masks, as tables show it (docs/reference/control.md)."""
    return _score(list(answers), CONTROL)


def _score(answers: list[Mapping[str, str]], name: str) -> float | None:
    from mvideo_core.evaluation.plan import plan_of
    from mvideo_core.evaluation.run import run_suite

    folder, suite = Path(answers[0]["folder"]), load_suite(answers[0]["suite"])
    videos = {one["id"]: one["video"] for one in answers}
    items = absolute_items(read_manifest(folder / "manifest.jsonl"))
    flat = [one.model_copy(update={"video": videos.get(one.id, "")}) for one in flatten_items(items)]
    asked = [one for one in fold_items(items, flat) if _is_asked(one, videos)]
    result = run_suite(plan_of(suite, asked), folder / "results", overwrite=True)
    metric = _name_in(suite, name)
    if metric in result.unavailable:
        raise ConfigError(f"{metric} is unavailable: {result.unavailable[metric]}")
    found = result.groups[0].metrics[metric]
    mean = found.mean
    if found.n_missing or found.n_failed:
        log.warning(
            "%s: the mean of %d videos; %d missing and %d failed ones do not count (%s)",
            name, found.n, found.n_missing, found.n_failed, folder / "results",
        )  # fmt: skip
    return None if mean is None else mean * result.metrics[metric].scale


def _is_asked(item: EvalItem, videos: Mapping[str, str]) -> bool:
    """Whether the model was asked for a video of the item: `--limit` leaves items out."""
    return any(one.id in videos for one in flatten_items([item]))


def _path_in(results: Sequence[str]) -> str:
    text = str(results[0]).strip() if results else ""
    if text.startswith("{"):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return ""
        listed = found.get("video") or found.get("videos") or ""
        text = listed if isinstance(listed, str) else str(listed[0]) if isinstance(listed, list) else ""
    return str(Path(text).expanduser().absolute()) if text else ""


def _write_control(clip: MaskClip, path: Path) -> None:
    sequence = clip.sequence
    frames = (sequence.frame(number).any(axis=0) for number in range(sequence.n_frames))
    write_gray_mp4((np.where(frame, np.uint8(255), np.uint8(0)) for frame in frames), path, clip.fps)


def _name_in(suite: SuiteOptions, name: str) -> str:
    """Name in the suite of the plain metric: a video's own masks, the video itself."""
    for one in prepare(suite):
        if one.registered == KINDS[name] and not one.shuffled and "source" not in one.inputs:
            return one.name
    raise ConfigError(f"suite {suite.name}: no metric {KINDS[name]}; use the suite `control`, or add it")


def _task_yaml(out: Path, metrics: Sequence[str]) -> str:
    functions = {"doc_to_visual": "doc_to_visual", "doc_to_text": "doc_to_text", "process_results": "process_results"}
    facts: dict[str, Any] = {
        "task": TASK, "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(out / "docs.jsonl")}},
        "test_split": "test", "output_type": "generate_until", "doc_to_target": "masks",
        "generation_kwargs": {"max_new_tokens": 512}, "metadata": [{"version": 1.0}],
    }  # fmt: skip
    text = yaml.safe_dump(facts, sort_keys=False, allow_unicode=True)
    text += "".join(f"{key}: !function {__name__}.{name}\n" for key, name in functions.items())
    text += "metric_list:\n"
    for name in metrics:
        function = "mask_miou" if name == MIOU else "control"
        text += f"- metric: {name}\n  aggregation: !function {__name__}.{function}\n  higher_is_better: true\n"
    return text

"""The paper's protocol from a finished dataset to table 3, command by command, over clips of every length."""

import json
import re
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from typer.testing import CliRunner

from mvideo_core.base.records import Row
from mvideo_core.cli import main
from mvideo_core.curation.stages.shard import shard_dataset
from mvideo_core.editing.mask_files import load_masks
from mvideo_core.evaluation.manifest import absolute_items, read_manifest
from mvideo_core.evaluation.result import read_result
from mvideo_core.shards.options import ShardOptions
from mvideo_core.store.workspace import Workspace
from tests.mvideo_core.engine import finished
from tests.mvideo_core.generation.conftest import tiny_adapter

LENGTHS = {"a9": 9, "b16": 16, "c17": 17, "d25": 25, "e40": 40}
"""Frames at 8 fps. The system below makes 2 s, so 17: two clips are too short."""


def mvideo(*words: object) -> str:
    done = CliRunner().invoke(main.app, [str(word) for word in words])
    assert done.exit_code == 0, (done.output, done.exception)
    return str(done.output)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished dataset of clips of those lengths, each with a tiger."""
    plain = finished.clip_rows

    def with_tigers(workspace: Workspace, folder: Path, name: str, key: str, n: int) -> dict[str, Row]:
        monkeypatch.setattr(finished, "FRAMES", LENGTHS[name])
        rows: dict[str, Any] = plain(workspace, folder, name, key, n)
        objects = [one.model_copy(update={"label": "tiger"}) for one in rows["segment"].objects]
        return rows | {
            "detect": rows["detect"].model_copy(update={"labels": ["tiger"]}),
            "segment": rows["segment"].model_copy(update={"objects": objects}),
            "caption": rows["caption"].model_copy(update={"text": f"A tiger walks, {name}."}),
        }

    monkeypatch.setattr(finished, "clip_rows", with_tigers)
    held = Workspace(str(tmp_path / "ws"))
    finished.finish(held, tmp_path, dict.fromkeys(LENGTHS, 1))
    shard_dataset(held, ShardOptions(test_frac=0.0))
    return tmp_path / "ws"


@pytest.mark.slow
def test_not_one_sample_is_lost_on_the_way_to_the_table(workspace: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    system = tmp_path / "two-seconds.yaml"
    system.write_text(
        "name: two-seconds\nmvideo:\n  base: {weights: random:tiny-sincos, dtype: fp32}\n"
        f"  adapter: {tiny_adapter(tmp_path / 'adapter')}\n  options: {{seconds: 2, steps: 1}}\n"
    )
    told = mvideo("testset", "mask-to-video", "-w", workspace, "--system", system, "--out", tmp_path / "set")
    assert "3 of 500 samples" in told
    assert "2 clips shorter than 17 frames" in told
    told = mvideo(
        "testset", "manifest", "--testset", tmp_path / "set" / "testset.json", "-w", workspace, "--seconds", 2,
        "--out", tmp_path / "set",
    )  # fmt: skip
    assert told.startswith("3 items: ")
    mvideo(
        "eval", "generate", "--system", system, "--manifest", tmp_path / "set", "--out", tmp_path / "videos"
    )  # fmt: skip
    items = absolute_items(read_manifest(tmp_path / "videos"))
    for item in items:
        with av.open(item.video) as container:
            n_frames = sum(1 for _ in container.decode(video=0))
        assert load_masks(item.masks).sequence.n_frames == n_frames == 17
    metrics = [
        {"metric": "mask_miou"},
        {"metric": "mask_miou", "as": "mini_shuffled", "options": {"pairing": "shuffled"}},
        {"metric": "mask_miou", "as": "mini_source", "options": {"subject": "source", "fit": "stretch"}},
    ]
    (tmp_path / "suite.yaml").write_text(json.dumps({"name": "s_m", "metrics": metrics}))
    mvideo("eval", "run", tmp_path / "videos", "--suite", tmp_path / "suite.yaml", "--out", tmp_path / "result")
    (group,) = read_result(tmp_path / "result").result.groups
    counts = {name: (got.n, got.n_missing + got.n_failed + got.n_inapplicable) for name, got in group.metrics.items()}
    assert counts == {"mini_mask_miou": (3, 0), "mini_shuffled": (3, 0), "mini_source": (3, 0)}
    told = mvideo("eval", "table", 3, "--results", tmp_path / "result")
    assert re.search(r"two-seconds[^|]*\| 2 s x 32 x 64, 8 fps", told)
    assert "ddim, 1 steps, guidance 6, constant guidance" in told


def test_a_length_given_by_hand_goes_over_the_systems(workspace: Path, tmp_path: Path) -> None:
    for words, wanted in (
        (("--min-frames", 40), "4 clips shorter than 40 frames (--min-frames) excluded"),
        ((), "5 clips shorter than 97 frames (12 s of mvideo-5b at 8 fps) excluded"),
        (("--system", "mvideo-mini"), "5 clips shorter than 65 frames (mvideo-mini has no fixed length) excluded"),
    ):
        assert wanted in mvideo("testset", "mask-to-video", "-w", workspace, "--out", tmp_path / "set", *words)

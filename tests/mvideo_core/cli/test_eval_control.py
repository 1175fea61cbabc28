"""A control score from the command line: edited masks, videos of a model that has no masks, the score."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from mvideo_core.base.errors import ConfigError
from mvideo_core.cli.main import app
from mvideo_core.cogvideox.base import random_base, save_base
from mvideo_core.editing.mask_files import save_masks
from mvideo_core.evaluation.manifest import EvalItem, read_manifest, write_manifest
from mvideo_core.masks import encode

HEIGHT, WIDTH, N_FRAMES = 32, 64, 9


def invoke(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["eval", *map(str, words)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """A manifest of two items: a 10 px square that goes right by 2 px a frame and a 6 px one that stays; nothing."""
    area = np.zeros((17, 2, HEIGHT, WIDTH), bool)
    for t in range(17):
        area[t, 0, 4:14, 4 + 2 * t : 14 + 2 * t] = True
    area[:, 1, 22:28, 50:56] = True
    save_masks(tmp_path / "squares.masks", encode(area), 8.0, ["dog", "cat"])
    items = [
        EvalItem(id="squares", prompt="a dog and a cat", seed=3, masks="squares.masks"),
        EvalItem(id="bare", prompt="a dog"),
    ]
    return write_manifest(items, tmp_path / "in.jsonl")


@pytest.mark.slow
def test_a_model_without_masks_has_no_control(masks: Path, tmp_path: Path) -> None:
    """It makes the same video under every edit: gain 0, and no more than chance."""
    code, text = invoke("interventions", masks, "--out", tmp_path / "set", "--seconds", 1)
    assert code == 3
    assert "left out  bare: it has no masks to edit" in text
    assert "1 items, 6 interventions" in text
    assert "1 of 2 items cannot be edited and are left out" in text
    save_base(random_base("tiny-sincos"), tmp_path / "weights")
    system = {"pipeline": "CogVideoXPipeline", "weights": str(tmp_path / "weights"), "dtype": "fp32", "steps": 1}
    system |= {"height_px": HEIGHT, "width_px": WIDTH, "frames": N_FRAMES}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({"name": "tiny", "diffusers": system}))
    words = ("generate", "--system", tmp_path / "tiny.yaml", "--manifest", tmp_path / "set/manifest.jsonl")
    code, text = invoke(*words, "--out", tmp_path / "videos")
    assert code == 0
    assert "squares+shift: generated" in text
    (item,) = read_manifest(tmp_path / "videos/manifest.jsonl").items
    assert [one.edit for one in item.interventions] == ["shift", "scale", "delay", "freeze", "swap", "drop"]
    assert item.interventions[0].masks == "masks/squares+shift.masks"
    assert item.interventions[0].video == "videos/squares+shift/video.mp4"
    assert invoke(*words, "--out", tmp_path / "videos")[1].count("already there") == 7
    code, text = invoke("run", tmp_path / "videos", "--suite", "control", "--out", tmp_path / "out")
    assert code == 0
    assert "| control response (mini) | tiny | 0.00 | 1 | 1 | 0 | 0 |" in text
    (system_row,) = json.loads((tmp_path / "out/control.json").read_text())["control"]
    gains = {name: one["value"] for name, one in system_row["parts"].items() if name.startswith("gain")}
    assert {name: gains[name] for name in ("gain_shift", "gain_scale", "gain_delay", "gain_freeze")} == dict.fromkeys(
        ("gain_shift", "gain_scale", "gain_delay", "gain_freeze"), 0.0
    )
    assert system_row["parts"]["control"]["value"] == 0.0
    assert "## Control" in (tmp_path / "out/control.md").read_text()


def test_videos_of_edits_are_expected_at_names_of_their_own(masks: Path, tmp_path: Path) -> None:
    """Whoever brings videos puts them there; `validate` says what is missing."""
    invoke("interventions", masks, "--out", tmp_path / "set", "--edits", "shift, drop")
    (item,) = read_manifest(tmp_path / "set/manifest.jsonl").items
    assert [one.video for one in item.interventions] == ["videos/squares+shift.mp4", "videos/squares+drop.mp4"]
    code, text = invoke("validate", tmp_path / "set/manifest.jsonl", "--suite", "control")
    assert code == 1
    assert f"{tmp_path}/set/videos/squares.mp4 does not exist" in text
    with pytest.raises(ConfigError, match="edit 'shove': known are shift, scale, delay, freeze, swap, drop"):
        invoke("interventions", masks, "--out", tmp_path / "set", "--edits", "shove")

"""The segment stage with the segmenters of transformers, by the command."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mvideo_core.perception.segmentation import SEGMENTERS
from tests.e2e.tiny import draw_videos, write_models, write_profile


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("segment")
    draw_videos(folder / "videos", 2, shots=1)
    write_profile(folder / "tiny.yaml", write_models(folder / "models"), part_size=2)
    return folder


def mvideo(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MVIDEO_WEIGHTS": str(folder / "none")}
    command = [sys.executable, "-m", "mvideo_core.cli.main", *words, "-p", str(folder / "tiny.yaml")]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize(("name", "more"), [("sam3", {"match_iou": 0}), ("edgetam", {})])
def test_run_with_a_folder_of_random_weights(folder: Path, name: str, more: dict[str, object]) -> None:
    chosen = SEGMENTERS.get(name).tiny(seed=1)
    place = folder / f"random-{name}"
    chosen.model.save_pretrained(place)  # type: ignore[attr-defined]
    if name == "sam3":
        chosen.tokenizer.save_pretrained(place)  # type: ignore[attr-defined]
    options = folder / f"{name}.yaml"
    segment = {"segmenter": name, "segmenter_options": {"weights": str(place), **more}}
    options.write_text(yaml.safe_dump({"segment": segment}))
    ws = folder / f"ws-{name}"
    done = mvideo(folder, "run", "-w", str(ws), "--folder", str(folder / "videos"), "-o", str(options))
    counts = re.findall(r"^(\w+) +(\d+) ok, (\d+) filtered", done.stdout, re.MULTILINE)
    by_name = {stage: (int(ok), int(out)) for stage, ok, out in counts}
    assert by_name["detect"] == by_name["segment"] == (2, 0), done.stdout + done.stderr
    assert by_name["shard"][0] == 2


def test_absent_gated_weights_stop_before_the_first_stage(folder: Path) -> None:
    words = ["--set", "segment.segmenter=sam3", "--set", "segment.segmenter_options.weights=sam3"]
    done = mvideo(folder, "run", "-w", str(folder / "ws"), "--folder", str(folder / "videos"), *words)
    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1
    assert "It is gated (SAM License): first accept its terms at https://huggingface.co/facebook/sam3" in done.stderr
    assert not re.search(r"^ingest +\d+ ok", done.stdout, re.MULTILINE)

"""The segment stage with SAM 3, by the command."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mvideo_core.perception.segmentation.sam3 import Sam3Segmenter
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


@pytest.mark.slow
def test_run_with_a_folder_of_random_weights(folder: Path) -> None:
    chosen, place = Sam3Segmenter.tiny(seed=1), folder / "random-sam3"
    chosen.model.save_pretrained(place)
    chosen.tokenizer.save_pretrained(place)
    options = folder / "sam3.yaml"
    segment = {"segmenter": "sam3", "segmenter_options": {"weights": str(place), "match_iou": 0}}
    options.write_text(yaml.safe_dump({"segment": segment}))
    done = mvideo(folder, "run", "-w", str(folder / "ws"), "--folder", str(folder / "videos"), "-o", str(options))
    counts = re.findall(r"^(\w+) +(\d+) ok, (\d+) filtered", done.stdout, re.MULTILINE)
    by_name = {stage: (int(ok), int(out)) for stage, ok, out in counts}
    assert by_name["detect"] == by_name["segment"] == (2, 0), done.stdout + done.stderr
    assert by_name["shard"][0] == 2

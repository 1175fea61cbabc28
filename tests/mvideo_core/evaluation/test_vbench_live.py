"""The vbench package itself against this project's metrics: full-size networks, same random weights, same files.

    MVIDEO_VBENCH_PYTHON=/path/of/vbench-env/bin/python pytest -m vbench -s tests/mvideo_core/evaluation

docs/reference/metrics.md says how to make the environment. Run by that environment's own Python, imaging quality and
motion smoothness take part too: their networks come from packages in it. Needs 2 GB of disk and some minutes.
"""

import importlib.util
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mvideo_core.evaluation.base import METRICS
from mvideo_core.evaluation.manifest import EvalItem, Manifest
from mvideo_core.evaluation.vbench_backend import VBenchOptions, largest_differences, run_vbench
from mvideo_core.evaluation.video import EvalVideo
from tests.goldens.vbench_inputs import AMT_SEED, MUSIQ_SEED, PROMPTS, VICLIP_SEED, fill, goldens, video_path

PYTHON = os.environ.get("MVIDEO_VBENCH_PYTHON", "")
pytestmark = [pytest.mark.vbench, pytest.mark.skipif(not PYTHON, reason="MVIDEO_VBENCH_PYTHON names no Python")]
ROOT = Path(__file__).parents[3]


def test_stored_numbers_are_what_vbench_gives(tmp_path: Path) -> None:
    """tests/goldens/vbench.json, made again."""
    command = [PYTHON, "-W", "ignore", "-m", "tests.goldens.make_vbench_goldens", "--out", str(tmp_path / "again.json")]
    subprocess.run(command, check=True, cwd=ROOT, env=os.environ | {"VBENCH_CACHE_DIR": str(vocabulary(tmp_path))})
    again, stored = json.loads((tmp_path / "again.json").read_text()), goldens()
    assert again.keys() == stored.keys()
    for name in stored.keys() - {"made_with"}:
        for found, wanted in zip(numbers(again[name]), numbers(stored[name]), strict=True):
            assert found == pytest.approx(wanted, abs=1e-6) if isinstance(wanted, float) else found == wanted


@pytest.mark.parametrize(
    ("dimension", "package"),
    [
        ("temporal_flickering", ""),
        ("motion_smoothness", "vbench"),
        ("imaging_quality", "pyiqa"),
        ("overall_consistency", ""),
    ],
)
def test_full_size_networks_agree(
    dimension: Any, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One video and prompt; both sides read the same file of weights."""
    if package and not importlib.util.find_spec(package):
        pytest.skip(f"{package} is not here; run the tests by the Python of MVIDEO_VBENCH_PYTHON")
    cache = vocabulary(tmp_path)
    monkeypatch.setenv("MVIDEO_WEIGHTS", str(tmp_path / "ours"))
    write = {"overall_consistency": write_viclip, "imaging_quality": write_musiq, "motion_smoothness": write_amt}
    folder = {"overall_consistency": "viclip-l-14", "imaging_quality": "musiq-spaq", "motion_smoothness": "amt-s"}
    if dimension in write:
        write[dimension](cache, tmp_path / "ours" / folder[dimension])
    item = EvalItem(id="tall", video=str(video_path("tall")), prompt=PROMPTS[0])
    options = VBenchOptions(python=PYTHON, dimensions=(dimension,), cache_dir=str(cache))
    theirs = run_vbench(Manifest((item,), ROOT), options).scores
    metric = METRICS.get(dimension).load(METRICS.get(dimension).Options())
    value = metric.score(EvalVideo(item)).value
    print(f"\n{dimension:<20} ours {value!r:<22} vbench {theirs[dimension][1][0]['video_results']!r}")
    ours = {dimension: [0.0, [{"video_path": item.video, "video_results": value}]]}
    assert largest_differences(ours, theirs)[dimension] < 1e-6


def vocabulary(place: Path) -> Path:
    """A cache folder as VBench lays it out, with CLIP's vocabulary out of the other environment's openai-clip."""
    code = "import importlib.util as u; print(u.find_spec('clip').submodule_search_locations[0])"
    found = subprocess.run([PYTHON, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    target = place / "cache" / "ViCLIP" / "bpe_simple_vocab_16e6.txt.gz"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes((Path(found) / target.name).read_bytes())
    return place / "cache"


def write_viclip(cache: Path, ours: Path) -> None:
    """ViCLIP-L/14 with seeded weights, in the public file's layout."""
    import torch

    from mvideo_core.evaluation.networks.viclip import ViClip, ViclipSizes

    path = cache / "ViCLIP" / "ViClip-InternVid-10M-FLT.pth"
    torch.save({"model": fill(ViClip(ViclipSizes()), VICLIP_SEED).state_dict()}, path)
    link(path, ours)
    link(cache / "ViCLIP" / "bpe_simple_vocab_16e6.txt.gz", ours)
    (ours / "config.json").write_text("{}\n")


def write_musiq(cache: Path, ours: Path) -> None:
    """MUSIQ with seeded weights."""
    import torch

    from mvideo_core.evaluation.metrics.imaging_quality import musiq

    path = cache / "pyiqa_model" / "musiq_spaq_ckpt-358bb6af.pth"
    path.parent.mkdir()
    torch.save(fill(musiq(), MUSIQ_SEED).state_dict(), path)
    link(path, ours)


def write_amt(cache: Path, ours: Path) -> None:
    """AMT-S with seeded weights."""
    import torch

    from mvideo_core.evaluation.networks.amt import amt_s

    path = cache / "amt_model" / "amt-s.pth"
    path.parent.mkdir()
    torch.save({"state_dict": fill(amt_s(), AMT_SEED).state_dict()}, path)
    link(path, ours)


def link(path: Path, folder: Path) -> None:
    """The same file in this project's layout."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / path.name).symlink_to(path)


def numbers(value: Any) -> list[Any]:
    """Leaves of nested lists and mappings, in order of their keys."""
    if isinstance(value, dict):
        return [leaf for key in sorted(value) for leaf in numbers(value[key])]
    if isinstance(value, list):
        return [leaf for item in value for leaf in numbers(item)]
    return [value]

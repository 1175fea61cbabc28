"""The bridge to the vbench package: links, prompts, units and errors, against a stand-in package of our own.

The stand-in is a real package in a real child process; it answers with the length of the prompt it was handed.
The comparison with the true package is test_vbench_live.py.
"""

import sys
from pathlib import Path

import pytest

from mvideo_core.base.errors import ConfigError, ModelError
from mvideo_core.evaluation.manifest import EvalItem, Manifest
from mvideo_core.evaluation.vbench_backend import VBenchOptions, largest_differences, read_vbench, run_vbench

STAND_IN = """
import importlib.util, json, os
assert importlib.util.find_spec("networks") is None, "VBench would find this project's networks, not AMT's"
class VBench:
    def __init__(self, device, info, out):
        self.out = out
    def evaluate(self, videos_path, name, prompt_list, dimension_list, mode):
        assert mode == "custom_input"
        scores = {}
        for dimension in dimension_list:
            rows = []
            for file in sorted(os.listdir(videos_path), reverse=True):
                path = os.path.join(videos_path, file)
                rows.append({"video_path": path, "video_results": len(prompt_list[file]) + os.path.getsize(path)})
            scores[dimension] = [sum(row["video_results"] for row in rows) / len(rows), rows]
        with open(os.path.join(self.out, name + "_eval_results.json"), "w") as stream:
            json.dump(scores, stream)
"""


@pytest.fixture
def python(tmp_path: Path) -> str:
    """A Python whose `vbench` is the stand-in."""
    package = tmp_path / "packages" / "vbench"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(STAND_IN)
    about = tmp_path / "packages" / "vbench-0.1.5.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: vbench\nVersion: 0.1.5\n")
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nPYTHONPATH={package.parent} exec {sys.executable} "$@"\n')
    script.chmod(0o755)
    return str(script)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Two videos of 3 and 5 bytes in different folders, one of them with an awkward name; a third is absent."""
    root = tmp_path / "videos"
    (root / "b").mkdir(parents=True)
    (root / "a, b-7.mp4").write_bytes(b"123")
    (root / "b" / "x.mov").write_bytes(b"12345")
    items = (
        EvalItem(id="one", video="a, b-7.mp4", prompt="a cat"),
        EvalItem(id="two", video="b/x.mov", prompt="two dogs run"),
        EvalItem(id="three", video="absent.mp4", prompt="nothing"),
    )
    return Manifest(items, root)


def test_prompts_and_paths_are_the_manifests(python: str, manifest: Manifest) -> None:
    """5 letters + 3 bytes = 8, 12 letters + 5 bytes = 17, mean 12.5; the absent one is told."""
    found = run_vbench(manifest, VBenchOptions(python=python, dimensions=("temporal_flickering",)))
    assert found.scores == {
        "temporal_flickering": [
            12.5,
            [
                {"video_path": str(manifest.root / "a, b-7.mp4"), "video_results": 8},
                {"video_path": str(manifest.root / "b" / "x.mov"), "video_results": 17},
            ],
        ]
    }
    assert found.missing == ["three"]
    assert found.versions["vbench"] == "0.1.5"


def test_absent_weights_are_told_before_anything_downloads(python: str, manifest: Manifest, tmp_path: Path) -> None:
    options = VBenchOptions(python=python, dimensions=("motion_smoothness",), cache_dir=str(tmp_path / "cache"))
    with pytest.raises(ModelError, match=r"cache/amt_model/amt-s\.pth, which is missing"):
        run_vbench(manifest, options)


def test_a_python_without_vbench(manifest: Manifest) -> None:
    with pytest.raises(ModelError, match="vbench is not installed there"):
        run_vbench(manifest, VBenchOptions(python=sys.executable, dimensions=("temporal_flickering",)))


def test_no_python(manifest: Manifest) -> None:
    with pytest.raises(ConfigError, match="cannot be started"):
        run_vbench(manifest, VBenchOptions(python="/no/such/python", dimensions=("temporal_flickering",)))


def test_what_stopped_vbench_is_shown(python: str, manifest: Manifest) -> None:
    init = Path(python).parent / "packages" / "vbench" / "__init__.py"
    init.write_text("from pkg_resources_of_old import packaging\n")
    with pytest.raises(ModelError, match=r"exited with code 1(?s:.*)pkg_resources_of_old"):
        run_vbench(manifest, VBenchOptions(python=python, dimensions=("temporal_flickering",)))


def test_consistency_needs_prompts(python: str, manifest: Manifest, tmp_path: Path) -> None:
    for name in ("ViClip-InternVid-10M-FLT.pth", "bpe_simple_vocab_16e6.txt.gz"):
        (tmp_path / "ViCLIP").mkdir(exist_ok=True)
        (tmp_path / "ViCLIP" / name).touch()
    bare = Manifest(tuple(item.model_copy(update={"prompt": ""}) for item in manifest.items), manifest.root)
    with pytest.raises(ConfigError, match="2 items have no prompt"):
        run_vbench(bare, VBenchOptions(python=python, dimensions=("overall_consistency",), cache_dir=str(tmp_path)))


def test_largest_differences_by_hand(tmp_path: Path) -> None:
    """0.5 against 0.5 and 0.7 against 0.4: 0.3. Videos and dimensions of one side only do not count."""

    def scores(**values: float) -> list[object]:
        return [0.0, [{"video_path": path, "video_results": value} for path, value in values.items()]]

    ours = {"temporal_flickering": scores(a=0.5, b=0.7, c=9.0), "mask_miou": scores(a=1.0)}
    theirs = {"temporal_flickering": scores(a=0.5, b=0.4)}
    assert largest_differences(ours, theirs) == {"temporal_flickering": pytest.approx(0.3)}
    with pytest.raises(ConfigError, match="no video in common"):
        largest_differences(ours, {"temporal_flickering": scores(z=0.5)})
    (tmp_path / "page.json").write_text("[1, 2]")
    with pytest.raises(ConfigError, match="VBench's format"):
        read_vbench(tmp_path / "page.json")

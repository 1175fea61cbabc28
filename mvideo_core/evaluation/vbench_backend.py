"""The same scores computed by the vbench package itself, as a cross-check.

The default tests compare token ids, ViCLIP's parameter names and every score (within 1e-6) with stored results of the
package. vbench requires versions of transformers and numpy that this project cannot use. To run it, create a virtual
environment on top of this project's (so torch is not installed twice):

    python -m venv vbench-env
    echo "$(.venv/bin/python -c 'import site; print(site.getsitepackages()[0])')" \\
      > "$(vbench-env/bin/python -c 'import site; print(site.getsitepackages()[0])')/base.pth"
    vbench-env/bin/pip install --no-deps vbench==0.1.5 openai-clip decord easydict pyiqa==0.1.16 imageio einops \\
      ftfy wcwidth 'setuptools>=77.0.3,<82'

Then compare vbench with this project on full-size networks with random weights (first command,
[output](docs/results/accuracy.md#metrics-against-the-vbench-package)), or on your own videos (the other two). For your
own videos, set `VBENCH_CACHE_DIR` to a folder with the public weights in VBench's layout:

    MVIDEO_VBENCH_PYTHON=vbench-env/bin/python vbench-env/bin/python -m pytest -m vbench -s tests/mvideo_core/evaluation
    mvideo eval run videos.jsonl --suite paper --out result
    mvideo eval vbench videos.jsonl --python vbench-env/bin/python --out vbench.json \\
      --ours result/vbench/SYSTEM_eval_results.json

vbench 0.1.5 reads AMT's published file only with `--trust-pickles`; this project reads only its tensors and executes no
code in it.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field

from mvideo_core.base.errors import ConfigError, ModelError
from mvideo_core.base.listing import is_file
from mvideo_core.base.options import Options
from mvideo_core.evaluation.failed_videos import failure_of
from mvideo_core.evaluation.manifest import EvalItem, Manifest

Dimension = Literal["overall_consistency", "imaging_quality", "motion_smoothness", "temporal_flickering"]
JOB = Path(__file__).with_name("_vbench_job.py")
WEIGHTS = {
    "overall_consistency": ("ViCLIP/ViClip-InternVid-10M-FLT.pth", "ViCLIP/bpe_simple_vocab_16e6.txt.gz"),
    "imaging_quality": ("pyiqa_model/musiq_spaq_ckpt-358bb6af.pth",),
    "motion_smoothness": ("amt_model/amt-s.pth",),
    "temporal_flickering": (),
}
"""Files VBench reads in its cache folder; it would download missing ones without asking."""

Scores = dict[str, list[Any]]
"""{dimension: [aggregate, [{"video_path": ..., "video_results": ...}]]}, as VBench writes it."""


class VBenchOptions(Options):
    """Python environment, dimensions, weights."""

    python: str = Field(min_length=1, description="Python executable of an environment with vbench 0.1.5")
    dimensions: tuple[Dimension, ...] = Field(
        default=("overall_consistency", "imaging_quality", "motion_smoothness", "temporal_flickering"),
        min_length=1,
        description="VBench's names",
    )
    cache_dir: str = Field(
        default="", description="VBench's weights folder; empty = $VBENCH_CACHE_DIR, otherwise ~/.cache/vbench"
    )
    device: str = Field(default="cpu", description="torch device for VBench: cpu or cuda")
    trust_pickles: bool = Field(
        default=False,
        description="let torch.load run code from the weights (vbench 0.1.5 needs this for AMT's published file)",
    )
    timeout_s: float = Field(default=86400, gt=0, description="seconds after which the child process is stopped")


class VBenchRun(NamedTuple):
    """VBench's numbers, package versions, ids of items without a video.

    Videos are identified by absolute paths, as in the exports of `mvideo eval run`.
    """

    scores: Scores
    versions: dict[str, str]
    missing: list[str]


def run_vbench(manifest: Manifest, options: VBenchOptions) -> VBenchRun:
    """VBench's own scores of every existing video in a manifest.

    Videos are linked under plain names and prompts passed separately, so file names and folders do not matter.

    Raises:
        ConfigError: no videos, no such Python, or an item without a prompt if overall_consistency is requested.
        ModelError: vbench or weights are missing there, or VBench failed; the message ends with its last lines.
    """
    cache = _cache(options)
    _check_environment(options, cache)
    paths = {item: manifest.path(item.video) for item in manifest.items}
    there = {item: bool(path) and is_file(path) and not failure_of(path) for item, path in paths.items()}
    present = [item for item in manifest.items if there[item]]
    missing = [item.id for item in manifest.items if not there[item]]
    if not present:
        raise ConfigError(f"vbench: none of the {len(manifest.items)} videos exists; see `mvideo eval validate`")
    unprompted = [item.id for item in present if not item.prompt.strip()]
    if unprompted and "overall_consistency" in options.dimensions:
        raise ConfigError(
            f"vbench: {len(unprompted)} items have no prompt ({unprompted[:3]}); add it or drop the metric"
        )
    with tempfile.TemporaryDirectory(prefix="vbench-") as folder:
        scores, versions = _run_job(Path(folder), manifest, present, options, cache)
    return VBenchRun(scores, versions, missing)


def read_vbench(path: str | Path) -> Scores:
    """Read scores from a file in VBench's format.

    Raises:
        ConfigError: no such file, or wrong content.
    """
    try:
        scores = json.loads(Path(path).read_text(encoding="utf-8"))
        return {name: [aggregate, list(rows)] for name, (aggregate, rows) in scores.items()}
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; `mvideo eval run` writes vbench/<system>_eval_results.json") from None
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise ConfigError(f"{path}: not scores in VBench's format: {error}") from None


def largest_differences(ours: Mapping[str, Sequence[Any]], theirs: Mapping[str, Sequence[Any]]) -> dict[str, float]:
    """Dimension -> largest difference over shared videos, for two files in VBench's format.

    Raises:
        ConfigError: a shared dimension without a shared video.
    """
    found = {}
    for dimension in sorted(set(ours) & set(theirs)):
        mine, other = (
            {row["video_path"]: float(row["video_results"]) for row in scores[dimension][1]}
            for scores in (ours, theirs)
        )
        if not mine.keys() & other.keys():
            raise ConfigError(f"vbench: {dimension}: no video in common, {list(mine)[:1]} and {list(other)[:1]}")
        found[dimension] = max(abs(mine[path] - other[path]) for path in mine.keys() & other.keys())
    return found


def _run_job(
    folder: Path, manifest: Manifest, items: Sequence[EvalItem], options: VBenchOptions, cache: Path
) -> tuple[Scores, dict[str, str]]:
    videos, out = folder / "videos", folder / "out"
    videos.mkdir()
    out.mkdir()
    names = {f"{index:06d}.mp4": item for index, item in enumerate(items)}
    for name, item in names.items():
        (videos / name).symlink_to(manifest.path(item.video))
    job = {
        "videos": str(videos),
        "prompts": {name: item.prompt for name, item in names.items()},
        "dimensions": list(options.dimensions),
        "device": options.device,
        "out": str(out),
    }
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    _child([options.python, str(JOB), str(folder / "job.json")], options, cache)
    result = out / "job_eval_results.json"
    if not result.is_file():
        raise ModelError(f"vbench: it succeeded but wrote no {result.name}; is the version 0.1.5?")
    scores: Scores = json.loads(result.read_text(encoding="utf-8"))
    for _, rows in scores.values():
        for row in rows:
            row["video_path"] = manifest.path(names[Path(row["video_path"]).name].video)
        rows.sort(key=lambda row: str(row["video_path"]))
    return scores, json.loads((out / "versions.json").read_text(encoding="utf-8"))


def _check_environment(options: VBenchOptions, cache: Path) -> None:
    for dimension in options.dimensions:
        for name in WEIGHTS[dimension]:
            if not (cache / name).is_file():
                raise ModelError(
                    f"vbench: {dimension} reads {cache / name}, which is missing; copy it there (`mvideo weights list` "
                    "shows its source), or set VBENCH_CACHE_DIR to VBench's weights folder"
                )
    _child([options.python, "-c", "import importlib.metadata as m; m.version('vbench')"], options, cache)


def _child(command: list[str], options: VBenchOptions, cache: Path) -> None:
    """Run a command in the other environment until it ends."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    environment["VBENCH_CACHE_DIR"] = str(cache)
    if options.trust_pickles:
        environment["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=options.timeout_s, env=environment,
            check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except OSError as error:
        raise ConfigError(f"vbench: {options.python} cannot be started: {error.strerror}; set `python`") from None
    except subprocess.TimeoutExpired:
        raise ModelError(f"vbench: stopped after {options.timeout_s:g} s; increase timeout_s") from None
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-6:])
        raise ModelError(f"vbench: {options.python} exited with code {done.returncode}; {_advice(last)}\n{last}")


def _advice(last_lines: str) -> str:
    if "PackageNotFoundError" in last_lines or "No module named 'vbench'" in last_lines:
        return "vbench is not installed there; see docs/reference/metrics.md. Last lines:"
    if "pkg_resources" in last_lines:
        return "vbench needs setuptools below 82: pip install 'setuptools>=77.0.3,<82'. Last lines:"
    if "weights_only" in last_lines.lower():
        return "the weights contain pickled objects; set trust_pickles if you trust the file. Last lines:"
    return "last lines:"


def _cache(options: VBenchOptions) -> Path:
    return Path(options.cache_dir or os.environ.get("VBENCH_CACHE_DIR") or "~/.cache/vbench").expanduser().absolute()

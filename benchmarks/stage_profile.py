"""Where the seconds of each stage go, per item: decode, resize, network, encode, disk, Python, waiting.

    python -m benchmarks.stage_profile               # two rendered videos, profile mini; build/bench/stages.html
    python -m benchmarks.stage_profile --folder videos/ --profile mini

Runs the pipeline stage by stage in one process and samples its stack every few milliseconds. A sample belongs to the
innermost function that the table `RULES` knows; a wait counts only if no other thread works. Reading frames from
ffmpeg's pipe is decoding, also while ffmpeg is slower than we are. CPU seconds are exact: this process and its
children.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks import regression
from mvideo_core.base.one_line import errors_in_one_line
from mvideo_core.curation.ingest.sources import SourceOptions
from mvideo_core.curation.pipeline import load_profile, stages_to_run
from mvideo_core.curation.stages.sources import plan_sources
from mvideo_core.engine import STAGES
from mvideo_core.engine.run import run_stage
from mvideo_core.miniworld.world import make_world
from mvideo_core.pages.kit import page_html
from mvideo_core.store.workspace import Workspace

PAGE = Path("build/bench/stages.html")
INTERVAL_S = 0.005
KINDS = ("decode", "resize", "network", "encode", "disk", "Python", "waiting")
RULES: tuple[tuple[str, str, str], ...] = (
    ("waiting", "/threading.py", ""),
    ("waiting", "/concurrent/futures/", ""),
    ("waiting", "/queue.py", ""),
    ("decode", "/scenes/stream.py", ""),
    ("decode", "/media/decode.py", ""),
    ("decode", "/media/probe.py", ""),
    ("decode", "/processes/sandbox.py", ""),
    ("encode", "/media/encode.py", ""),
    ("encode", "/scenes/clip_writer", ""),
    ("encode", "/masks/packing.py", ""),
    ("encode", "/masks/codec.py", ""),
    ("resize", "", "resize"),
    ("resize", "", "interpolate"),
    ("disk", "/base/disk.py", ""),
    ("disk", "/base/digests.py", ""),
    ("disk", "/base/locks.py", ""),
    ("disk", "/engine/growing_file.py", ""),
    ("disk", "/store/", ""),
    ("disk", "/shards/tar_format.py", ""),
    ("network", "/torch/", ""),
    ("network", "/transformers/", ""),
    ("network", "/sam2/", ""),
    ("network", "/groundingdino/", ""),
)
"""(kind, part of the file's path, name of the function); an empty string fits everything."""


class Sampler:
    """Counts what every other thread is doing, in a thread of its own.

    Attributes:
        kinds: samples by kind.
        places: samples by function of this project, the innermost on the stack.
    """

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.places: Counter[str] = Counter()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    @contextmanager
    def sample_inside(self) -> Iterator[None]:
        """Sample until the block ends."""
        self._thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._thread.join()

    def _sample(self) -> None:
        mine, main = threading.get_ident(), threading.main_thread().ident
        while not self._over.wait(INTERVAL_S):
            stacks = sys._current_frames()
            order = [main, *(one for one in stacks if one not in (mine, main))]
            found = [classify(stacks[one]) for one in order if one in stacks]
            kind, place = next((pair for pair in found if pair[0] != "waiting"), found[0])
            self.kinds[kind] += 1
            self.places[place] += 1


def classify(frame: FrameType | None) -> tuple[str, str]:
    """(kind, innermost function of this project) of a stack."""
    kind, place = "", ""
    while frame is not None:
        path, name = frame.f_code.co_filename, frame.f_code.co_name
        kind = kind or next((kind for kind, part, function in RULES if part in path and function in name), "")
        if not place and "/mvideo_core/" in path:
            place = f"{path.rpartition('/mvideo_core/')[2]} {name}"
        frame = frame.f_back
    return kind or "Python", place


def measure(
    videos: int = 2, profile: str = "mini", folder: Path | None = None, page: Path | None = PAGE,
    values: dict[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Per stage: items, wall and CPU seconds, seconds per item by kind, and the functions seen most often.

    Args:
        videos: rendered videos, if there is no `folder`.
        page: HTML file to write; None writes none.
        values: profile values to change.
    """
    with tempfile.TemporaryDirectory(prefix="mvideo-stages-") as scratch:
        if folder is None:
            folder = Path(scratch) / "world"
            make_world(folder, videos, seed=0, split="val")
        workspace, options = Workspace(str(Path(scratch) / "ws")), load_profile(profile, values or {})
        _bury_children()
        plan_sources(workspace, SourceOptions(folder=str(folder)), options.plan)
        stages = {}
        for name in stages_to_run(workspace, options):
            stages[name] = measure_stage(workspace, name, options)
    per_item = {f"{name}_s": round(one["wall_s"] / one["items"], 4) for name, one in stages.items()}
    report = {
        "profile": profile, "stages": stages, **per_item, "watched": dict.fromkeys(per_item, "<"), "goals": {},
    }  # fmt: skip
    if page is not None:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(to_page(report), encoding="utf-8")
    return report


def measure_stage(workspace: Workspace, name: str, options: Any) -> dict[str, Any]:
    """Run one stage and say where its time went."""
    sampler, cpu_s, start_s = Sampler(), _cpu_s(), time.perf_counter()
    with sampler.sample_inside():
        summary = run_stage(workspace, STAGES.get(name), options.of(name), options.run)
    wall_s, used_s = time.perf_counter() - start_s, [now - then for now, then in zip(_cpu_s(), cpu_s, strict=True)]
    items, n_samples = max(1, sum(summary.counts.values())), max(1, sampler.kinds.total())
    seconds = {kind: round(wall_s * sampler.kinds[kind] / n_samples / items, 4) for kind in KINDS}
    return {
        "items": items, "unit": STAGES.get(name).unit, "wall_s": round(wall_s, 3), "samples": n_samples,
        "cpu_s": round(used_s[0], 3), "children_cpu_s": round(used_s[1], 3), "s_per_item": seconds,
        "functions": [
            {"name": place or "libraries", "frac": round(count / n_samples, 3)}
            for place, count in sampler.places.most_common(5)
        ],
    }  # fmt: skip


def to_page(report: dict[str, Any]) -> str:
    """The page, with the last dated result as "before" where it has the same stages."""
    before = last_stages()
    longest = max(one["wall_s"] / one["items"] for one in report["stages"].values())
    return page_html(
        Path(__file__).with_name("stage_page"), "Where the seconds of each stage go", kinds=KINDS, longest=longest,
        stages=report["stages"], before=before, profile=report["profile"], load=f"{os.getloadavg()[0]:.1f}",
    )  # fmt: skip


def last_stages() -> dict[str, Any]:
    """Stages of the last dated result; empty if it has none."""
    past = regression.last_results().get("stage_profile")
    return dict(past.measured["stages"]) if past else {}


def _bury_children() -> None:
    """Collect children that ended already; otherwise their CPU seconds count in the stage that happens to do it."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _cpu_s() -> tuple[float, float]:
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return uses[0].ru_utime + uses[0].ru_stime, uses[1].ru_utime + uses[1].ru_stime


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, write the page, print the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=2, help="rendered videos")
    parser.add_argument("--folder", type=Path, help="your videos instead")
    parser.add_argument("--profile", default="mini")
    parser.add_argument("--set", type=json.loads, default={}, help='profile values as JSON: {"detect": {...}}')
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args(argv)
    with errors_in_one_line():
        print(json.dumps(measure(given.videos, given.profile, given.folder, given.page, given.set), indent=1))
        print(f"page: {given.page}", file=sys.stderr)


if __name__ == "__main__":
    main()

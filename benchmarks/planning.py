"""Planning and bookkeeping of 400,000 clips: seconds, megabytes, task runs. The items are simulated, the store is real.

Planned: sources listed into parts. Kept: a stage that does nothing for every item, so keys, journal, Parquet, markers
    and heads are measured. Answered: the cost of a second run when everything is done.

`python -m benchmarks.planning shards 1000000` plans the shards of that many clips; `... split 1000000` opens the index
of that many windows of latents and splits it for training: memory, temporary files, CPU seconds.
"""

import hashlib
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mvideo_core.base.digests import file_sha256
from mvideo_core.base.options import Options
from mvideo_core.base.records import Blob, CaptionRow, ClipRow, PlannedSample, Row, SourceRow, VideoRow
from mvideo_core.curation.pipeline import PART_STAGES
from mvideo_core.curation.stages.samples import Layout
from mvideo_core.engine.plan import PlanOptions, make_plan
from mvideo_core.engine.run import run_stage
from mvideo_core.engine.stage import Item, Stage, StageContext, Worker
from mvideo_core.shards.files import DatasetFiles
from mvideo_core.shards.options import ShardOptions
from mvideo_core.store.workspace import Workspace
from mvideo_core.training.latents.info import INDEX_NAME
from mvideo_core.training.latents.window_index import WindowIndex
from mvideo_core.training.sample_order import Split
from tests.fixtures.window_index import write_window_index

N_CLIPS = 400_000


class IdleWorker(Worker):
    """Returns one row per item without doing any work."""

    def __init__(self, options: Options, context: StageContext):
        pass

    def work(self, items: Sequence[Item]) -> list[list[Row]]:
        """A caption of realistic length per item."""
        return [[CaptionRow(key=item.key, parent=item.key, text="a dog runs to the left " * 8)] for item in items]


IDLE = Stage("idle", 1, ("source",), Options, CaptionRow, "cpu", IdleWorker)


def simulate_sources(n_clips: int) -> Iterator[SourceRow]:
    """Rows as from a folder listing."""
    for n in range(n_clips):
        uri = f"file:///data/hdvila/{n % 1000:03d}/clip{n:07d}.mp4"
        yield SourceRow(key=f"clip{n:07d}", uri=uri, fingerprint=f"{n}:1", licence="r-uda-1.0")


def measure(n_clips: int = N_CLIPS) -> dict[str, Any]:
    """Seconds of planning, of bookkeeping one stage and of a second run, megabytes on disk and of memory, task runs."""
    with tempfile.TemporaryDirectory(prefix="mvideo-bench-") as folder:
        workspace = Workspace(folder)
        started = time.perf_counter()
        plan = make_plan(workspace, simulate_sources(n_clips), PlanOptions())
        planned = time.perf_counter()
        run_stage(workspace, IDLE, Options())
        kept = time.perf_counter()
        again = run_stage(workspace, IDLE, Options())
        answered = time.perf_counter()
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    per_part = len(PART_STAGES) + 1  # ingest .. caption, and at most as many shard parts
    return {
        "clips": n_clips,
        "parts": plan.n_parts,
        "task_runs": plan.n_parts * per_part + 4,
        "plan_s": round(planned - started, 2),
        "bookkeeping_s_per_stage": round(kept - planned, 2),
        "second_run_s_per_stage": round(answered - kept, 2),
        "parts_reused": again.parts_reused,
        "workspace_mb": round(size / 1e6, 1),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "goals": {"plan_s": "< 10", "task_runs": "< 2000"},
    }


def simulate_samples(n_clips: int) -> Iterator[tuple[PlannedSample, ClipRow, VideoRow]]:
    """Rows as from the previous stages: eight clips per video, texts and digests of realistic length."""
    for n in range(n_clips):
        video = f"video{n // 8:08d}"
        key, start_s, url = f"{video}_{n % 8:09d}", n % 8 * 12, f"https://x.example/{video}"
        meta = (
            f'{{"caption":{{"captioner":"motion","model":""}},"fps":8.0,"height":480,"objects":[{{"kept":true,"label":'
            f'"dog","object_id":0,"score":0.{n % 997}}}],"source":{{"end_s":{start_s + 12},"licence":"r-uda-1.0",'
            f'"start_s":{start_s},"url":"{url}"}},"width":720}}'
        )
        sample = PlannedSample(
            key=key, video_id=video, clip=_blob("cut", f"{key}.mp4"), masks=_blob("segment", f"{key}.masks"),
            caption=f"A brown dog runs to the left over a lawn, take {n}. " * 3, labels=["dog"], n_frames=97,
            meta_json=meta,
        )  # fmt: skip
        clip = ClipRow(
            key=key, parent=video, source_sha256=_hex(video), source_url=url, start_s=start_s, end_s=start_s + 12
        )
        yield sample, clip, VideoRow(key=video, parent=video, uri=f"file:///data/{video}.mp4", title=f"about {video}")


def measure_shards(n_clips: int) -> dict[str, Any]:
    """Planning the shards of that many clips, from rows to the digest and the first part's rows."""
    before = _peak_mb()
    with tempfile.TemporaryDirectory(prefix="mvideo-bench-") as folder:
        layout = Layout(Path(folder) / "samples.db", ShardOptions(exclude_terms=("tank",)))
        for found in simulate_samples(n_clips):
            layout.put(*found)
        n_shards = layout.settle()
        layout.digest()
        layout.part_rows(0, min(n_shards, 256), "datasets/x")
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        layout.close()
    return {"clips": n_clips, "shards": n_shards, "memory_mb": _peak_mb() - before, "tmpdir_mb": round(size / 1e6, 1)}


def measure_split(n_windows: int) -> dict[str, Any]:
    """Opening the index of that many windows, and holding windows out for validation.

    The mapped pages of the temporary file belong to the system, which reclaims them when it needs memory; the process
    process owns is `memory_mb`.
    """
    with tempfile.TemporaryDirectory(prefix="mvideo-bench-") as folder:
        if (child := os.fork()) == 0:  # written pages cost memory, too
            write_window_index(Path(folder) / "latents", n_windows)
            os._exit(0)
        os.waitpid(child, 0)
        file = Path(folder) / "latents" / INDEX_NAME
        sha256 = file_sha256(file)
        before, free = _anonymous_mb(), os.statvfs(tempfile.gettempdir())
        index = WindowIndex(DatasetFiles(file.parent), sha256, "train", "any")
        used = (free.f_bavail - os.statvfs(tempfile.gettempdir()).f_bavail) * free.f_frsize
        split = Split(index.names("key"), 8, (), index.names("id"))
        return {
            "windows": n_windows, "train": len(split.train), "memory_mb": round(_anonymous_mb() - before, 1),
            "mapped_and_owned_peak_mb": _peak_mb(), "tmpdir_mb": round(used / 1e6, 1),
        }  # fmt: skip


def _blob(stage: str, name: str) -> Blob:
    return Blob(path=f"blobs/{stage}/{_hex(name)[:2]}/{name}", sha256=_hex(name), size_bytes=900_000)


def _hex(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _peak_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def _anonymous_mb() -> float:
    """Anonymous memory of this process, megabytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


def main() -> None:
    """All of the figures, or those of one part for a number of clips or windows."""
    import json

    kind, n = (sys.argv[1], int(sys.argv[2])) if len(sys.argv) == 3 else ("", N_CLIPS)
    measured = {"shards": measure_shards, "split": measure_split}.get(kind, measure)(n)
    print(json.dumps(measured | {"cpu_s": round(time.process_time(), 1)}, indent=1))


if __name__ == "__main__":
    main()

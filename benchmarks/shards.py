"""MB/s of writing and reading WebDataset tars, compared with plain `tarfile` on the same bytes and `webdataset`'s
reader.

The files (clip, masks) are on disk as the stages leave them. Both writers make the same tar, byte for byte (checked);
ours also verifies every file's SHA-256 and computes the tar's own in the same pass, plain `tarfile` does neither;
"tarfile and digests" does both, each in a separate pass, like `sha256sum -c`, `tar` and `sha256sum`; "ours unchecked"
is our tar layer alone, without digests. Each run writes a new file and leaves it in the page cache; nothing waits for
the disk. Readers get every member's bytes once: ours through the index, in order and shuffled, `tarfile` and
`webdataset` as a stream.
"""

import hashlib
import json
import os
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import Work, cpus, interleave, ratio, spread, walls
from mvideo_core.base.digests import file_sha256
from mvideo_core.base.records import Blob, PlannedSample, ShardPlanRow
from mvideo_core.shards import (
    FileEntry,
    MaskVideoDataset,
    ShardEntry,
    ShardOptions,
    dataset_info,
    info_bytes,
    shard_path,
    write_index,
    write_shard,
)
from mvideo_core.shards.members import EXTENSIONS
from mvideo_core.shards.tar_format import add_member, open_tar

CLIP_BYTES, MASK_BYTES = 1_500_000, 45_000


def measure(n_samples: int = 200, rounds: int = 15, clip_bytes: int = CLIP_BYTES) -> dict[str, Any]:
    """MB/s of four writers and four readers, and our ratios to theirs."""
    with tempfile.TemporaryDirectory(prefix="mvideo-bench-") as name:
        root = Path(name)
        plan = _draw_files(root / "files", n_samples, clip_bytes)
        tar = root / "dataset" / shard_path(plan.key, plan.split)
        _write_dataset(root, plan, tar)
        _write_plain(root / "files", plan, root / "plain.tar")
        _write_unchecked(root / "files", plan, root / "unchecked.tar")
        same = file_sha256(tar) == file_sha256(root / "plain.tar") == file_sha256(root / "unchecked.tar")
        mb = tar.stat().st_size / 1e6
        order = np.random.default_rng(0).permutation(n_samples).tolist()
        works: dict[str, Work] = {
            "write ours": lambda: _write_ours(root / "files", plan, root / "ours.tar"),
            "write ours unchecked": lambda: _write_unchecked(root / "files", plan, root / "unchecked.tar"),
            "write tarfile": lambda: _write_plain(root / "files", plan, root / "plain.tar"),
            "write tarfile and digests": lambda: _write_digested(root / "files", plan, root / "plain.tar"),
            "read ours": lambda: _read_ours(root / "dataset", range(n_samples)),
            "read ours shuffled": lambda: _read_ours(root / "dataset", order),
            "read tarfile": lambda: _read_plain(tar),
            "read webdataset": lambda: _read_webdataset(tar),
        }
        counts = {work() for name, work in works.items() if name.startswith("read")}
        took = interleave(works, rounds)
    wall = {name: walls(one) for name, one in took.items()}
    pairs = {
        "write_over_tar": ("write tarfile", "write ours"),
        "unchecked_write_over_tar": ("write tarfile", "write ours unchecked"),
        "write_over_tar_with_digests": ("write tarfile and digests", "write ours"),
        "read_over_tar": ("read tarfile", "read ours"),
        "shuffled_read_over_tar": ("read tarfile", "read ours shuffled"),
        "read_over_webdataset": ("read webdataset", "read ours"),
    }
    ratios = {name: ratio(wall[theirs], wall[ours]) for name, (theirs, ours) in pairs.items()}
    return {
        "samples": n_samples,
        "mb": round(mb, 1),
        "tars_equal": same,
        "bytes_read_equal": len(counts) == 1,
        "mb_per_s": {name: spread([mb / s for s in one]).round_to(0) for name, one in wall.items()},
        "cpu_s": {name: round(spread(cpus(one)).median, 3) for name, one in took.items()},
        "fastest_rounds": {n: round(min(wall[theirs]) / min(wall[ours]), 2) for n, (theirs, ours) in pairs.items()},
        "spread": {name: one.round_to(2) for name, one in ratios.items()},
        **{name: round(one.median, 2) for name, one in ratios.items()},
        "goals": {"write_over_tar": ">= 0.9", "unchecked_write_over_tar": ">= 0.9", "read_over_tar": ">= 0.9"},
    }


def _draw_files(folder: Path, n_samples: int, clip_bytes: int) -> ShardPlanRow:
    """Files of random bytes (as incompressible as video) and the plan that names them."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    samples = []
    for n in range(n_samples):
        key = f"video{n // 4:04d}_{n:09d}"
        blobs = {}
        for extension, size in (("mp4", clip_bytes + 997 * n), ("masks", MASK_BYTES + 13 * n)):
            content = rng.bytes(size)
            path = f"{key}.{extension}"
            (folder / path).write_bytes(content)
            blobs[extension] = Blob(path=path, sha256=hashlib.sha256(content).hexdigest(), size_bytes=size)
        meta = {"fps": 8.0, "width": 720, "height": 480, "source": {"licence": "none: random bytes"}}
        caption = "a dog runs to the left while the camera follows it " * 4
        (folder / f"{key}.txt").write_text(caption)
        (folder / f"{key}.json").write_text(json.dumps(meta))
        samples.append(
            PlannedSample(
                key=key, video_id=f"video{n // 4:04d}", clip=blobs["mp4"], masks=blobs["masks"], caption=caption,
                labels=["dog"], n_frames=97, meta_json=json.dumps(meta),
            )
        )  # fmt: skip
    return ShardPlanRow(key="train-000000", split="train", samples=samples)


def _write_dataset(root: Path, plan: ShardPlanRow, tar: Path) -> None:
    """The whole dataset, as written by the shard stage, for the readers."""
    tar.parent.mkdir(parents=True)
    _write_ours(root / "files", plan, tar)
    with (root / "dataset" / "index.parquet").open("wb") as out:
        totals = write_index([plan], out)
    path = shard_path(plan.key, plan.split)
    shard = ShardEntry(
        path=path, size_bytes=tar.stat().st_size, sha256=file_sha256(tar), split=plan.split, samples=len(plan.samples)
    )
    index = FileEntry(path="index.parquet", size_bytes=0, sha256="")
    info = dataset_info(totals, [shard], index, {}, ShardOptions(), "Random bytes")
    (root / "dataset" / "dataset.json").write_bytes(info_bytes(info))


def _write_ours(files: Path, plan: ShardPlanRow, path: Path) -> None:
    path.unlink(missing_ok=True)
    with path.open("wb") as out:
        write_shard(plan, lambda blob: (files / blob.path).open("rb"), out)


def _write_unchecked(files: Path, plan: ShardPlanRow, path: Path) -> None:
    """Our writer without its two digests."""
    path.unlink(missing_ok=True)
    with path.open("wb") as out, open_tar(out) as tar:
        for sample in plan.samples:
            for extension in EXTENSIONS:
                name = f"{sample.key}.{extension}"
                with (files / name).open("rb") as source:
                    add_member(tar, name, source, (files / name).stat().st_size)


def _write_plain(files: Path, plan: ShardPlanRow, path: Path) -> None:
    path.unlink(missing_ok=True)
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in plan.samples:
            for extension in EXTENSIONS:
                name = f"{sample.key}.{extension}"
                info = tarfile.TarInfo(name)
                info.size, info.mode = (files / name).stat().st_size, 0o644
                with (files / name).open("rb") as source:
                    tar.addfile(info, source)


def _write_digested(files: Path, plan: ShardPlanRow, path: Path) -> None:
    blobs = [blob for sample in plan.samples for blob in (sample.clip, sample.masks)]
    assert all(file_sha256(files / blob.path) == blob.sha256 for blob in blobs)
    _write_plain(files, plan, path)
    file_sha256(path)


def _read_ours(dataset: Path, order: Any) -> int:
    """Open the dataset (index and all) and read; returns the number of bytes."""
    data = MaskVideoDataset(dataset)
    return sum(len(content) for index in order for content in data.sample(index).content.values())


def _read_plain(tar: Path) -> int:
    total = 0
    with tarfile.open(tar, "r:") as stream:
        for member in stream:
            content = stream.extractfile(member)
            assert content is not None
            total += len(content.read())
    return total


def _read_webdataset(tar: Path) -> int:
    import webdataset

    samples = webdataset.WebDataset(os.fspath(tar), shardshuffle=False)
    return sum(len(sample[extension]) for sample in samples for extension in EXTENSIONS)


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))

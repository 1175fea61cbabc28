"""A dataset of another format -> a workspace whose dataset is made of its clips, masks and captions.

Everything that reads a dataset then works on it: verification, export, training, mask tools, evaluation.
"""

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from mvideo_core.base.errors import ConfigError, MediaError, StoreError
from mvideo_core.base.listing import visible_files
from mvideo_core.base.locks import sole_owner
from mvideo_core.base.options import digest
from mvideo_core.base.records import Blob, CaptionRow, ClipRow, MaskRow, ObjectStats, PlannedSample, VideoRow
from mvideo_core.base.stopping import raise_if_stopped
from mvideo_core.curation.stages.publish import dataset_root, publish_dataset
from mvideo_core.curation.stages.samples import Layout, commit_layout
from mvideo_core.curation.stages.shard import STAGE as SHARD
from mvideo_core.curation.stages.sources import IMPORT
from mvideo_core.engine.run import run_stage
from mvideo_core.masks.measure import areas, drift
from mvideo_core.shards.export_journal import ExportJournal
from mvideo_core.shards.exports import Entry
from mvideo_core.shards.imports import IMPORTS, Incoming, Listed
from mvideo_core.shards.members import MAX_KEY_CHARS, plan_sample
from mvideo_core.shards.options import ShardOptions
from mvideo_core.store.lock import stages_in_use
from mvideo_core.store.scratch import scratch_folder
from mvideo_core.store.workspace import Workspace

REVISION = 2
Progress = Callable[[int, int], None]


class ImportResult(NamedTuple):
    """What an import made.

    Attributes:
        root: folder of the dataset.
        samples: number of samples by split.
        failed: (name, reason) of samples that cannot be read.
        without_text: number of samples without a caption.
        losses: what the format does not keep.
    """

    root: str
    samples: dict[str, int]
    excluded: dict[str, int]
    failed: list[tuple[str, str]]
    without_text: int
    losses: tuple[str, ...]


def import_dataset(
    root: Path, workspace: Workspace, format_name: str, options: ShardOptions = ShardOptions(), fps: float = 0.0,
    progress: Progress | None = None,
) -> ImportResult:  # fmt: skip
    """Import a folder; a killed import continues after its last finished sample.

    Args:
        root: folder of the other format.
        workspace: local; new, or with the same import, unfinished or finished.
        format_name: one of `IMPORTS`.
        options: shard sizes and exclusions; the splits are those of the folder.
        fps: frames per second, for formats that do not state them.
        progress: called with (samples done, total) after every sample.

    Raises:
        ConfigError: no such format or folder, not this format, or a workspace with footage of its own.
        StoreError: no sample can be read, or the workspace cannot be written.
    """
    chosen = IMPORTS.get(format_name)(fps)
    if fps and chosen.states_fps:
        raise ConfigError(f"--fps {fps:g}: {format_name} states the frame rate of each clip; leave --fps out")
    if not root.is_dir():
        raise ConfigError(f"{root}: no such folder; give the folder of a dataset in the format {format_name}")
    if not workspace.folder.is_local:
        raise ConfigError(f"{workspace.url}: import into a local folder, then copy it there")
    if workspace.n_parts() is not None:
        raise ConfigError(f"{workspace.url}: this workspace has footage of its own; import into another folder")
    listed = _list(chosen.samples(root), root)
    place = Path(workspace.folder.at(f"journal/{IMPORT}"))
    request = {
        "format": format_name, "source": str(root.resolve()), "fps": fps, "revision": REVISION,
        "samples": digest([[one.name, one.split] for one in listed]), "files": _state(root, workspace),
    }  # fmt: skip
    workspace.ensure()
    with sole_owner(place, "import", "workspace"):
        journal = ExportJournal(place, request, IMPORT)
        with closing(journal):
            for one in listed[journal.n_done :]:
                raise_if_stopped()
                journal.append(_import_sample(one, workspace))
                if progress:
                    progress(journal.n_done, len(listed))
        return _write_dataset(workspace, options, journal, chosen.losses)


def sample_key(name: str) -> str:
    """The key of a sample: its name if that can be a key, else something similar with a digest."""
    if re.fullmatch(r"[A-Za-z0-9_-]+", name) and len(name) <= MAX_KEY_CHARS:
        return name
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[: MAX_KEY_CHARS // 2]
    return f"{plain}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}".lstrip("-")


def _state(root: Path, workspace: Workspace) -> str:
    """Digest of names, sizes and times of the folder's files, without those of a workspace below it."""
    own = Path(workspace.folder.at("")).resolve()
    files = [path for path in visible_files(root, recursive=True) if not path.resolve().is_relative_to(own)]
    facts = [(path.relative_to(root), path.stat()) for path in files]
    return digest([[os.fsencode(name).hex(), one.st_size, one.st_mtime_ns] for name, one in facts])


def _list(samples: Iterable[Listed], root: Path) -> list[Listed]:
    listed, seen = list(samples), set()
    for one in listed:
        if one.name in seen:
            raise ConfigError(f"{root}: two samples are called {one.name}; rename one of them")
        seen.add(one.name)
    if not listed:
        raise ConfigError(f"{root}: no sample in it; check --from")
    return listed


def _import_sample(one: Listed, workspace: Workspace) -> Entry:
    """Write the files of a sample, and return all about it; if it is bad, the reason."""
    key = sample_key(one.name)
    try:
        incoming = one.load()
    except MediaError as error:
        return {"key": key, "split": one.split, "name": one.name, "error": str(error)}
    clip, masks, video = _rows(key, incoming, workspace)
    caption = CaptionRow(key=key, parent=key, text=incoming.text, captioner=IMPORT)
    sample = plan_sample(clip, masks, caption, video)
    rows = {"sample": sample, "clip": clip, "video": video}
    return {"key": key, "split": one.split, "name": one.name} | {
        name: row.model_dump(mode="json") for name, row in rows.items()
    }


def _rows(key: str, incoming: Incoming, workspace: Workspace) -> tuple[ClipRow, MaskRow, VideoRow]:
    """Rows as the stages write them. Nothing is known of scores, so they are 0."""
    masks, source = incoming.masks, incoming.source
    mp4 = _blob(workspace, incoming.mp4, "mp4")
    size: dict[str, Any] = {"n_frames": masks.n_frames, "width": masks.width, "height": masks.height}
    url, licence = str(source.get("url") or ""), str(source.get("licence") or "")
    start_s = float(source.get("start_s") or 0.0)
    end_s = float(source.get("end_s") or start_s + masks.n_frames / incoming.fps)
    video_id = str(source.get("video_id") or key)
    clip = ClipRow(
        key=key, parent=video_id, fps=incoming.fps, start_s=start_s, end_s=end_s, clip=mp4, source_url=url,
        licence=licence, **size,
    )  # fmt: skip
    sizes = areas(masks)
    stats = [
        ObjectStats(
            object_id=n, label=label, detection_score=0.0, mask_score=0.0, drift=drift(masks, n),
            visible_frac=float((sizes[:, n] > 0).mean()),
            mean_area_frac=float(sizes[:, n].mean() / (masks.height * masks.width)),
        )
        for n, label in enumerate(incoming.labels)
    ]  # fmt: skip
    blob = _blob(workspace, masks.to_bytes(), "masks")
    row = MaskRow(key=key, parent=key, masks=blob, objects=stats, model=IMPORT, **size)
    return clip, row, VideoRow(key=video_id, source_url=url, licence=licence)


def _blob(workspace: Workspace, content: bytes, extension: str) -> Blob:
    sha256 = hashlib.sha256(content).hexdigest()
    path = f"blobs/{IMPORT}/{sha256[:2]}/{sha256}.{extension}"
    if workspace.folder.size(path) != len(content):
        workspace.folder.write(path, content)
    return Blob(path=path, sha256=sha256, size_bytes=len(content))


def _write_dataset(
    workspace: Workspace, options: ShardOptions, journal: ExportJournal, losses: tuple[str, ...]
) -> ImportResult:
    """Plan, write and publish the dataset of all samples in the journal."""
    started, failed, without_text = time.monotonic(), [], 0
    with (
        stages_in_use(workspace.folder, {"samples", "shard"}),
        scratch_folder("samples") as folder,
        closing(Layout(folder / "samples.db", options)) as layout,
    ):
        for split in ("train", "test"):
            for entry in journal.entries(split):
                if "error" in entry:
                    failed.append((entry["name"], entry["error"]))
                    continue
                sample = PlannedSample.model_validate(entry["sample"])
                clip, video = ClipRow.model_validate(entry["clip"]), VideoRow.model_validate(entry["video"])
                layout.put(sample, clip, video, split=entry["split"])
                without_text += not sample.caption
        n_shards = layout.settle()
        if not n_shards:
            why = "; ".join(f"{name}: {error}" for name, error in failed[:1]) or "all are excluded"
            raise StoreError(f"{workspace.url}: no sample was imported ({len(failed)} failed): {why}")
        n_parts = commit_layout(workspace, options, layout, n_shards, started)
    run_stage(workspace, SHARD, options, parts=range(n_parts))
    done = publish_dataset(workspace, options)
    return ImportResult(dataset_root(workspace), done.samples, done.excluded, failed, without_text, losses)

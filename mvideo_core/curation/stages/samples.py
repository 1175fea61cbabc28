"""Plan the shards: lay out every finished triplet of every part with `shards.plan`, as parts of "samples"."""

import hashlib
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from mvideo_core.base.digests import file_sha256
from mvideo_core.base.disk import disk_errors
from mvideo_core.base.errors import ConfigError, StoreError
from mvideo_core.base.options import canonical_json, digest
from mvideo_core.base.records import (
    CaptionRow,
    CleanRow,
    ClipRow,
    DetectionRow,
    MaskRow,
    PerceptualHashes,
    PlannedSample,
    Row,
    ShardPlanRow,
    VideoRow,
)
from mvideo_core.curation.ingest.naming import path_of
from mvideo_core.engine.chain import in_use, part_stages, row_class, sample_digests, stage_and_inputs, valid_markers
from mvideo_core.engine.plan import MAX_PARTS
from mvideo_core.engine.run import count_parts
from mvideo_core.masks import MaskSequence, from_bytes
from mvideo_core.perception.segmentation.shot_ids import shot_ids
from mvideo_core.shards.candidate_table import CandidateTable
from mvideo_core.shards.candidates import Candidate
from mvideo_core.shards.exclusion_lists import ExclusionList, read_exclusion_lists
from mvideo_core.shards.members import plan_sample, sample_bytes
from mvideo_core.shards.options import ShardOptions
from mvideo_core.shards.plan import shards_of_table
from mvideo_core.store.commit import commit_part
from mvideo_core.store.keys import part_key, row_digest, settings_digest
from mvideo_core.store.lock import stages_in_use
from mvideo_core.store.scratch import scratch_folder
from mvideo_core.store.tables import RowIndex
from mvideo_core.store.workspace import Workspace

SAMPLES_STAGE = "samples"
REVISION = 1
LEVEL = 1
"""zlib level. Each record is compressed with the first one as dictionary, which halves the database."""


def plan_dataset(workspace: Workspace, options: ShardOptions) -> int:
    """Plan the dataset's layout from the current rows of all parts and commit it.

    Samples pass through a database file: only one part's samples are in memory. The previous layout stays valid until
    the last part of the new one is written: one file then names all parts.

    Returns:
        Number of shard parts for `run_part`.

    Raises:
        ConfigError: a part has not finished a stage; the message names it.
        StoreError: there is no triplet to write, or the disk is full, here or in the temporary folder.
    """
    with (
        disk_errors("planning shards", f"{tempfile.gettempdir()} (temporary files)"),
        stages_in_use(workspace.folder, stage_and_inputs(SAMPLES_STAGE)),
        scratch_folder("samples") as folder,
        closing(Layout(folder / "samples.db", options)) as layout,
    ):
        return _plan_dataset(workspace, options, layout)


def _plan_dataset(workspace: Workspace, options: ShardOptions, layout: "Layout") -> int:
    started = time.monotonic()
    for sample, clip, video, look in current_samples(workspace, layout.lists):
        layout.put(sample, clip, video, look)
    n_shards = layout.settle()
    if not n_shards:
        n_out = sum(1 for _ in layout.table.exclusions())
        raise StoreError(
            f"{workspace.url}: no clip has a video, masks and a caption (left out: {n_out}); "
            "`mvideo status` shows which stage dropped them"
        )
    return commit_layout(workspace, options, layout, n_shards, started)


def commit_layout(workspace: Workspace, options: ShardOptions, layout: "Layout", n_shards: int, started: float) -> int:
    """Make a settled layout the current one.

    Args:
        started: `time.monotonic` when planning began.

    Returns:
        Number of shard parts.
    """
    settings = settings_digest(SAMPLES_STAGE, REVISION, options, list_digests(options))
    dataset = f"datasets/{part_key(settings, {'shards': layout.digest()})[:16]}"
    n_parts, inputs, keys = min(n_shards, MAX_PARTS), sample_digests(workspace), []
    for index in range(n_parts):
        rows = layout.part_rows(index, n_parts, dataset)
        keys.append(part_key(settings, {"rows": digest([row_digest(row) for row in rows])}))
        commit_part(
            workspace, stage=SAMPLES_STAGE, index=index, key=keys[-1], settings=settings, inputs=inputs,
            options=options, rows=rows, row_class=ShardPlanRow, n_items=len(rows), n_reused=0,
            seconds=time.monotonic() - started, head=False,
        )  # fmt: skip
    workspace.set_parts_of(SAMPLES_STAGE, n_parts, keys)
    workspace.set_parts_of("shard", n_parts)
    return n_parts


def current_samples(
    workspace: Workspace, lists: Sequence[ExclusionList] = ()
) -> Iterator[tuple[PlannedSample, ClipRow, VideoRow, PerceptualHashes | None]]:
    """Every clip that is `ok` in all stages, part by part, with its rows and its hashes.

    Args:
        lists: record every video and clip, including those without a sample.

    Raises:
        ConfigError: a stage has not finished a part.
    """
    parts = {stage: dict(valid_markers(workspace, stage)) for stage in in_use(workspace, part_stages())}
    for stage, found in parts.items():
        if len({marker.settings for marker in found.values() if marker is not None}) > 1:
            raise ConfigError(
                f"shard: parts of stage {stage!r} were run with different options; "
                f"run `mvideo stage {stage} --workspace {workspace.url}` over all parts first"
            )
    for index in range(count_parts(workspace)):
        tables = RowIndex()
        for stage in parts:
            marker = parts[stage].get(index)
            if marker is None:
                raise ConfigError(
                    f"shard: stage {stage!r} has not finished part {index} with the options of its last run on "
                    f"its current inputs; run `mvideo stage {stage} --workspace {workspace.url}` first"
                )
            rows = list(workspace.rows(marker, row_class(stage)))
            for one in lists:
                for row in rows:
                    one.note(_names(row))
            tables.add(row for row in rows if row.status == "ok")
        ids = _object_ids(workspace, tables)
        for key, caption in sorted(tables.of(CaptionRow).items()):
            clip, masks = tables.of(ClipRow).get(key), tables.of(MaskRow).get(key)
            if clip is None or masks is None:
                continue
            video, boxes = tables.of(VideoRow)[clip.parent], tables.of(DetectionRow).get(key)
            clean = tables.of(CleanRow).get(key)
            look = clean.look if clean is not None else None
            yield plan_sample(clip, masks, caption, video, boxes, ids.get(key)), clip, video, look


def _object_ids(workspace: Workspace, tables: RowIndex) -> dict[str, list[int]]:
    """Ids of the objects over all clips of their shot, by clip key, for masks tracked from boxes on several frames."""
    masks = tables.of(MaskRow)
    clips = sorted(
        (clip for key, clip in tables.of(ClipRow).items() if key in masks and masks[key].tracks),
        key=lambda clip: (clip.parent, clip.start_s),
    )
    runs: list[list[ClipRow]] = []
    for clip in clips:
        last = runs[-1][-1] if runs else None
        if last is not None and _continues(last, clip):
            runs[-1].append(clip)
        else:
            runs.append([clip])
    found: dict[str, list[int]] = {}
    free: dict[tuple[str, int], int] = {}
    for run in runs:
        shot = run[0].parent, run[0].shot_index
        sequences = (_open_masks(workspace, masks[clip.key]) for clip in run)
        found.update(zip((clip.key for clip in run), shot_ids(sequences, free.get(shot, 0)), strict=True))
        free[shot] = 1 + max(number for clip in run for number in found[clip.key])
    return found


def _continues(before: ClipRow, clip: ClipRow) -> bool:
    """Whether a clip begins within a frame of where one of the same shot ends."""
    same_shot = (before.parent, before.shot_index) == (clip.parent, clip.shot_index)
    return same_shot and abs(clip.start_s - before.end_s) <= 1.5 / max(clip.fps, 1e-9)


def _open_masks(workspace: Workspace, row: MaskRow) -> MaskSequence:
    assert row.masks is not None
    with workspace.folder.open(row.masks.path) as stream:
        return from_bytes(stream.read())


def list_digests(options: ShardOptions) -> dict[str, str]:
    """SHA-256 of the lists in the options.

    Raises:
        ConfigError: a list does not exist.
    """
    digests = {}
    for name in ("removal_list", "held_out_list"):
        path = getattr(options, name)
        if path and not Path(path).is_file():
            raise ConfigError(f"shard.{name}: no file {path}; give a text file with one id per line")
        if path:
            digests[name] = file_sha256(Path(path))
    return digests


class Layout:
    """Samples and the shards they are assigned to, in a database file.

    Args:
        path: database file to create.
    """

    def __init__(self, path: Path, options: ShardOptions):
        self.options, self.lists = options, read_exclusion_lists(options)
        self.table = CandidateTable(options, self.lists, path)
        self.table.db.execute("CREATE TABLE shard (number INTEGER PRIMARY KEY, name TEXT, split TEXT, keys TEXT)")
        self._n_shards = 0
        self._alike = b""

    def put(
        self,
        sample: PlannedSample,
        clip: ClipRow,
        video: VideoRow,
        look: PerceptualHashes | None = None,
        split: str = "",
    ) -> None:
        """Keep a sample; `split` if its video's split is given."""
        text = sample.model_dump_json().encode()
        self._alike = self._alike or text
        candidate = Candidate(
            key=sample.key, video_id=sample.video_id, source_sha256=clip.source_sha256, source_url=clip.source_url,
            start_s=clip.start_s, end_s=clip.end_s, texts=(*sample.labels, sample.caption, video.title),
            size_bytes=sample_bytes(sample), source_name=_file_name(video.uri), look=look, split=split,
        )  # fmt: skip
        packer = zlib.compressobj(LEVEL, zdict=self._alike)
        self.table.add(candidate, packer.compress(text) + packer.flush())

    def settle(self) -> int:
        """Assign samples to shards; returns the number of shards.

        Raises:
            ConfigError: a list entry matches nothing.
        """
        for shard in shards_of_table(self.table, self.options, self.lists):
            row = self._n_shards, shard.name, shard.split, "\n".join(shard.keys)
            self.table.db.execute("INSERT INTO shard VALUES (?, ?, ?, ?)", row)
            self._n_shards += 1
        return self._n_shards

    def digest(self) -> str:
        """`options.digest` of [[name, [digest of each sample]], ...], without loading all of them into memory."""
        state = hashlib.sha256(b"[")
        for number in range(self._n_shards):
            name, _, keys = self._shard(number)
            state.update(b"," if number else b"")
            state.update(canonical_json([name, [digest(self._sample(key)) for key in keys]]).encode())
        state.update(b"]")
        return state.hexdigest()

    def part_rows(self, index: int, n_parts: int, dataset: str) -> list[ShardPlanRow]:
        """Consecutive shards, so that part order is shard order; excluded samples are spread over the parts."""
        first, end = (round(self._n_shards * at / n_parts) for at in (index, index + 1))
        rows = []
        for number in range(first, end):
            name, split, keys = self._shard(number)
            samples = [self._sample(key) for key in keys]
            rows.append(ShardPlanRow(key=name, parent=name, split=split, dataset=dataset, samples=samples))
        for out in self.table.exclusions(index, n_parts):
            known = {name: text for name in ("entry", "message") if (text := getattr(out, name))}
            rows.append(ShardPlanRow.filter_row(out.key, out.video_id, out.reason, out.value, out.threshold, **known))
        return rows

    def close(self) -> None:
        """Close the file."""
        self.table.close()

    def _shard(self, number: int) -> tuple[str, str, list[str]]:
        query = "SELECT name, split, keys FROM shard WHERE number = ?"
        name, split, keys = self.table.db.execute(query, (number,)).fetchone()
        return name, split, keys.split("\n")

    def _sample(self, key: str) -> PlannedSample:
        text = zlib.decompressobj(zdict=self._alike).decompress(self.table.record(key))
        return PlannedSample.model_validate_json(text)


def _names(row: Row) -> list[str]:
    """Names under which a removal list may refer to the video or clip of a row."""
    names = [row.key]
    if isinstance(row, VideoRow):
        names += [_file_name(row.uri), row.source_url, row.sha256]
    return [name for name in names if name]


def _file_name(uri: str) -> str:
    return Path(path_of(uri)).name if uri else ""

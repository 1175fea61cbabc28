"""The encode stage makes a tar of VAE latents and text embeddings for every tar of the dataset (paper, section 3.3).

It is not part of `build-mask-dataset`, because its output depends on a base model and a video format.

* A killed run resumes after the last complete group and gives the same bytes, on the same hardware and library
  versions. A group is `batch_size` clips of a tar; on object stores, the whole tar is encoded again.
* The SHA-256 of a tar is checked before the tar is read.
* Encodings that are not finite stop the stage with a `ModelError`. This happens in float16, where T5 overflows.
"""

import contextlib
import functools
import logging
import time
from collections.abc import Sequence
from typing import Any

from mvideo_core.base.devices import default_device
from mvideo_core.base.digests import sha256_of
from mvideo_core.base.errors import ConfigError, StoreError
from mvideo_core.base.options import canonical_json
from mvideo_core.base.records import LatentShardRow, LatentWindow, Row, ShardRow
from mvideo_core.cogvideox.base import BaseOptions, load_base
from mvideo_core.engine.growing_file import GrowingFile
from mvideo_core.engine.run import RunOptions, StageSummary, run_stage
from mvideo_core.engine.stage import Item, Stage, StageContext, Worker
from mvideo_core.shards.tar_format import tar_end
from mvideo_core.store.keys import part_key, settings_digest
from mvideo_core.store.workspace import Workspace
from mvideo_core.training.latents.group import batches, compute_ahead, decode_batches, encode_group
from mvideo_core.training.latents.identity import base_identity
from mvideo_core.training.latents.info import EMPTY_NAME, LatentIdentity
from mvideo_core.training.latents.members import tensor_bytes
from mvideo_core.training.latents.options import LatentOptions
from mvideo_core.training.latents.source import PlannedClip, ShardReader, plan_clips
from mvideo_core.training.latents.text import TEXT, embed_texts

log = logging.getLogger(__name__)

LOG_EVERY_S = 15.0


class EncodeWorker(Worker):
    """Writes one tar at a time; each group of `batch_size` clips in a tar is appended as one unit.

    Groups have fixed positions, so an interrupted tar resumes with the first missing group.
    """

    def __init__(self, options: LatentOptions, context: StageContext):
        self.options, self.context = options, context
        self.identity = base_identity(options.base, options.format)
        self.base = encoders(options)
        self.settings = settings_digest(STAGE.name, STAGE.revision, options, _externals(options))

    def work(self, items: Sequence[Item]) -> list[list[Row]]:
        """One LatentShardRow per tar of the dataset, plus a filtered row for every clip that is too short."""
        return [self._shard(item) for item in items]

    def _shard(self, item: Item) -> list[Row]:
        shard = item.row(ShardRow)
        assert shard.tar is not None
        root = latents_folder(self.settings, shard.tar.path)
        write_empty(self.context.workspace, root, self.base, self.identity)
        clip_frames = self.identity.format.clip_frames
        planned = plan_clips(shard, clip_frames, self.options)
        groups = list(batches((clip for clip in planned if clip.windows), self.options.batch_size))
        growing = GrowingFile(self.context, item.content_key)
        try:
            with self.context.local(shard.tar).open("rb") as stream:
                _check_tar(sha256_of(stream), shard)
                reader = ShardReader(stream, shard.tar.path)
                self._fill(growing, reader, groups, shard.key)
            tar = growing.finish(tar_end(growing.size_bytes), f"{root}/{shard.split}/{shard.key}.tar")
        finally:
            growing.close()
        windows = [LatentWindow.model_validate(values) for note in growing.notes for values in note]
        row = LatentShardRow(key=shard.key, parent=shard.key, split=shard.split, tar=tar, windows=windows)
        return [row, *(_too_short(clip, shard, clip_frames) for clip in planned if not clip.windows)]

    def _fill(
        self, growing: GrowingFile, reader: ShardReader, groups: Sequence[Sequence[PlannedClip]], name: str
    ) -> None:
        """Encode the missing groups. Memory: a group's latents and two batches of frames."""
        clock, missing = _Clock(name, len(groups), len(growing.notes)), groups[len(growing.notes) :]
        decoded = decode_batches(reader, missing, self.identity.format, self.options)
        with contextlib.closing(compute_ahead(decoded)) as batches:  # closed before the tar: its thread reads from it
            for group in missing:
                content, windows = encode_group(
                    self.base, self.identity, self.options, group, batches, growing.size_bytes
                )
                growing.append(content, [window.model_dump(mode="json") for window in windows])
                clock.tick(len(growing.notes), len(windows))


def write_empty(workspace: Workspace, root: str, base: Any, identity: LatentIdentity) -> None:
    """Write the embedding of the empty prompt if missing; encoded alone, so its bytes do not depend on a batch."""
    path = f"{root}/{EMPTY_NAME}"
    if not workspace.folder.exists(path):
        text_BLC = embed_texts(base.text_encoder, base.tokenizer, [""], identity.text_tokens)
        workspace.folder.write(path, tensor_bytes({TEXT: text_BLC[0]}))


def latents_folder(settings: str, dataset_path: str) -> str:
    """Folder of a dataset's latents within the workspace: different options, models or data give a new folder.

    Args:
        settings: `settings_digest` of this stage.
        dataset_path: any path in the dataset's folder "datasets/<key>"; the key is derived from the content.
    """
    dataset = "/".join(dataset_path.split("/")[:2])
    return f"latents/{part_key(settings, {'dataset': dataset})[:16]}"


def _too_short(clip: PlannedClip, shard: ShardRow, clip_frames: int) -> LatentShardRow:
    seen, sample = clip.sample.n_frames, clip.sample
    return LatentShardRow.filter_row(sample.key, shard.key, "clip_too_short", seen, clip_frames, split=shard.split)


def _check_tar(sha256: str, shard: ShardRow) -> None:
    assert shard.tar is not None
    if sha256 != shard.tar.sha256:
        raise StoreError(
            f"{shard.tar.path}: SHA-256 is {sha256}, expected {shard.tar.sha256}; the file was damaged after "
            "writing: delete it and rerun stage shard"
        )


class _Clock:
    """A log line every few seconds: groups of a tar done, windows per second, time left."""

    def __init__(self, name: str, n_groups: int, n_done: int):
        self.name, self.n_groups, self.n_before, self.n_windows = name, n_groups, n_done, 0
        self.started = self.last = time.monotonic()

    def tick(self, n_done: int, n_windows: int) -> None:
        self.n_windows += n_windows
        now = time.monotonic()
        if now - self.last < LOG_EVERY_S and n_done < self.n_groups:
            return
        self.last = now
        seconds = now - self.started
        left_s = seconds / (n_done - self.n_before) * (self.n_groups - n_done)
        rate = self.n_windows / seconds
        log.info("encode %s: %d/%d groups, %.2f windows/s, %.0f s left", self.name, n_done, self.n_groups, rate, left_s)


def encoders(options: LatentOptions) -> Any:
    """VAE and text encoder on this process's device, loaded once per set of options.

    Raises:
        ModelError: the weights are not on this machine.
    """
    return _load(canonical_json(options.base), options.tiling, default_device())


@functools.lru_cache(maxsize=1)
def _load(base_json: str, tiling: bool, where: str) -> Any:
    base = load_base(BaseOptions.model_validate_json(base_json), parts=("vae", "text_encoder"))
    for module in (base.vae, base.text_encoder):
        module.to(where).eval().requires_grad_(False)
    if tiling:
        base.vae.enable_tiling()
    return base


def _externals(options: LatentOptions) -> dict[str, str]:
    """Digests of VAE, text encoder and tokenizer, and the video format, which may come with the weights.

    Raises:
        ModelError: the weights are not on this machine.
    """
    values = base_identity(options.base, options.format).model_dump(mode="json")
    return {name: value if isinstance(value, str) else canonical_json(value) for name, value in values.items()}


STAGE = Stage(
    name="encode",
    revision=1,
    title="Encode the dataset into latents and text embeddings for training.",
    reads=("shard",),
    unit="sample",
    options=LatentOptions,
    row=LatentShardRow,
    resource="gpu",
    open=EncodeWorker,
    externals=_externals,
    adopts=False,
)


def plan_latents(workspace: Workspace) -> int:
    """Plan the encode stage's parts from the current dataset.

    Returns:
        Number of parts for `run_part`.

    Raises:
        ConfigError: there is no dataset yet.
    """
    if workspace.pointer("dataset") is None:
        raise ConfigError(
            f"{workspace.url} has no dataset to encode; run `mvideo run` or `mvideo stage shard --workspace "
            f"{workspace.url}` first"
        )
    n_parts = workspace.parts_of("shard")
    workspace.set_parts_of(STAGE.name, n_parts)
    return n_parts


def encode_dataset(
    workspace: Workspace, options: LatentOptions, run: RunOptions | None = None, parts: Sequence[int] | None = None
) -> StageSummary:
    """Encode the current dataset and publish the latents; finished work is kept.

    Args:
        parts: encode only these and publish nothing: for splitting the work among machines.

    Raises:
        ConfigError, ModelError, StoreError: see `plan_latents`, `run_stage` and `publish_latents`.
    """
    from mvideo_core.curation.stages.publish_latents import publish_latents

    started = time.monotonic()
    n_parts = plan_latents(workspace)
    summary = run_stage(workspace, STAGE, options, run, range(n_parts) if parts is None else parts)
    if parts is None:
        publish_latents(workspace, options)
    return summary.model_copy(update={"seconds": round(time.monotonic() - started, 3)})

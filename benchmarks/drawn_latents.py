"""A small folder of latents with drawn numbers, in the form that the encode stage writes."""

import hashlib
from pathlib import Path

import torch

from mvideo_core.base.records import LatentShardRow
from mvideo_core.cogvideox.base import BaseOptions
from mvideo_core.cogvideox.sizes import size_of
from mvideo_core.shards.card import FileEntry
from mvideo_core.training.latents.encode import latent_shapes
from mvideo_core.training.latents.identity import base_identity, vae_numbers
from mvideo_core.training.latents.info import (
    EMPTY_NAME,
    INDEX_NAME,
    INFO_NAME,
    LatentShard,
    LatentsInfo,
    info_bytes,
    latents_digest,
    write_index,
)
from mvideo_core.training.latents.members import EncodedClip, pack_clip, tensor_bytes
from mvideo_core.training.latents.text import TEXT
from mvideo_core.training.latents.windows import windows_of


def draw_latents(folder: Path, size: str = "tiny-sincos", clips: int = 6, seed: int = 0) -> Path:
    """`clips` clips of one window with history each, as one tar of the split "train"."""
    base, plan = BaseOptions(weights=f"random:{size}", dtype="fp32"), size_of(size)
    numbers = vae_numbers(base)
    shapes = latent_shapes(plan.format, numbers.channels, numbers.stride_px)
    text_shape = (plan.text_tokens, plan.transformer["text_embed_dim"])
    draw = torch.Generator().manual_seed(seed)
    windows = windows_of(plan.format.window_frames, plan.format.clip_frames)
    content, rows = bytearray(), []
    for n in range(clips):
        made = [(w, {k: torch.randn(s, generator=draw).bfloat16() for k, s in shapes.items()}) for w in windows]
        text = torch.randn(text_shape, generator=draw).bfloat16()
        packed, of_clip = pack_clip(EncodedClip(f"clip{n:03d}", f"video{n}", f"caption {n}", text, made), len(content))
        content += packed
        rows += of_clip
    content += bytes(1024)
    folder.mkdir(parents=True)
    tar = _write(folder, "train-000000.tar", bytes(content))
    empty = _write(folder, EMPTY_NAME, tensor_bytes({TEXT: torch.zeros(text_shape, dtype=torch.bfloat16)}))
    row = LatentShardRow(
        key="train-000000", status="ok", split="train", windows=rows,
        tar={"path": f"root/{tar.path}", "size_bytes": tar.size_bytes, "sha256": tar.sha256},
    )  # fmt: skip
    with (folder / INDEX_NAME).open("wb") as out:
        splits = write_index([row], "root", out)
    index = _entry(folder, INDEX_NAME)
    shard = LatentShard(**tar.model_dump(), split="train", clips=clips, windows=len(rows))
    info = LatentsInfo(
        digest=latents_digest([shard, empty]), written_by="test", dataset="drawn", dataset_digest="",
        scaling_factor=numbers.scaling_factor, stride_px=numbers.stride_px, identity=base_identity(base),
        latent_channels=numbers.channels, text_shape=text_shape,
        splits=splits, filtered={}, options={}, index=index, empty=empty, shards=[shard],
    )  # fmt: skip
    (folder / INFO_NAME).write_bytes(info_bytes(info))
    return folder


def _write(folder: Path, name: str, content: bytes) -> FileEntry:
    (folder / name).write_bytes(content)
    return _entry(folder, name)


def _entry(folder: Path, name: str) -> FileEntry:
    content = (folder / name).read_bytes()
    return FileEntry(path=name, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())

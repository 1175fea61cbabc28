"""Bytes and milliseconds of the mask codec for 97 frames x 3 objects of 480x720, compared with other formats.

- coco + zstd: SA-V's format, compressed COCO run lengths (pycocotools) as JSON under zstd level 3.
- packbits + zstd: one bit per pixel (numpy.packbits) under zstd level 3.
- npz labels: a label map per frame in a compressed .npz, as VPData stores masks (VideoPainter); loses overlaps.

encode: bool pixels -> bytes. decode: bytes -> bool pixels of all frames. load: bytes -> whatever the codec measures on.
    frame: one frame's pixels after `load`. iou: IoU of all 291 masks with those of another clip, both loaded. All run
    in one thread; CPU milliseconds (median) decide, wall milliseconds are reported next to them.
"""

import io
import json
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import zstandard

from benchmarks.drawing import draw_masks, world_masks
from benchmarks.timing import Work, cpus, interleave, spread, walls
from mvideo_core.masks import MaskSequence, encode, from_bytes
from mvideo_core.masks.measure import ious

OTHER_FRAME = 61
TIMED = ("encode", "decode", "load", "frame")


class Codec(NamedTuple):
    """One way of storing masks; `load` returns what `frame`, `pixels` and `iou` work on."""

    encode: Callable[[np.ndarray], bytes]
    load: Callable[[bytes], Any]
    pixels: Callable[[Any], np.ndarray]
    frame: Callable[[Any, int], np.ndarray]
    iou: Callable[[Any, Any], np.ndarray]

    def decode(self, data: bytes) -> np.ndarray:
        """Bool pixels of all frames from the bytes."""
        return self.pixels(self.load(data))


def measure(rounds: int = 9, n_frames: int = 97, height: int = 480, width: int = 720) -> dict[str, Any]:
    """Per kind of masks and codec: bytes, milliseconds of the five operations; each codec is verified as lossless."""
    kinds = {kind: draw_masks(kind, n_frames, 3, height, width) for kind in ("smooth", "rough")}
    kinds["world"] = world_masks(n_frames, 3, height, width)
    tables = {kind: _one_kind(masks, rounds) for kind, masks in kinds.items()}
    ours = [tables[kind]["ours"] for kind in tables]
    return {
        "masks": f"{n_frames} frames x 3 objects x {height}x{width}",
        "kinds": tables,
        "worst_kb": max(one["kb"] for one in ours),
        "worst_encode_ms": max(one["cpu_ms"]["encode"] for one in ours),
        "worst_decode_ms": max(one["cpu_ms"]["decode"] for one in ours),
        "worst_frame_ms": max(one["cpu_ms"]["frame"] for one in ours),
        "worst_load_ms": max(one["cpu_ms"]["load"] for one in ours),
        "spread": {f"worst_{what}_ms": _worst(ours, what)["spread_cpu_ms"][what] for what in TIMED},
        "kb_against_frame_before": {kind: kb_against_frame_before(masks) for kind, masks in kinds.items()},
        "bytes_of_coco": {kind: round(one["ours"]["kb"] / one["coco+zstd"]["kb"], 2) for kind, one in tables.items()},
        "watched": {"worst_load_ms": "<"},
        "goals": {
            "worst_kb": "<= 60", "worst_encode_ms": "<= 20", "worst_decode_ms": "<= 20", "worst_frame_ms": "< 0.5",
        },
    }  # fmt: skip


def kb_against_frame_before(masks_TNHW: np.ndarray) -> float:
    """kB of lengths of runs of pixels that differ, or not, from the frame before, under zstd level 5."""
    changed = masks_TNHW.copy()
    changed[1:] ^= masks_TNHW[:-1]
    flat = changed.reshape(-1)
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths = np.diff(np.concatenate([[0], edges, [flat.size]])).astype("<u4")
    planes = np.frombuffer(lengths.tobytes(), np.uint8).reshape(-1, 4).T.tobytes()
    return round(len(zstandard.ZstdCompressor(level=5).compress(planes)) / 1e3, 1)


def _worst(tables: list[dict[str, Any]], what: str) -> dict[str, Any]:
    return max(tables, key=lambda one: one["cpu_ms"][what])


def _one_kind(masks_TNHW: np.ndarray, rounds: int) -> dict[str, Any]:
    other_TNHW = np.roll(masks_TNHW, (3, 5), axis=(2, 3))
    frame = min(OTHER_FRAME, len(masks_TNHW) - 1)
    works: dict[tuple[str, str], Work] = {}
    sizes = {}
    for name, codec in codecs(masks_TNHW.shape).items():
        data, other = codec.encode(masks_TNHW), codec.encode(other_TNHW)
        loaded, loaded_other = codec.load(data), codec.load(other)
        lost = np.count_nonzero(codec.pixels(loaded) != masks_TNHW)
        assert lost <= (
            0 if name != "npz labels" else np.count_nonzero(masks_TNHW.sum(axis=1) > 1) * masks_TNHW.shape[1]
        )
        sizes[name] = round(len(data) / 1e3, 1)
        works[name, "encode"] = partial(codec.encode, masks_TNHW)
        works[name, "decode"] = partial(codec.decode, data)
        works[name, "load"] = partial(codec.load, data)
        works[name, "frame"] = partial(codec.frame, loaded, frame)
        works[name, "iou"] = partial(codec.iou, loaded, loaded_other)
    took = interleave(works, rounds)
    table: dict[str, Any] = {
        name: {"kb": size, "cpu_ms": {}, "wall_ms": {}, "spread_cpu_ms": {}} for name, size in sizes.items()
    }
    for (name, what), one in took.items():
        table[name]["cpu_ms"][what] = round(1e3 * spread(cpus(one)).median, 2)
        table[name]["wall_ms"][what] = spread([1e3 * s for s in walls(one)]).round_to(2)
        table[name]["spread_cpu_ms"][what] = spread([1e3 * s for s in cpus(one)]).round_to(2)
    return table


def codecs(shape: tuple[int, ...]) -> dict[str, Codec]:
    """All four, for clips of (T, N, H, W)."""
    return {
        "ours": _ours(), "coco+zstd": _coco(shape), "packbits+zstd": _packbits(shape), "npz labels": _npz(shape[1]),
    }  # fmt: skip


def _ours() -> Codec:
    return Codec(
        encode=lambda masks: encode(masks).to_bytes(),
        load=from_bytes,
        pixels=MaskSequence.pixels,
        frame=MaskSequence.frame,
        iou=ious,
    )


def _coco(shape: tuple[int, ...]) -> Codec:
    from pycocotools import mask as coco
    from zstandard import ZstdCompressor, ZstdDecompressor

    size = list(shape[2:])

    def pack(masks: np.ndarray) -> bytes:
        rows = []
        for frame in masks:
            codes = coco.encode(np.asfortranarray(frame.transpose(1, 2, 0).view(np.uint8)))
            rows.append([{"size": size, "counts": code["counts"].decode()} for code in codes])
        return ZstdCompressor(level=3).compress(json.dumps(rows).encode())

    def load(data: bytes) -> list[list[dict[str, Any]]]:
        rows: list[list[dict[str, Any]]] = json.loads(ZstdDecompressor().decompress(data))
        return rows

    def frame_of(rows: list[list[dict[str, Any]]], frame: int) -> np.ndarray:
        return np.asarray(coco.decode(rows[frame])).transpose(2, 0, 1).view(np.bool_)

    def iou(a: list[list[dict[str, Any]]], b: list[list[dict[str, Any]]]) -> np.ndarray:
        return np.array(
            [coco.iou([x], [y], [0])[0, 0] for fa, fb in zip(a, b, strict=True) for x, y in zip(fa, fb, strict=True)]
        )

    return Codec(pack, load, lambda rows: np.stack([frame_of(rows, t) for t in range(len(rows))]), frame_of, iou)


def _packbits(shape: tuple[int, ...]) -> Codec:
    from zstandard import ZstdCompressor, ZstdDecompressor

    def load(data: bytes) -> np.ndarray:
        return np.frombuffer(ZstdDecompressor().decompress(data), np.uint8).reshape(*shape[:3], -1)

    def unpack(bits: np.ndarray) -> np.ndarray:
        return np.unpackbits(bits, axis=-1, count=shape[3]).view(np.bool_)

    def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        both, either = (np.bitwise_count(bits).sum(axis=(2, 3), dtype=np.int64) for bits in (a & b, a | b))
        return np.where(either, both / np.maximum(either, 1), 1.0)

    return Codec(
        encode=lambda masks: ZstdCompressor(level=3).compress(np.packbits(masks, axis=-1).tobytes()),
        load=load,
        pixels=unpack,
        frame=lambda bits, frame: unpack(bits[frame]),
        iou=iou,
    )


def _npz(n_objects: int) -> Codec:
    def pack(masks: np.ndarray) -> bytes:
        labels = np.zeros((len(masks), *masks.shape[2:]), np.uint8)
        for obj in range(n_objects):
            labels[masks[:, obj]] = obj + 1
        file = io.BytesIO()
        np.savez_compressed(file, labels)
        return file.getvalue()

    def load(data: bytes) -> np.ndarray:
        labels: np.ndarray = np.load(io.BytesIO(data))["arr_0"]
        return labels

    def pixels(labels: np.ndarray) -> np.ndarray:
        return np.stack([labels == obj + 1 for obj in range(n_objects)], axis=-3)

    def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        both, either = ((f(pixels(a), pixels(b))).sum(axis=(2, 3)) for f in (np.logical_and, np.logical_or))
        return np.where(either, both / np.maximum(either, 1), 1.0)

    return Codec(pack, load, pixels, lambda labels, frame: pixels(labels[frame]), iou)


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))

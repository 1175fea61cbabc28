"""Masks as `.npz`: array `masks` (T, N, H, W) bool or uint8, `fps`, `labels`. Read and written frame by frame."""

import lzma
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from mvideo_core.editing.clip import RunWriter, edges_of
from mvideo_core.errors import MediaError
from mvideo_core.masks import MaskSequence

MAX_SMALL_BYTES = 1 << 20


def read(place: Path) -> tuple[MaskSequence, float | None, tuple[str, ...]]:
    """Masks, frame rate and names; memory holds one frame and the runs.

    Raises:
        MediaError: not such a file, or damaged. Pickled objects are never loaded.
    """
    try:
        with zipfile.ZipFile(place) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")}
            if "masks" not in names:
                raise MediaError(f"{place}: no array `masks` (T, H, W) or (T, N, H, W); it has: {sorted(names)}")
            fps = _small(archive, "fps") if "fps" in names else None
            labels = _small(archive, "labels") if "labels" in names else np.zeros(0, np.str_)
            with archive.open("masks.npy") as stream:
                sequence = _masks(stream, place)
            rate = None if fps is None else float(fps.reshape(()))
            return sequence, rate, tuple(str(label) for label in labels.reshape(-1))
    except (
        zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, TypeError, NotImplementedError,
        RuntimeError,
    ) as error:  # fmt: skip
        raise MediaError(f"{place}: not a readable .npz: {error}") from None


def write(place: Path, sequence: MaskSequence, fps: float, labels: Sequence[str]) -> None:
    """Masks as bool (T, N, H, W), compressed."""
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open(_entry("masks.npy"), "w", force_zip64=True) as stream:
            header = {"descr": "|b1", "fortran_order": False, "shape": sequence.shape}
            npy.write_array_header_1_0(stream, header)
            for frame in range(sequence.n_frames):
                stream.write(sequence.frame(frame).tobytes())
        for name, value in (("fps", np.float64(fps)), ("labels", np.array(list(labels), np.str_))):
            with archive.open(_entry(f"{name}.npy"), "w") as stream:
                npy.write_array(stream, np.asarray(value), allow_pickle=False)


def _entry(name: str) -> zipfile.ZipInfo:
    """A member without a time: same masks, same bytes."""
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def _small(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    if archive.getinfo(f"{name}.npy").file_size > MAX_SMALL_BYTES:
        raise ValueError(f"array {name} is larger than {MAX_SMALL_BYTES} bytes")
    with archive.open(f"{name}.npy") as stream:
        return np.asarray(npy.read_array(stream, allow_pickle=False))


def _masks(stream: IO[bytes], place: Path) -> MaskSequence:
    version = npy.read_magic(stream)
    reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = reader(stream)
    if len(shape) == 3:
        shape = (shape[0], 1, *shape[1:])
    if len(shape) != 4 or fortran or dtype not in (np.dtype(bool), np.dtype(np.uint8)):
        raise MediaError(
            f"{place}: masks {dtype}{list(shape)}, bool or uint8 (T, H, W) or (T, N, H, W) in C order wanted"
        )
    n_frames, n_objects, height, width = (int(side) for side in shape)
    writer = RunWriter(n_frames, n_objects, height, width)
    for _ in range(n_frames * n_objects):
        raw = stream.read(height * width)
        if len(raw) != height * width:
            raise MediaError(f"{place}: the array `masks` ends early; the file is damaged")
        writer.append(edges_of(np.frombuffer(raw, np.uint8).reshape(height, width) != 0))
    return writer.finish()

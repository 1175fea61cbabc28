"""Masks as `.npz` or `.npy`. Ours is an `.npz`: `masks` (T, N, H, W) bool, `fps`, `labels`; written frame by frame.

Reading copies the array to a temporary file and maps it, so memory holds one mask and the runs, whatever the axis
order.
"""

import lzma
import math
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from mvideo_core.base.errors import MediaError, StoreError
from mvideo_core.masks import MaskSequence
from mvideo_core.masks.codec import check_shape
from mvideo_core.masks.io.array_axes import axes_of
from mvideo_core.masks.io.clip import RunWriter, edges_of
from mvideo_core.masks.io.mask_form import AXES, MaskForm
from mvideo_core.masks.io.mask_frames import MaskFrame, Read, read_frames
from mvideo_core.masks.io.picture_file import scale_to_16_bits

MAX_SMALL_BYTES = 1 << 20
BLOCK_BYTES = 1 << 20
MASKS, FPS, LABELS = "masks", "fps", "labels"
FEW_NUMBERS = 16
"""Integers up to this value are inside if not 0; larger ones are brightness, split at half."""


def read_npy(place: Path, form: MaskForm = MaskForm()) -> Read:
    """Masks of a `.npy`.

    Raises:
        MediaError: as `read_npz`.
    """
    try:
        with place.open("rb") as stream, _map_array(stream, str(place)) as array:
            return _read(array, str(place), form, 0)
    except (OSError, EOFError, ValueError, TypeError) as error:
        raise MediaError(f"{place}: not a readable .npy: {error}") from None


def read_npz(place: Path, form: MaskForm = MaskForm()) -> tuple[Read, float | None]:
    """Masks with their names, and the frame rate if the file has one.

    Raises:
        MediaError: not such a file, damaged, no array of masks or several, or axes or values that are ambiguous.
            Pickled objects are never loaded.
    """
    try:
        with zipfile.ZipFile(place) as archive:
            names = sorted(name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy"))
            fps = _small(archive, FPS) if FPS in names else None
            labels = _small(archive, LABELS).reshape(-1) if LABELS in names else np.zeros(0, np.str_)
            member = _member(archive, names, place)
            with archive.open(f"{member}.npy") as stream, _map_array(stream, f"{place} ({member})") as array:
                done = _read(array, f"{place} ({member})", form, len(labels))
            rate = None if fps is None else float(fps.reshape(()))
            return done._replace(labels=tuple(str(label) for label in labels) or done.labels), rate
    except (
        zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, TypeError, NotImplementedError,
        RuntimeError,
    ) as error:  # fmt: skip
        raise MediaError(f"{place}: not a readable .npz: {error}") from None


def write(place: Path, sequence: MaskSequence, fps: float, labels: Sequence[str]) -> None:
    """Write masks as bool (T, N, H, W), compressed."""
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open(_entry(f"{MASKS}.npy"), "w", force_zip64=True) as stream:
            header = {"descr": "|b1", "fortran_order": False, "shape": sequence.shape}
            npy.write_array_header_1_0(stream, header)
            for frame in range(sequence.n_frames):
                stream.write(sequence.frame(frame).tobytes())
        for name, value in ((FPS, np.float64(fps)), (LABELS, np.array(list(labels), np.str_))):
            with archive.open(_entry(f"{name}.npy"), "w") as stream:
                npy.write_array(stream, np.asarray(value), allow_pickle=False)


def write_label_maps(place: Path, maps: Sequence[np.ndarray]) -> None:
    """Write label maps, T of (H, W) uint8, as the compressed array `arr_0` (T, H, W) that `np.load` reads."""
    with zipfile.ZipFile(place, "w") as archive, archive.open(_entry("arr_0.npy"), "w", force_zip64=True) as stream:
        npy.write_array_header_1_0(
            stream, {"descr": "|u1", "fortran_order": False, "shape": (len(maps), *maps[0].shape)}
        )
        for frame in maps:
            stream.write(frame.tobytes())


def _entry(name: str) -> zipfile.ZipInfo:
    """A zip member without a timestamp: same masks, same bytes."""
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def _small(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    if archive.getinfo(f"{name}.npy").file_size > MAX_SMALL_BYTES:
        raise ValueError(f"array {name} is larger than {MAX_SMALL_BYTES} bytes")
    with archive.open(f"{name}.npy") as stream:
        if _header(stream, name)[2].hasobject:
            raise ValueError(f"array {name} holds Python objects (a pickle), which are never loaded")
    with archive.open(f"{name}.npy") as stream:
        return np.asarray(npy.read_array(stream, allow_pickle=False))


def _member(archive: zipfile.ZipFile, names: Sequence[str], place: Path) -> str:
    """The array `masks`, or the only array with frames."""
    if MASKS in names:
        return MASKS
    shapes = {}
    for name in names:
        with archive.open(f"{name}.npy") as stream:
            shapes[name] = _header(stream, name)[0]
    large = [name for name, shape in shapes.items() if len(shape) >= 2]
    if len(large) != 1:
        seen = ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "nothing"
        raise MediaError(
            f"{place}: no array `masks`, and not exactly one other array that can be masks; it has {seen}; "
            "name the masks `masks`"
        )
    return large[0]


def _header(stream: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and dtype of a .npy; NumPy's own messages recommend unsafe things."""
    try:
        version = npy.read_magic(stream)
        reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = reader(stream)
    except ValueError:
        raise ValueError(f"the header of array {name} is damaged") from None
    return tuple(int(side) for side in shape), fortran, dtype


@contextmanager
def _map_array(stream: IO[bytes], name: str) -> Iterator[np.ndarray]:
    """The array of a .npy stream, mapped from a temporary file."""
    shape, fortran, dtype = _header(stream, name)
    if dtype.kind not in "buif":
        what = "Python objects (a pickle), which are never loaded" if dtype.hasobject else f"values of type {dtype}"
        raise MediaError(f"{name}: it holds {what}; expected bool, integers or fractions from 0 to 1")
    n_bytes = math.prod(shape) * dtype.itemsize
    if len(shape) not in range(2, len(AXES) + 2) or not n_bytes:
        raise MediaError(f"{name}: array of shape {shape}: expected (T, H, W) or (T, N, H, W) with at least one frame")
    with tempfile.TemporaryFile() as spool:
        _spool(stream, spool, n_bytes, name)
        yield np.memmap(spool, dtype, "r", shape=shape, order="F" if fortran else "C")


def _spool(stream: IO[bytes], spool: IO[bytes], n_bytes: int, name: str) -> None:
    """Copy exactly the array's bytes into the temporary file."""
    left = n_bytes
    while left and (block := stream.read(min(left, BLOCK_BYTES))):
        left -= len(block)
        try:
            spool.write(block)
            spool.flush()
        except OSError as error:
            raise StoreError(
                f"{tempfile.gettempdir()}: no space for a copy of {name} ({n_bytes} bytes): {error.strerror}; set "
                "TMPDIR to a folder with enough space"
            ) from None
    if left:
        raise MediaError(f"{name}: the array is truncated at {n_bytes - left} of {n_bytes} bytes; the file is damaged")


def _read(array: np.ndarray, name: str, form: MaskForm, n_labels: int) -> Read:
    axes = axes_of(array.shape, name, form.layout, n_labels)
    array = array.transpose([axes.index(axis) for axis in AXES if axis in axes])
    if "T" not in axes:
        array = array[None]
    objects = array if "N" in axes else array[:, None]
    check_shape(*objects.shape)
    whole = array.dtype.kind in "bui" or all(np.array_equal(plane, np.round(plane)) for plane in _flatten(objects))
    if objects.shape[1] > 1:
        if form.content not in ("", "binary", "inverted"):
            raise MediaError(f"{name}: {objects.shape[1]} objects, one plane each; --as {form.content} does not apply")
        return _planes(objects, name, whole, form.content == "inverted")

    def frames() -> Iterator[MaskFrame]:
        return (MaskFrame(scale_to_16_bits(plane, name, whole)) for plane in objects[:, 0])

    return read_frames(frames, name, form, whole, n_labels)


def _flatten(objects: np.ndarray) -> Iterator[np.ndarray]:
    return (plane for frame in objects for plane in frame)


def _planes(objects: np.ndarray, name: str, whole: bool, inverted: bool) -> Read:
    """(T, N, H, W) with N > 1: each plane is one mask."""
    top = max(int(scale_to_16_bits(plane, name, whole).max(initial=0)) for plane in _flatten(objects))
    half = 1 if top <= FEW_NUMBERS else (top + 1) / 2
    writer = RunWriter(*objects.shape)
    for plane in _flatten(objects):
        writer.append(edges_of((scale_to_16_bits(plane, name, whole) >= half) != inverted))
    return Read(writer.finish(), (), "")

"""Tensors of safetensors files by their headers, and their values a few at a time; torch is not imported."""

import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mvideo_core.base.errors import ModelError
from mvideo_core.weights.file_checks import safetensors_header

SAMPLED_VALUES = 64
"""Values read at each of three places of a tensor: start, middle, end."""
CHUNK_BYTES = 8 << 20
_EXPONENTS = {
    "F64": (np.uint64, 0x7FF0_0000_0000_0000),
    "F32": (np.uint32, 0x7F80_0000),
    "F16": (np.uint16, 0x7C00),
    "BF16": (np.uint16, 0x7F80),
}
"""Bits that are all set in NaN and infinity, and in no other value."""


class StoredTensor(NamedTuple):
    """One tensor on disk: bytes [start_byte, start_byte + size_bytes) of a file."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    start_byte: int
    size_bytes: int


def weight_files(folder: Path, stem: str) -> list[Path]:
    """Safetensors files that the loaders read: the single one if it exists, else those in the index.

    Raises:
        ModelError: neither exists, or the index cannot be read.
    """
    single, index = folder / f"{stem}.safetensors", folder / f"{stem}.safetensors.index.json"
    if single.is_file():
        return [single]
    try:
        names = sorted({str(name) for name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ModelError(f"weights: {single} is missing, and so is {index.name} or its content") from None
    return [folder / name for name in names]


def list_stored(files: Iterable[Path]) -> dict[str, StoredTensor]:
    """Every tensor of some files by name.

    Raises:
        ModelError: a file is not a complete safetensors file.
    """
    found: dict[str, StoredTensor] = {}
    for path in files:
        header = safetensors_header(path)
        if isinstance(header, str):
            raise ModelError(f"weights: {path}: {header}; copy it again")
        with path.open("rb") as stream:
            data_byte = 8 + int.from_bytes(stream.read(8), "little")
        for name, tensor in header.items():
            start, end = tensor["data_offsets"]
            shape = tuple(int(side) for side in tensor["shape"])
            found[name] = StoredTensor(path, str(tensor["dtype"]), shape, data_byte + start, end - start)
    return found


def first_not_finite(tensors: dict[str, StoredTensor], deep: bool = False) -> str:
    """Name of a tensor with NaN or infinity; "" if none was found.

    Args:
        deep: read every value; otherwise `SAMPLED_VALUES` at three places of each tensor.
    """
    for name, tensor, content in _contents(tensors, deep):
        kind = _EXPONENTS.get(tensor.dtype)
        if kind is None:
            continue
        bits = np.frombuffer(content, kind[0])
        mask = kind[0](kind[1])
        if bool(((bits & mask) == mask).any()):
            return name
    return ""


def all_zero(tensor: StoredTensor) -> bool:
    """Whether every byte of a tensor is zero."""
    return not any(any(content) for _, _, content in _contents({"": tensor}, deep=True))


def sha256_of_samples(tensors: dict[str, StoredTensor]) -> str:
    """SHA-256 (hex) over name, dtype, shape and sampled values, however the files are named or split."""
    whole = hashlib.sha256()
    for name in sorted(tensors):
        for _, tensor, content in _contents({name: tensors[name]}, deep=False):
            whole.update(f"{name}\0{tensor.dtype}\0{tensor.shape}\0".encode() + content)
    return whole.hexdigest()


def _contents(tensors: dict[str, StoredTensor], deep: bool) -> Iterator[tuple[str, StoredTensor, bytes]]:
    """Pieces of each tensor, in whole values, file by file in byte order."""
    file, opened = -1, None
    try:
        for name, tensor in sorted(tensors.items(), key=lambda one: (str(one[1].path), one[1].start_byte)):
            if tensor.path != opened:
                if file >= 0:
                    os.close(file)
                file, opened = os.open(tensor.path, os.O_RDONLY), tensor.path
            for start, size in _pieces(tensor, deep):
                yield name, tensor, os.pread(file, size, tensor.start_byte + start)
    finally:
        if file >= 0:
            os.close(file)


def _pieces(tensor: StoredTensor, deep: bool) -> Iterator[tuple[int, int]]:
    """(first byte, bytes) within the tensor."""
    value_bytes = max(1, tensor.size_bytes // max(1, math.prod(tensor.shape)))
    size = SAMPLED_VALUES * value_bytes
    if deep or tensor.size_bytes <= 3 * size:
        for start in range(0, tensor.size_bytes, CHUNK_BYTES):
            yield start, min(CHUNK_BYTES, tensor.size_bytes - start)
        return
    middle = tensor.size_bytes // value_bytes // 2 * value_bytes
    for start in (0, middle, tensor.size_bytes - size):
        yield start, min(size, tensor.size_bytes - start)

"""Identity of base weights by content: every byte of every tensor, however the files are named or split.

`fingerprint.py` samples files, which is enough to name latents; resuming a run or loading an adapter needs certainty
that no tensor was exchanged. Reading CogVideoX-5b's 11 GB takes seconds to a minute, so digests of large files are kept
in the user's cache and reused as long as the file's size, times (modified, changed) and inode stay the same.
"""

import hashlib
import json
import logging
import os
import time
from pathlib import Path
from typing import Any

from mvideo_core.base.digests import file_sha256
from mvideo_core.base.disk import write_whole
from mvideo_core.base.errors import ModelError, StoreError
from mvideo_core.base.listing import visible_files
from mvideo_core.base.options import digest
from mvideo_core.weights.tensors import list_stored, sha256_of_samples, weight_files

log = logging.getLogger(__name__)
CACHED_FROM_BYTES = 64 << 20
"""Smaller files are read each time."""
CHUNK_BYTES = 4 << 20
SETTLED_S = 2.0
"""A file changed more recently is not cached: its times could not distinguish a second change from the first."""
SCHEDULE_FIELDS = (
    "num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "prediction_type",
    "snr_shift_scale", "rescale_betas_zero_snr",
)  # fmt: skip
"""The settings that the noise schedule depends on; the sampler's other settings may differ."""
NEW_PARAMETERS = ("mask_proj.weight", "segment_embed")
"""Parameters that CogVideoX does not have; zeros when new."""
CONDITIONING_CONFIG = (
    "mask_channels", "clean_modulation", "segment_embedding", "history_offset_frames", "spatial_align",
)  # fmt: skip
"""Fields of the transformer's configuration that trained conditioning depends on. With the new parameters they belong
to the adapter: a plain CogVideoX and the same one saved by us are one base."""


def base_sha256(folder: Path) -> str:
    """SHA-256 (hex) of a pipeline folder's transformer and noise schedule.

    It covers name, dtype, shape and bytes of all tensors, the transformer's configuration and the scheduler fields that
    the noise depends on. File names, sharding, the folder's path and MVideo's own parameters make no difference.

    Raises:
        ModelError: a file cannot be read.
    """
    config = _json(folder / "transformer" / "config.json")
    schedule = _json(folder / "scheduler" / "scheduler_config.json")
    own = {name: value for name, value in config.items() if name[0] != "_" and name not in CONDITIONING_CONFIG}
    return digest(
        {
            "tensors": tensors_sha256(folder / "transformer"),
            "transformer": own,
            "schedule": {name: schedule.get(name) for name in SCHEDULE_FIELDS},
        }
    )


def conditioning_config(folder: Path) -> dict[str, Any]:
    """MVideo's own fields of a pipeline folder's transformer configuration; empty for a plain CogVideoX."""
    config = _json(folder / "transformer" / "config.json")
    return {name: config[name] for name in CONDITIONING_CONFIG if name in config}


def tensors_sha256(folder: Path) -> str:
    """SHA-256 (hex) over name, dtype, shape and bytes of every tensor that diffusers would load from a folder.

    Raises:
        ModelError: a file is missing or is not a safetensors file.
    """
    tensors: dict[str, str] = {}
    for path in _weight_files(folder):
        tensors |= file_tensors(path)
    return digest({name: value for name, value in tensors.items() if name not in NEW_PARAMETERS})


def encoder_digests(folder: Path) -> dict[str, str]:
    """SHA-256 (hex) of a pipeline folder's "vae" and "text_encoder", if present; see `sha256_of_samples`.

    An adapter depends on these two's latents and embeddings; a sample of each tensor distinguishes the releases.
    """
    stems = {"vae": "diffusion_pytorch_model", "text_encoder": "model"}
    return {
        part: sha256_of_samples(list_stored(weight_files(folder / part, stem)))
        for part, stem in stems.items()
        if any((folder / part).glob(f"{stem}*.safetensors"))
    }


def cache_folder() -> Path | None:
    """Where digests are cached: $XDG_CACHE_HOME/mvideo/digests, else ~/.cache/mvideo/digests; None without a home."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "mvideo" / "digests"
    except RuntimeError:
        return None


def _weight_files(folder: Path) -> list[Path]:
    """The files of the index; without one, the single file; without either, all weight files."""
    for index in visible_files(folder, ".safetensors.index.json"):
        named = _json(index).get("weight_map")
        if not isinstance(named, dict) or not named:
            raise ModelError(f"weights: {index}: its weight_map names no files; copy the model folder again")
        return sorted(folder / str(name) for name in set(named.values()))
    single = folder / "diffusion_pytorch_model.safetensors"
    if single.is_file():
        return [single]
    found = visible_files(folder, ".safetensors") or visible_files(folder, ".bin")
    if not found:
        raise ModelError(f"weights: {folder}: no .safetensors file; copy the whole model folder again")
    return found


def file_tensors(path: Path) -> dict[str, str]:
    """Tensor name -> SHA-256 of its dtype, shape and bytes; from the cache if the file has not changed since.

    Raises:
        ModelError: it cannot be read or is not a safetensors file.
    """
    try:
        seen = _stamp(path)
        note = _note(path) if seen["size"] >= CACHED_FROM_BYTES else None
        known = _read_note(note, seen)
        if known is not None:
            return known
        if note:
            log.info("%s: reading %.1f GB for its digest, once", path, seen["size"] / 1e9)
        tensors = _hash_tensors(path)
        if note and _stamp(path) == seen and time.time() - max(seen["mtime_ns"], seen["ctime_ns"]) / 1e9 > SETTLED_S:
            _write_note(note, {"path": str(path), "stamp": seen, "tensors": tensors})
    except OSError as error:
        raise ModelError(f"weights: {path}: cannot be read ({error}); copy the model folder again") from None
    return tensors


def _hash_tensors(path: Path) -> dict[str, str]:
    if path.suffix != ".safetensors":
        return {path.name: file_sha256(path)}
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        try:
            if size > path.stat().st_size:
                raise ValueError("its header is longer than the file")
            header: dict[str, Any] = json.loads(stream.read(size))
            header.pop("__metadata__", None)
            return {name: _of_tensor(stream, 8 + size, header[name]) for name in sorted(header)}
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"weights: {path}: not a safetensors file ({error}); copy it again") from None


def _of_tensor(stream: Any, data_byte: int, entry: dict[str, Any]) -> str:
    first, end = entry["data_offsets"]
    seen = hashlib.sha256(f"{entry['dtype']}\0{entry['shape']}\0".encode())
    stream.seek(data_byte + first)
    left = end - first
    while left > 0:
        chunk = stream.read(min(left, CHUNK_BYTES))
        if not chunk:
            raise ValueError("it is truncated")
        seen.update(chunk)
        left -= len(chunk)
    return seen.hexdigest()


def _stamp(path: Path) -> dict[str, int]:
    found = path.stat()
    return {"size": found.st_size, "mtime_ns": found.st_mtime_ns, "ctime_ns": found.st_ctime_ns, "inode": found.st_ino}


def _note(path: Path) -> Path | None:
    folder = cache_folder()
    return folder / f"{digest(str(path.resolve()))[:32]}.json" if folder else None


def _read_note(note: Path | None, seen: dict[str, int]) -> dict[str, str] | None:
    try:
        kept = json.loads(note.read_text(encoding="utf-8")) if note else {}
        return dict(kept["tensors"]) if kept.get("stamp") == seen else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _write_note(note: Path, content: dict[str, Any]) -> None:
    try:
        write_whole(note, json.dumps(content))
    except StoreError as error:
        log.debug("digests are not cached: %s", error)


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"weights: {path}: cannot be read ({error}); copy the model folder again") from None
    if not isinstance(value, dict):
        raise ModelError(f"weights: {path}: expected a JSON object; copy the model folder again")
    return value

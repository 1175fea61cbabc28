"""What is wrong with the files of a model folder: names, sizes, headers and, in `file_problem`, digests."""

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

from mvideo_core.base.digests import file_sha256
from mvideo_core.base.errors import ModelError
from mvideo_core.weights.records import FETCHED, Needs, WeightsFile

HEAD_BYTES = 512
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
WEB_PAGE = (b"<!doctype html", b"<html", b"<head")
PARSED_BYTES = 4 << 20
"""JSON files up to this size are parsed; for larger ones (vocabularies) only both ends are checked."""
HEADER_LIMIT_BYTES = 100 << 20
"""Limit of the safetensors format."""
VOCABULARIES = ("tokenizer.json", "spiece.model", "tokenizer.model", "vocab.txt", "vocab.json")
OBJECTS = ("model_index.json", "config.json", "scheduler_config.json", "tokenizer_config.json")
READ_BY_LOADERS = (".json", ".safetensors", ".model")


def content_problem(path: Path) -> str:
    """Why a file cannot be what its name says: missing, empty, a web page, an LFS pointer, truncated; "" if it can."""
    try:
        if path.is_symlink() and not path.exists():
            return f"a link to {path.readlink()}, which does not exist"
        if not path.is_file():
            return "missing"
        size = path.stat().st_size
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    if not size:
        return "empty"
    if head.startswith(LFS_POINTER):
        return f"a Git LFS pointer of {size} bytes instead of the file"
    if head.lstrip().lower().startswith(WEB_PAGE):
        return f"a web page (HTML, {size} bytes) instead of the file"
    if path.suffix == ".safetensors":
        found = safetensors_header(path)
        return found if isinstance(found, str) else ""
    return _json_problem(path, size) if path.suffix == ".json" else ""


def file_problem(path: Path, file: WeightsFile, digests: bool = True) -> str:
    """Compare a file's size and digest with the known ones: what is wrong with it; "" if nothing."""
    problem = content_problem(path)
    if problem == "missing" or (problem and path.is_symlink() and not path.exists()):
        return problem
    size = path.stat().st_size
    if file.size_bytes is not None and size != file.size_bytes:
        return problem or f"{size} bytes, expected {file.size_bytes}"
    if problem:
        return problem
    if digests and file.sha256 is not None and (seen := file_sha256(path)) != file.sha256:
        return f"sha256 {seen[:12]}..., expected {file.sha256[:12]}..."
    if digests and file.git_sha1 is not None and (seen := git_sha1(path)) != file.git_sha1:
        return f"Git id {seen[:12]}..., expected {file.git_sha1[:12]}..."
    if file.text is not None and path.read_text(encoding="utf-8") != file.text:
        return "not the content that this project writes"
    return ""


def git_sha1(path: Path) -> str:
    """Git's id of a file's content: SHA-1 of a header and the bytes. For small files: reads everything at once."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def safetensors_header(path: Path) -> dict[str, Any] | str:
    """Tensors of a safetensors file (name -> dtype, shape, offsets), or what is wrong with it; no data is read."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= HEADER_LIMIT_BYTES:
            return f"not a safetensors file ({size} bytes)"
        if 8 + length > size:
            return f"truncated inside its header: {size} bytes, expected more than {8 + length}"
        text = stream.read(length)
    try:
        tensors = json.loads(text)
        tensors.pop("__metadata__", None)
        expected = 8 + length + max((int(tensor["data_offsets"][1]) for tensor in tensors.values()), default=0)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return f"not a safetensors file ({size} bytes)"
    if size != expected:
        return f"{'truncated: ' if size < expected else ''}{size} bytes, expected {expected} by its header"
    return dict(tensors)


def folder_problems(folder: Path, needs: Needs) -> dict[str, str]:
    """Every file that a model folder needs or its loaders also read, with its problem; "" if none is found.

    Args:
        folder: may be missing.
        needs: from the catalog, or from `needs_of`.
    """
    found = {name: content_problem(folder / name) for name in needs.files}
    for stem in needs.weights:
        found |= _weights_problems(folder, stem)
    for parent in sorted({(folder / name).parent for name in found}):
        for path in sorted(parent.glob("*")):
            if path.suffix in READ_BY_LOADERS and not path.name.startswith(".") and path.name != FETCHED:
                name = path.relative_to(folder).as_posix()
                found[name] = found.get(name) or content_problem(path)
    return found


def needs_of(folder: Path) -> Needs:
    """What a folder outside the catalog needs, by its model_index.json (diffusers) or config.json (transformers).

    Raises:
        ModelError: no folder, or neither file.
    """
    if not folder.is_dir():
        raise ModelError(f"weights: no folder {folder}; use a model folder or a name from `mvideo weights list`")
    index = folder / "model_index.json"
    if not index.is_file():
        if (folder / "config.json").is_file():
            return Needs(("config.json",), ("model",))
        raise ModelError(
            f"weights: {folder} has neither model_index.json (a diffusers pipeline) nor config.json (a transformers "
            "model); use the folder that has one of them"
        )
    parts = {} if content_problem(index) else json.loads(index.read_text(encoding="utf-8"))
    files, weights = [index.name], []
    for part, where in parts.items():
        if not isinstance(where, list) or len(where) != 2 or not all(isinstance(word, str) for word in where):
            continue
        library, kind = where
        if "Scheduler" in kind:
            files.append(f"{part}/scheduler_config.json")
        elif "Tokenizer" in kind:
            there = [name for name in VOCABULARIES if (folder / part / name).exists()]
            files += [f"{part}/tokenizer_config.json", f"{part}/{there[0] if there else 'spiece.model'}"]
        elif "Processor" in kind or "Extractor" in kind:
            files.append(f"{part}/preprocessor_config.json")
        else:
            files.append(f"{part}/config.json")
            weights.append(f"{part}/{'model' if library == 'transformers' else 'diffusion_pytorch_model'}")
    return Needs(tuple(files), tuple(weights))


def _weights_problems(folder: Path, stem: str) -> dict[str, str]:
    single, index = f"{stem}.safetensors", f"{stem}.safetensors.index.json"
    if not _there(folder / index):
        shards = sorted(folder.glob(f"{stem}-*-of-*.safetensors"))
        if _there(folder / single) or not shards:
            return {single: content_problem(folder / single)}
        return {index: "missing"} | {path.relative_to(folder).as_posix(): content_problem(path) for path in shards}
    if _there(folder / single):
        return {single: content_problem(folder / single)}
    problem = content_problem(folder / index)
    return {index: problem} if problem else _shard_problems(folder, index)


def _shard_problems(folder: Path, index: str) -> dict[str, str]:
    """The files that an index names, with a problem if one lacks the tensors that the index lists."""
    content = json.loads((folder / index).read_text(encoding="utf-8"))
    places = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(places, dict) or not places or not all(_is_plain(name) for name in places.values()):
        return {index: "not an index of safetensors files (`weight_map` is missing or names no files)"}
    found = {index: ""}
    parent = Path(index).parent
    for name in sorted(set(places.values())):
        path = folder / parent / name
        problem = content_problem(path)
        if not problem:
            held = safetensors_header(path)
            absent = sorted(key for key, place in places.items() if place == name and key not in held)
            if absent:
                problem = f"lacks {len(absent)} tensors that {Path(index).name} names, such as {absent[0]}"
        found[(parent / name).as_posix()] = problem
    return found


def _is_plain(name: Any) -> bool:
    return isinstance(name, str) and Path(name).name == name


def _there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _json_problem(path: Path, size: int) -> str:
    if size > PARSED_BYTES:
        with path.open("rb") as stream:
            first = stream.read(64).lstrip()[:1]
            stream.seek(-64, 2)
            last = stream.read().rstrip()[-1:]
        return "" if (first, last) in ((b"{", b"}"), (b"[", b"]")) else "truncated, or not JSON"
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        return f"not JSON ({error})"
    if path.name in OBJECTS and not isinstance(value, dict):
        return f"not a JSON object ({type(value).__name__})"
    return ""

"""Downloading the files of a catalog entry: streamed, resumed where it broke, digest checked before the final name."""

from collections.abc import Callable
from pathlib import Path

from mvideo_core.errors import ModelError
from mvideo_core.weights.catalog import WeightsFile, check, entry, file_sha256

TIMEOUT_S = 60.0
Progress = Callable[[str, int, int | None], None]


def fetch(name: str, kind: str | None = None, progress: Progress | None = None) -> Path:
    """Bring an entry's missing or damaged files into its folder.

    Args:
        name: catalog name or alias.
        kind: as in `find`.
        progress: called with (file, bytes so far, bytes in all or None).

    Returns:
        The folder, complete.

    Raises:
        ModelError: shipped or unlisted files, an unreachable server, or a digest that differs (the file is removed).
        ConfigError: no such name.
    """
    item = entry(name, kind)
    states = check(name, kind)
    for file, state in zip(item.files, states, strict=True):
        if not state.problem:
            continue
        if file.text is not None:
            state.path.parent.mkdir(parents=True, exist_ok=True)
            state.path.write_text(file.text, encoding="utf-8")
        elif file.url:
            fetch_file(file, state.path, progress)
        else:
            raise ModelError(f"weights: {state.path}: {state.problem}; no address is listed. {item.note} {item.source}")
    return item.folder


def fetch_file(file: WeightsFile, target: Path, progress: Progress | None = None) -> None:
    """One file, by way of `<target>.part`, which a later call continues.

    Raises:
        ModelError: the server refuses or breaks off (the part stays), or the size or digest differs (it is removed).
    """
    import httpx

    part = target.with_name(target.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    have = part.stat().st_size if part.is_file() else 0
    if have and have == file.size_bytes:
        _finish(file, part, target)
        return
    try:
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with httpx.stream("GET", file.url, headers=headers, follow_redirects=True, timeout=TIMEOUT_S) as response:
            if response.status_code == 416:
                part.unlink()
                raise ModelError(f"weights: {part} was longer than {file.url}; it is removed, run the command again")
            response.raise_for_status()
            have = have if response.status_code == 206 else 0
            length = response.headers.get("content-length")
            total = have + int(length) if length else file.size_bytes
            with part.open("ab" if have else "wb") as stream:
                for chunk in response.iter_raw():
                    stream.write(chunk)
                    have += len(chunk)
                    if progress:
                        progress(file.path, have, total)
    except httpx.HTTPError as error:
        raise ModelError(
            f"weights: {file.url}: {error or type(error).__name__}; {have} bytes are kept in {part}, "
            f"run the command again to go on, or copy the file to {target} by hand"
        ) from None
    _finish(file, part, target)


def _finish(file: WeightsFile, part: Path, target: Path) -> None:
    size, digest = part.stat().st_size, file_sha256(part)
    if file.size_bytes not in (None, size) or file.sha256 not in (None, digest):
        part.unlink()
        raise ModelError(
            f"weights: {file.url} gave {size} bytes with sha256 {digest}; {file.size_bytes or 'any'} bytes with "
            f"{file.sha256 or 'any digest'} expected; it is removed"
        )
    part.replace(target)

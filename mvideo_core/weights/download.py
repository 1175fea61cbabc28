"""One file over HTTP: streamed into `<file>.part`, resumed where it stopped, digest checked before the rename."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mvideo_core.base.digests import file_sha256
from mvideo_core.base.errors import ModelError, StoreError
from mvideo_core.base.locks import try_lock
from mvideo_core.weights.file_checks import file_problem
from mvideo_core.weights.records import WeightsFile

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 60.0
TRIES = 5
"""Consecutive tries without a new byte before the command gives up."""
FIRST_WAIT_S = 1.0
"""Doubles with each try."""
WORTH_ANOTHER_TRY = frozenset({408, 416, 425, 429, 500, 502, 503, 504})
Progress = Callable[[str, int, int | None], None]


def part_of(target: Path) -> Path:
    """Path of a file until it is complete."""
    return target.with_name(target.name + ".part")


def http_client() -> "httpx.Client":
    """A client that keeps its connections and respects the proxy variables."""
    import httpx

    return httpx.Client(follow_redirects=True, timeout=TIMEOUT_S)


def download(
    client: "httpx.Client",
    file: WeightsFile,
    target: Path,
    progress: Progress | None = None,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Download one file through `part_of(target)`, which a later call resumes, even after a kill.

    Raises:
        ModelError: the server refuses or keeps breaking off (the part stays), another process is downloading the same
            file, or size or digest differ (the part is removed).
        StoreError: the disk is full, or the folder cannot be written.
    """
    part = part_of(target)
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as stream:
            if not try_lock(stream, part):
                raise ModelError(f"weights: another process is downloading to {part}; wait for it")
            if file.size_bytes is None or stream.tell() != file.size_bytes:
                _receive(client, file, stream, progress, headers or {})
        _finish(file, part, target)
    except ModelError:
        if part.is_file() and not part.stat().st_size:
            part.unlink()
        raise
    except OSError as error:
        raise StoreError(
            f"weights: {part}: cannot write ({error.strerror or error}); free space or fix permissions, then rerun the "
            "command: it keeps what is already downloaded"
        ) from None


def _receive(
    client: "httpx.Client",
    file: WeightsFile,
    stream: IO[bytes],
    progress: Progress | None,
    headers: Mapping[str, str],
) -> None:
    """Retry until the file is complete, or no more bytes arrive."""
    import httpx

    failures = 0
    while True:
        before = stream.tell()
        try:
            _transfer(client, file, stream, progress, headers)
            return
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            reason, hopeless = f"status {status} {error.response.reason_phrase}", status not in WORTH_ANOTHER_TRY
        except httpx.HTTPError as error:
            reason, hopeless = str(error) or type(error).__name__, isinstance(error, httpx.ConnectError)
        failures = 1 if stream.tell() > before else failures + 1
        if hopeless or failures >= TRIES:
            kept = f"{stream.tell()} bytes are kept in {stream.name}, " if stream.tell() else ""
            raise ModelError(
                f"weights: {file.url}: {reason}; {kept}rerun the command to continue, or copy the file to "
                f"{stream.name.removesuffix('.part')} by hand"
            )
        time.sleep(FIRST_WAIT_S * 2 ** (failures - 1))


def _transfer(
    client: "httpx.Client",
    file: WeightsFile,
    stream: IO[bytes],
    progress: Progress | None,
    headers: Mapping[str, str],
) -> None:
    """One request, starting at the end of the stream.

    Raises:
        httpx.HTTPError: refused, or interrupted.
    """
    have = stream.tell()
    request_headers = {**headers, "Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with client.stream("GET", file.url, headers=request_headers) as response:
        if response.status_code == 416 or (response.is_success and response.status_code != 206):
            stream.seek(0)  # the part is longer than the published file (416), or the server ignores ranges
            stream.truncate()
            have = 0
        response.raise_for_status()
        length = response.headers.get("content-length")
        total = have + int(length) if length else file.size_bytes
        for chunk in response.iter_raw():
            stream.write(chunk)
            stream.flush()  # so that a kill loses nothing
            have += len(chunk)
            if progress:
                progress(file.path, have, total)


def _finish(file: WeightsFile, part: Path, target: Path) -> None:
    problem = file_problem(part, file)
    if problem:
        size, digest = part.stat().st_size, file_sha256(part)
        part.unlink()
        raise ModelError(
            f"weights: {file.url} gave {size} bytes with sha256 {digest[:12]}...: {problem}; they are removed, rerun "
            "the command; if this repeats, the publisher has replaced the file or something in between changes it"
        )
    part.replace(target)

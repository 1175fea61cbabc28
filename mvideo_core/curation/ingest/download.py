"""Optional download of listed videos with a command the user chooses. Off by default; rate-limited; resumable.

The command is an argument list (no shell) with the placeholders {url}, {video_id} and {output}, for example

    ["yt-dlp", "--no-warnings", "-f", "bv[height>=720][ext=mp4]", "-o", "{output}", "--", "{url}"]

Nothing here helps to bypass a site's limits: no cookies, no proxies, no rapid retries. Respect its terms.
"""

import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from mvideo_core.base.errors import ConfigError, MediaError, StoreError
from mvideo_core.base.listing import read_lines
from mvideo_core.base.local_paths import local_path
from mvideo_core.base.options import Options
from mvideo_core.base.records import Record
from mvideo_core.curation.ingest.sources import SourceItem
from mvideo_core.processes import sandbox

log = logging.getLogger(__name__)

_PLAIN_URL = re.compile(r"https?://[^\s\x00-\x1f]+")


class DownloadOptions(Options):
    """How to download the listed files. Does nothing unless `enabled`."""

    enabled: bool = Field(default=False, description="download missing files; off by default")
    command: list[str] = Field(
        default=[], description="argument list with {url}, {video_id}, {output}; run without a shell"
    )
    folder: str = Field(default="", description="folder for the downloads, <video_id>.<extension>")
    extension: str = Field(default="mp4", pattern=r"[a-z0-9]{2,4}", description="file extension")
    interval_s: float = Field(
        default=10.0, ge=1.0, description="seconds between the starts of two downloads, at least 1"
    )
    timeout_s: float = Field(default=1800.0, gt=0, description="seconds after which one download is killed")
    max_items: int = Field(default=0, ge=0, description="stop after this many attempts; 0 = no limit")
    max_failures_in_row: int = Field(
        default=10, ge=1, description="stop after this many consecutive failures (the site may be blocking)"
    )
    retry_failed: bool = Field(default=False, description="retry videos the archive lists as failed")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.enabled and not (self.command and self.folder):
            raise ValueError("download.enabled needs `command` and `folder`")
        if self.enabled and not any("{output}" in word for word in self.command):
            raise ValueError("`command` must contain {output}, the file to write")
        return self


class DownloadResult(Record):
    """Outcome of one listed video: `ok`, `there` (already on disk), `skipped` (failed before) or `failed`."""

    video_id: str
    status: str
    message: str = ""


def download(
    items: Iterable[SourceItem], options: DownloadOptions, sleep: Callable[[float], None] = time.sleep
) -> Iterator[DownloadResult]:
    """Download missing files one at a time and log each attempt in `<folder>/archive.jsonl`.

    Args:
        items: listed videos; each is downloaded from its `source_url`.
        options: command and rate.
        sleep: called to wait between downloads.

    Raises:
        ConfigError: disabled, or the command's program is not installed.
        StoreError: too many consecutive failures: the site refuses, the command is wrong or the network is down.
    """
    if not options.enabled:
        raise ConfigError("downloading is off; read the site's terms, then set download.enabled")
    program = shutil.which(options.command[0])
    if program is None:
        raise ConfigError(f"download.command: no program {options.command[0]!r} on PATH; install it or fix the command")
    folder = local_path(options.folder, "download.folder")
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / "archive.jsonl"
    known = read_archive(archive)
    attempts = in_row = 0
    due = 0.0
    for item in items:
        quick = _without_download(item, folder, known, options)
        if quick:
            yield quick
            continue
        if options.max_items and attempts >= options.max_items:
            return
        sleep(max(0.0, due - time.monotonic()))
        due = time.monotonic() + options.interval_s
        attempts += 1
        result = _fetch(item, program, folder, options)
        _note(archive, result)
        yield result
        in_row = in_row + 1 if result.status == "failed" else 0
        if in_row >= options.max_failures_in_row:
            raise StoreError(f"{in_row} downloads in a row failed; last error: {result.message}; wait, then rerun")


def read_archive(path: Path) -> dict[str, str]:
    """Last status of each id; a line truncated by a crash is logged and skipped."""
    if not path.is_file():
        return {}
    known = {}
    for line in read_lines(path, "archive of downloads"):
        try:
            entry = dict(json.loads(line))
            known[str(entry["video_id"])] = str(entry["status"])
        except (ValueError, KeyError, TypeError):
            log.warning("%s: the line %.60r is damaged; its video will be checked again", path, line)
    return known


def _without_download(
    item: SourceItem, folder: Path, known: dict[str, str], options: DownloadOptions
) -> DownloadResult | None:
    if item.uri or (folder / f"{item.video_id}.{options.extension}").exists():
        return DownloadResult(video_id=item.video_id, status="there")
    if known.get(item.video_id) == "failed" and not options.retry_failed:
        return DownloadResult(video_id=item.video_id, status="skipped", message="failed before; set retry_failed")
    return None


def _fetch(item: SourceItem, program: str, folder: Path, options: DownloadOptions) -> DownloadResult:
    if not _PLAIN_URL.fullmatch(item.source_url):
        return DownloadResult(video_id=item.video_id, status="failed", message=f"no http(s) url: {item.source_url!r}")
    final = folder / f"{item.video_id}.{options.extension}"
    part = folder / f".part-{item.video_id}.{options.extension}"
    words = {"{url}": item.source_url, "{video_id}": item.video_id, "{output}": str(part.absolute())}
    argv = [program, *(_fill_placeholders(word, words) for word in options.command[1:])]
    try:
        sandbox.run(argv, sandbox.Limits(wall_s=options.timeout_s), item.video_id)
        if not part.is_file() or part.stat().st_size == 0:
            raise MediaError(f"{item.video_id}: the command succeeded but wrote no {{output}} file")
    except MediaError as error:
        part.unlink(missing_ok=True)
        log.warning("download failed: %s", error)
        return DownloadResult(video_id=item.video_id, status="failed", message=str(error))
    os.replace(part, final)  # noqa: PTH105
    return DownloadResult(video_id=item.video_id, status="ok")


def _fill_placeholders(word: str, words: dict[str, str]) -> str:
    """Fill the placeholders in one pass, so that inserted text is never treated as a placeholder."""
    return re.sub(r"\{(?:url|video_id|output)\}", lambda match: words[match.group()], word)


def _note(archive: Path, result: DownloadResult) -> None:
    with open(archive, "a", encoding="utf-8") as handle:
        handle.write(result.model_dump_json() + "\n")
        handle.flush()
        os.fsync(handle.fileno())

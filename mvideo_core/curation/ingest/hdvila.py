"""HD-VILA-100M lists: one JSON object per line with the video's id, address and speech spans.

    {"video_id": "QMi8x8o55Ns", "url": "https://...", "clip": [{"clip_id": "QMi8x8o55Ns.1.mp4",
     "span": ["00:00:17.759", "00:00:23.279"]}]}

Source: hd-vila-100m/README.md and src/cut_videos.py of microsoft/XPretrain. Annotation license: R-UDA v1.0.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.listing import visible_files
from mvideo_core.curation.ingest.naming import check_id, uri_of
from mvideo_core.curation.ingest.seen import SeenIds
from mvideo_core.curation.ingest.sources import EXTENSIONS, SourceItem, SourceOptions

LICENCE = (
    "HD-VILA-100M annotations: R-UDA v1.0 (non-commercial research computational use, attribution, same terms for "
    "recipients); the video stays under its owner's rights"
)
_CLOCK = re.compile(r"(\d+):([0-5]?\d):([0-5]?\d)(\.\d+)?")


def list_hdvila(options: SourceOptions) -> Iterator[SourceItem]:
    """Videos in list order; a video whose file is missing from the folder has an empty uri.

    Raises:
        ConfigError: no such list or folder, or a line in another format.
    """
    if not Path(options.hdvila_videos).is_dir():
        raise ConfigError(f"source.hdvila_videos={options.hdvila_videos!r}: no such folder")
    root = uri_of(options.root or options.hdvila_videos)
    seen = SeenIds()
    for path in _lists(Path(options.hdvila)):
        with open(path, encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    item = parse_line(line, f"{path}:{number}")
                    seen.add(item.video_id, f"{path}:{number}")
                    uri = _find_download(options.hdvila_videos, item.video_id)
                    yield item.model_copy(update={"uri": uri, "root": root, "licence": options.license or LICENCE})


def parse_line(line: str, where: str) -> SourceItem:
    """Parse one line into an item without a file.

    Raises:
        ConfigError: not strict JSON, or keys, id or times do not match the format; the message starts with `where`.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        hint = ""
        if line.lstrip().startswith("{'"):
            hint = "; it is a Python literal: rewrite the file with json.dumps(ast.literal_eval(line)) per line"
        raise ConfigError(f"{where}: not JSON: {error}{hint}") from None
    try:
        clips = value["clip"]
        spans = [[seconds(text, where) for text in clip["span"]] for clip in clips]
        item = SourceItem(video_id=value["video_id"], source_url=value.get("url", ""), spans_s=spans)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"{where}: expected video_id, url and clip[].span = [start, end]; seen {_short(value)}: {error}"
        ) from None
    if any(len(span) != 2 or span[0] > span[1] for span in spans):
        raise ConfigError(f"{where}: a span of {item.video_id} is not [start, end]")
    check_id(item.video_id, where)
    return item


def seconds(text: str, where: str = "span") -> float:
    """Seconds of "HH:MM:SS" with any number of decimals, e.g. "00:01:02.5" -> 62.5.

    Raises:
        ConfigError: any other format.
    """
    match = _CLOCK.fullmatch(text)
    if not match:
        raise ConfigError(f"{where}: time {text!r}; expected HH:MM:SS.mmm")
    hours, minutes, whole, fraction = match.groups()
    return int(hours) * 3600 + int(minutes) * 60 + int(whole) + float(fraction or 0)


def _lists(path: Path) -> list[Path]:
    found = visible_files(path, ".jsonl") if path.is_dir() else [path]
    if not found or not found[0].is_file():
        raise ConfigError(f"source.hdvila={str(path)!r}: no JSONL file found")
    return found


def _find_download(folder: str, video_id: str) -> str:
    for extension in EXTENSIONS:
        path = os.path.join(folder, f"{video_id}.{extension}")  # noqa: PTH118 - three million of them
        if os.path.lexists(path):
            return uri_of(path)
    return ""


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 120 else text[:117] + "..."

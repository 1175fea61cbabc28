"""The studio's page: scripts, the schemas of the edit operations, and masks to open with it."""

import base64
import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from mvideo_core.base.disk import write_whole
from mvideo_core.editing.combine import CombineOptions
from mvideo_core.editing.operations import OPERATIONS
from mvideo_core.masks.draw import COLORS, color_hex
from mvideo_core.masks.io.clip import MaskClip
from mvideo_core.pages.kit import page_html

HERE = Path(__file__).parent
ENGINE = (
    "zstd.js", "masks_file.js", "runs.js", "keyframes.js", "geometry.js", "warp.js", "outlines.js", "operations.js",
    "edits.js", "combine.js", "gray_video.js", "recipe.js",
)  # fmt: skip
"""Scripts that read, edit and write masks; they need no document."""
PAGE = ("elements.js", "canvas.js", "fields.js", "project.js", "page.js", "files.js")
GENERATE = "generate.js"
ASSUMED_FPS = 8.0
"""Frames per second of a file that is opened without its description."""

MAX_ADDRESS_CHARS = 1_000_000
"""Browsers take at least this much after the `#`."""


class OpenedMasks(NamedTuple):
    """Masks that the page shows when it opens, and the name of their layer."""

    name: str
    clip: MaskClip


def studio_page(masks: Sequence[OpenedMasks] = (), served: bool = False) -> str:
    """The page as one file that requests nothing.

    Args:
        masks: one layer each, back to front.
        served: by `StudioServer`, with the part that asks it for videos.
    """
    data = {
        "operations": schemas(),
        "combine": CombineOptions.model_json_schema()["properties"],
        "colors": [color_hex(n) for n in range(len(COLORS))],
        "fps": ASSUMED_FPS,
        "masks": [
            {
                "name": one.name, "fps": one.clip.fps, "labels": one.clip.labels,
                "masks": base64.b64encode(one.clip.sequence.to_bytes()).decode(),
            }
            for one in masks
        ],
    }  # fmt: skip
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    scripts = [*ENGINE, *PAGE, GENERATE] if served else [*ENGINE, *PAGE]
    return page_html(HERE, "Mask studio", scripts, data=text, served=served)


def write_opener(file: Path, masks: OpenedMasks, studio: str) -> bool:
    """Write a small page that opens masks in the studio's page, whose address relative to `file` is `studio`.

    The masks travel in the fragment of the address: pages on disk cannot read the files next to them.

    Returns:
        Whether it was written: masks that are too large for an address are not.
    """
    packed = base64.urlsafe_b64encode(masks.clip.sequence.to_bytes()).decode()
    given = {"name": masks.name, "fps": masks.clip.fps, "labels": json.dumps(masks.clip.labels), "masks": packed}
    address = f"{studio}#{urlencode(given)}"
    if len(address) > MAX_ADDRESS_CHARS:
        return False
    script = f"location.replace({json.dumps(address)})"
    write_whole(file, f'<!doctype html><meta charset="utf-8"><title>Mask studio</title><script>{script}</script>\n')
    return True


@functools.cache
def schemas() -> dict[str, Any]:
    """What the page knows about each operation by name: `about`, `kind`, and the JSON schema of its options."""
    found = {}
    for name in sorted(OPERATIONS.names()):
        operation = OPERATIONS.get(name)
        properties = operation.options.model_json_schema().get("properties", {})
        found[name] = {"about": operation.about, "kind": operation.kind, "properties": properties}
    return found

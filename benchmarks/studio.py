"""How fast the mask studio opens and scrubs masks of 480x720, 97 frames, 3 objects, in headless Chromium.

    python -m benchmarks.studio
    python -m benchmarks.studio --picture docs/images/studio.png   # only the picture in docs/studio.md

Prints the page's size, the median time in which it reads the masks (checksum, zstd and runs), and frames per second
while the slider jumps: as opened, then with edits of which every frame is drawn for the first time.
"""

import argparse
import base64
import json
import tempfile
from pathlib import Path

import numpy as np

from mvideo_core.masks.codec import encode
from mvideo_core.masks.io.clip import MaskClip
from mvideo_core.pages.studio.build import OpenedMasks, studio_page
from tests.fixtures.browser import Browser, open_browser

FRAMES, OBJECTS, HEIGHT, WIDTH = 97, 3, 480, 720
OPENINGS = 5
SCRUB = """
new Promise(done => {
  const slider = document.getElementById("slider"), order = Array.from({ length: 97 }, (_, i) => i * 41 % 97);
  const start = performance.now(), spent = [];
  const step = n => {
    if (n === order.length) {
      done({ fps: order.length * 1000 / (performance.now() - start), worst: Math.max(...spent) });
      return;
    }
    const before = performance.now();
    slider.value = order[n];
    slider.dispatchEvent(new Event("input"));
    spent.push(performance.now() - before);
    requestAnimationFrame(() => step(n + 1));
  };
  requestAnimationFrame(() => step(0));
})
"""


def draw_masks() -> MaskClip:
    """Three lobed shapes, of 10,000 to 25,000 px, that move, breathe and overlap."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    masks = np.zeros((FRAMES, OBJECTS, HEIGHT, WIDTH), np.bool_)
    for frame in range(FRAMES):
        for obj in range(OBJECTS):
            dx, dy = x - 130 - 2 * frame - 150 * obj, y - 220 - 50 * np.sin(frame / 9 + obj)
            radius = 60 + 15 * obj + 12 * np.sin(frame / 5 + 5 * np.arctan2(dy, dx))
            masks[frame, obj] = np.hypot(dx, dy) < radius
    return MaskClip(encode(masks), 8.0, ("horse", "dog", "rider"))


def time_opening(browser: Browser, page: Path) -> float:
    """Median time to read the masks."""
    times = []
    for _ in range(OPENINGS):
        browser.open(page.as_uri())
        browser.wait("performance.getEntriesByName('read masks').length === 1")
        times.append(browser.run("performance.getEntriesByName('read masks')[0].duration"))
    return float(np.median(times))


def add_edit(browser: Browser, name: str) -> None:
    """Add an edit to the open layer, with its defaults."""
    chosen = "document.getElementById('operation')"
    browser.run(f"{chosen}.value = '{name}'")
    browser.run(f"{chosen}.dispatchEvent(new Event('change'))")
    browser.run("document.getElementById('add').click()")


def go(browser: Browser, frame: int) -> None:
    """Move the slider to a frame."""
    slider = "document.getElementById('slider')"
    browser.run(f"{slider}.value = {frame}")
    browser.run(f"{slider}.dispatchEvent(new Event('input'))")


def take_picture(browser: Browser, page: Path, file: Path) -> None:
    """The page with a path of two keyframes, dragged at frames 0 and 60, and a slope."""
    browser.open(page.as_uri())
    left, top, width, _ = browser.box("#picture")
    scale = width / WIDTH
    for frame, start, end in ((0, (130, 220), (130, 120)), (60, (250, 139), (260, 320))):
        go(browser, frame)
        browser.drag(*((left + x * scale, top + y * scale) for x, y in (start, end)))
    add_edit(browser, "slope")
    go(browser, 30)
    browser.run("scrollTo(0, 0)")
    browser.picture(file)


def main() -> None:
    """Measure and print, or take the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", type=Path, help="PNG to write instead of measuring")
    picture = parser.parse_args().picture
    clip = draw_masks()
    with tempfile.TemporaryDirectory() as folder, open_browser(Path(folder) / "profile") as browser:
        page = Path(folder) / "studio.html"
        page.write_text(studio_page([OpenedMasks("three.masks", clip)]), encoding="utf-8")
        size = len(studio_page().encode())
        masks = len(base64.b64encode(clip.sequence.to_bytes()))
        browser.resize(1280, 1000)
        if picture:
            take_picture(browser, page, picture)
            return
        result: dict[str, float] = {"page_bytes": size, "masks_bytes": masks, "runs": len(clip.sequence.edges) // 2}
        result["read_ms"] = round(time_opening(browser, page), 1)
        for label, edits in (("as opened", ()), ("scale, zoom", ("scale", "zoom")), ("rotate", ("rotate",))):
            for name in edits:
                add_edit(browser, name)
            found = browser.run(SCRUB)
            result[f"scrub_fps, {label}"] = round(found["fps"], 1)
            result[f"worst_frame_ms, {label}"] = round(found["worst"], 1)
        print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

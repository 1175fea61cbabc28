"""The studio in a real browser: what is dragged and saved there is what Python makes of the recipe."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from mvideo_core.editing.combine import Layer, combine
from mvideo_core.editing.edits import apply_edits, parse_edits
from mvideo_core.editing.mask_files import load_masks, save_masks
from mvideo_core.editing.recipe import load_recipe
from mvideo_core.masks.codec import encode
from mvideo_core.masks.io.clip import MaskClip
from mvideo_core.pages.studio.build import OpenedMasks, studio_page, write_opener
from tests.fixtures.browser import WAIT_S, Browser, needs_chromium, open_browser

MAX_PAGE_BYTES = 400_000
WIDTH, HEIGHT = 120, 80


@pytest.fixture(scope="module")
def clip() -> MaskClip:
    """A disc on the left and a box on the right, both moving right by 2 px per frame."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    disc = np.stack([(x - 30 - 2 * t) ** 2 + (y - 40) ** 2 < 200 for t in range(9)])
    box = np.stack([(abs(x - 90 - 2 * t) < 10) & (abs(y - 40) < 15) for t in range(9)])
    return MaskClip(encode(np.stack([disc, box], axis=1)), 8.0, ("ball", "</script><b>box"))


def opened(browser: Browser, page: Path) -> None:
    browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(page.parent))
    browser.open(page.as_uri())
    browser.wait("document.querySelectorAll('#layers > li').length === 1")


def saved(browser: Browser, button: str, file: Path) -> Path:
    file.unlink(missing_ok=True)
    browser.run(f"document.getElementById('{button}').click()")
    end_s = time.monotonic() + WAIT_S
    while not file.is_file():
        assert time.monotonic() < end_s, (file, browser.run("document.getElementById('status').textContent"))
        time.sleep(0.05)
    return file


def in_window(browser: Browser, x: float, y: float) -> tuple[float, float]:
    left, top, width, height = browser.box("#picture")
    return left + x / WIDTH * width, top + y / HEIGHT * height


def test_the_page_is_small_and_its_text_is_escaped(clip):
    page = studio_page([OpenedMasks("a.masks", clip)])
    assert len(studio_page().encode()) <= MAX_PAGE_BYTES
    assert "</script><b>box" not in page
    assert "connect-src" not in page  # default-src 'none': no request is possible


@needs_chromium
def test_a_path_by_mouse_and_keyboard_is_what_python_makes_of_the_recipe(clip, tmp_path):
    page = tmp_path / "studio.html"
    page.write_text(studio_page([OpenedMasks("clip.masks", clip)]), encoding="utf-8")
    with open_browser(tmp_path / "profile") as browser:
        browser.resize(1280, 1000)
        opened(browser, page)
        browser.drag(in_window(browser, 30, 40), in_window(browser, 30, 28))  # the ball, up at the first frame
        browser.press("End")
        browser.run("document.getElementById('picture').focus()")
        for _ in range(3):
            browser.press("ArrowDown")
        browser.run("document.getElementById('operation').value = 'zoom'")
        browser.run("document.getElementById('add').click()")
        recipe = saved(browser, "save-recipe", tmp_path / "studio.yaml")
        masks = saved(browser, "save-masks", tmp_path / "studio.masks")
        saved(browser, "save-names", tmp_path / "studio.masks.json")
        video = saved(browser, "save-video", tmp_path / "studio.mp4")
        assert browser.errors == []
        assert [url for url in browser.requested if not url.startswith(("file:", "blob:", "data:"))] == []

    (variant,) = load_recipe(str(recipe)).variants.values()
    move, zoom = variant.layers[0].edits
    assert zoom == "zoom"
    assert move["translate"]["objects"] == [0]
    (first_s, first), (last_s, last) = move["translate"]["y_frac"]
    assert (first_s, first) == (0, pytest.approx(-12 / HEIGHT, abs=0.01))
    assert (last_s, last) == (1, pytest.approx(first + 0.03, abs=1e-4))
    expected = apply_edits(combine([Layer(apply_edits(clip, parse_edits([move, zoom])))]), [])
    found = load_masks(masks)
    assert found.sequence == expected.sequence
    assert (found.fps, found.labels) == (8.0, clip.labels)
    assert load_masks(video).sequence.n_frames == 9


@needs_chromium
def test_files_are_opened_layered_and_undone_on_a_narrow_dark_screen(clip, tmp_path):
    page, file = tmp_path / "studio.html", tmp_path / "other.masks"
    page.write_text(studio_page([OpenedMasks("clip.masks", clip)]), encoding="utf-8")
    save_masks(file, clip.sequence.select([1]), 4.0, ["cube"])
    (tmp_path / "bad.masks").write_bytes(file.read_bytes()[:-3])
    with open_browser(tmp_path / "profile") as browser:
        browser.resize(400, 900, dark=True)
        opened(browser, page)
        files = browser.call("Runtime.evaluate", expression="document.getElementById('files')")["result"]["objectId"]
        names = [file, tmp_path / "other.masks.json", tmp_path / "bad.masks"]
        browser.call("DOM.setFileInputFiles", files=[str(name) for name in names], objectId=files)
        browser.wait("document.getElementById('status').textContent.includes('the checksum does not match')")
        assert browser.run("document.querySelectorAll('#layers > li').length") == 2
        assert browser.run("document.getElementById('at').textContent") == "0 of 17"  # 9 frames at 4 fps are 18 at 8
        assert "cube" in browser.run("document.getElementById('objects').textContent")
        browser.run("document.getElementById('operation').value = 'hide'")
        browser.run("document.getElementById('add').click()")
        browser.run("document.getElementById('save-masks').click()")
        status = "document.getElementById('status').textContent"
        assert browser.run(status) == "no object is left in any frame; use smaller values"
        browser.run("document.activeElement.blur()")
        browser.press("z")
        assert browser.run("document.querySelectorAll('#edits > li').length") == 0
        assert browser.run("document.documentElement.scrollWidth") <= 400
        assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 29)"
        masks = saved(browser, "save-masks", tmp_path / "studio.masks")
        assert browser.errors == []
    other = MaskClip(clip.sequence.select([1]), 4.0, ("cube",))
    assert load_masks(masks, fps=8).sequence == combine([Layer(clip), Layer(other)]).sequence


@needs_chromium
def test_a_row_of_a_report_opens_its_masks(clip, tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "studio.html").write_text(studio_page(), encoding="utf-8")
    opener = tmp_path / "videos" / "0003_studio.html"
    assert write_opener(opener, OpenedMasks("out/row 3.masks", clip), "../studio.html")
    with open_browser(tmp_path / "profile") as browser:
        browser.open(opener.as_uri())
        browser.wait("document.querySelectorAll('#layers > li').length === 1")
        assert browser.run("location.pathname").endswith("/studio.html")
        assert "row_3" in browser.run("document.getElementById('layers').textContent")
        assert " -i 'row_3=out/row 3.masks' " in browser.run("document.getElementById('command').textContent")
        names = browser.run("Array.from(document.querySelectorAll('#objects button'), one => one.textContent)")
        assert names == ["0 ball 0", "1 </script><b>box 1"]
        assert browser.errors == []


def test_masks_too_large_for_an_address_get_no_opener(tmp_path):
    noise = encode(np.random.default_rng(0).random((90, 1, 200, 300)) < 0.5)
    assert not write_opener(tmp_path / "a.html", OpenedMasks("noise", MaskClip(noise, 8.0, ("",))), "studio.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@needs_chromium
def test_axe_finds_nothing_serious(clip, tmp_path):
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(tmp_path / "axe"), "axe-core@4"]
    if subprocess.run(command, capture_output=True, timeout=120, check=False).returncode:
        pytest.skip("axe-core cannot be installed here")
    axe = (tmp_path / "axe/node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")
    page = tmp_path / "studio.html"
    page.write_text(studio_page([OpenedMasks("clip.masks", clip), OpenedMasks("b.masks", clip)]), encoding="utf-8")
    with open_browser(tmp_path / "profile") as browser:
        for width, dark in ((1280, False), (400, True)):
            browser.resize(width, 900, dark)
            browser.open(page.as_uri())
            browser.wait("document.querySelectorAll('#layers > li').length === 2")
            for name in ("translate", "zoom", "keep", "freeze", "slope", "pan"):
                browser.run(f"document.getElementById('operation').value = '{name}'")
                browser.run("document.getElementById('add').click()")
            browser.run("document.querySelectorAll('details').forEach(one => { one.open = true; })")
            browser.run(f"void eval({json.dumps(axe)})")
            violations = json.loads(browser.run("axe.run().then(found => JSON.stringify(found.violations))"))
            found = [(one["impact"], one["id"], [each["html"] for each in one["nodes"]]) for one in violations]
            assert [one for one in found if one[0] in ("serious", "critical")] == []

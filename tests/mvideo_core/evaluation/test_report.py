"""The page of a real, small evaluation: two systems, one video missing, one broken, hostile texts."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from mvideo_core.base.errors import ConfigError, MediaError
from mvideo_core.editing.mask_files import save_masks
from mvideo_core.evaluation.manifest import EvalItem, write_manifest
from mvideo_core.evaluation.plan import make_plan
from mvideo_core.evaluation.result import read_result
from mvideo_core.evaluation.run import run_suite
from mvideo_core.evaluation.suite import SuiteOptions
from mvideo_core.masks import MaskSequence, encode
from mvideo_core.media.decode import read_clip
from mvideo_core.media.encode import write_mp4
from mvideo_core.media.probe import probe
from mvideo_core.pages.evaluation_report import ReportOptions, build_report
from mvideo_core.pages.evaluation_report.build import page_data
from mvideo_core.pages.evaluation_report.clips import SEEN, TRUE, Shown, mask_frames, overlay_size, write_clip

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> & 'a'"
N_FRAMES, FPS = 4, 8


def drawn(shift: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames (T, 64, 96, 3) with a red square that moves 4 px a frame, and its masks (T, 1, 64, 96)."""
    masks = np.zeros((N_FRAMES, 1, 64, 96), bool)
    for t in range(N_FRAMES):
        masks[t, 0, 20:44, 10 + shift + 4 * t : 34 + shift + 4 * t] = True
    frames = np.full((N_FRAMES, 64, 96, 3), (60, 110, 70), np.uint8)
    frames[masks[:, 0]] = (215, 40, 40)
    return frames, masks


@pytest.fixture(scope="module")
def result(tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("set")
    frames, masks = drawn(0)
    write_mp4(frames, root / "good.mp4", FPS)
    write_mp4(drawn(30)[0], root / "far.mp4", FPS)
    (root / "broken.mp4").write_bytes(b"no video at all")
    save_masks(root / "m.masks", encode(masks), FPS)
    about = {"masks": "m.masks", "source_video": "good.mp4"}
    items = [
        EvalItem(id="a", system="one", video="good.mp4", prompt="a red square", **about),
        EvalItem(id="a", system="two", video="far.mp4", prompt="a red square", **about),
        EvalItem(id=HOSTILE, system="one", video="far.mp4", prompt=HOSTILE, **about),
        EvalItem(id=HOSTILE, system="two", video="broken.mp4", prompt=HOSTILE, **about),
        EvalItem(id="c", system="one", video="gone.mp4", prompt="", **about),
    ]
    manifest = write_manifest(items, root / "manifest.jsonl")
    suite = SuiteOptions.parse(
        {"name": "drawn", "metrics": [{"metric": "temporal_flickering"}, {"metric": "mask_miou"}]}
    )
    run_suite(make_plan(suite, [str(manifest)]), root / "result")
    return root / "result"


@pytest.fixture(scope="module")
def page(result, tmp_path_factory) -> Path:
    return build_report(result, tmp_path_factory.mktemp("page") / "report")


@pytest.fixture(scope="module")
def data(page) -> dict:
    return json.loads((page.parent / "data.json").read_text(encoding="utf-8"))


def test_rows_hold_what_the_result_says(data, result):
    rows = [json.loads(line) for line in (result / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    assert data["systems"] == ["one", "two"]
    assert [row["id"] for row in data["rows"]] == ["a", HOSTILE, "c"]
    first, second = data["rows"][0]["cells"]
    want = next(
        row for row in rows if row["id"] == "a" and row["system"] == "one" and row["metric"] == "mini_mask_miou"
    )
    assert first["values"]["mini_mask_miou"] == pytest.approx(100 * want["value"], abs=0.01)
    assert first["values"]["mini_mask_miou"] > second["values"]["mini_mask_miou"] + 20
    assert len(first["curves"]["mini_mask_miou"]["values"]) == N_FRAMES
    assert first["curves"]["mini_mask_miou"]["step_s"] == 1 / FPS
    assert len(first["curves"]["temporal_flickering"]["values"]) == N_FRAMES - 1
    worst = second["curves"]["mini_mask_miou"]["values"]
    assert data["rows"][0]["start_s"] == (worst.index(min(worst)) + 0.5) / FPS
    assert data["overlays_of"] == "mini_mask_miou"


def test_missing_and_broken_videos_have_a_place_and_a_reason(data):
    broken = data["rows"][1]["cells"][1]
    assert broken["note"].startswith("failed: 'broken.mp4': not a video container")  # no path of this machine
    assert broken["notes"]["mini_mask_miou"].startswith("failed: ")
    assert "values" not in broken
    gone, not_asked = data["rows"][2]["cells"]
    assert gone["note"] == "missing: gone.mp4 does not exist"
    assert not_asked is None


def test_every_file_is_there_and_plays_in_browsers(page, data):
    clips = [row[name] for row in data["rows"] for name in ("source", "mask")]
    clips += [cell["clip"] for row in data["rows"] for cell in row["cells"] if cell and "clip" in cell]
    assert len(clips) == 9
    named = {clip[name] for clip in clips for name in ("video", "overlay", "poster", "poster_overlay") if name in clip}
    assert (page.parent / "studio.html").is_file()
    named |= {row["studio"] for row in data["rows"]}
    assert named == {f"videos/{file.name}" for file in (page.parent / "videos").iterdir()}
    for name in named:
        if name.endswith(".mp4"):
            about = probe(page.parent / name)
            assert (about.codec, about.pix_fmt) == ("h264", "yuv420p")
            head = (page.parent / name).read_bytes()
            assert 0 < head.index(b"moov") < head.index(b"mdat")


def test_length_size_rate_and_sampling_are_on_the_page(page):
    text = page.read_text(encoding="utf-8")
    for system in ("one", "two"):
        assert f"<li>{system}: measured: 0.4 s x 64 x 96, 8 fps; sampling not recorded</li>" in text


def test_texts_from_outside_stay_texts(page, data):
    text = page.read_text(encoding="utf-8")
    assert "<script>document.title" not in text
    assert "<img" not in text
    assert "http:" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https:" not in text
    inside = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert json.loads(inside[1]) == data


def test_an_older_page_is_replaced_and_nothing_else_is(page, result, tmp_path):
    out = tmp_path / "report"
    build_report(result, out, ReportOptions(max_rows=1))
    (out / "videos" / "stale.mp4").write_bytes(b"")
    data = json.loads(build_report(result, out, ReportOptions(max_rows=1)).with_name("data.json").read_bytes())
    assert not (out / "videos" / "stale.mp4").exists()
    assert (len(data["rows"]), data["n_rows"]) == (1, 3)
    assert data["chosen_by"] == "the 1 of 3 with the lowest S_m (mini) of any system"
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("keep")
    with pytest.raises(ConfigError, match="not an evaluation page"):
        build_report(result, mine)
    assert (mine / "notes.txt").read_text() == "keep"


def test_the_means_are_over_all_videos_however_few_are_shown(page, result, tmp_path):
    """Cells of the page's first table."""
    few = build_report(result, tmp_path / "few", ReportOptions(max_rows=1))
    assert len(json.loads(few.with_name("data.json").read_bytes())["rows"]) == 1
    cells = [re.findall(r'<td class="n">(\d+\.\d.*?)</td>', file.read_text(encoding="utf-8")) for file in (few, page)]
    assert cells[0] == cells[1]
    assert len(cells[0]) >= 2


def test_masks_that_are_gone_cost_the_outlines_only(result, tmp_path, caplog):
    masks = result.parent / "m.masks"
    moved = masks.rename(tmp_path / "m.masks")
    try:
        page = build_report(result, tmp_path / "report")
    finally:
        moved.rename(masks)
    row = json.loads(page.with_name("data.json").read_bytes())["rows"][0]
    assert "overlay" not in row["cells"][0]["clip"]
    assert "mask" not in row
    assert "studio" not in row
    assert row["cells"][0]["values"]["mini_mask_miou"] > 50
    assert "a: outlines left out" in caplog.text


def test_overlays_outline_both_masks_where_they_are(tmp_path):
    frames, masks = drawn(0)
    shown = Shown(frames, FPS, encode(masks), encode(drawn(30)[1]))
    clip = write_clip(shown, tmp_path, "x", 0.3, 480)
    assert overlay_size(96, 64, 480) == (384, 256)  # four times as large
    overlay = read_clip(tmp_path / "x_overlay.mp4").astype(int)
    assert overlay.shape == (N_FRAMES, 256, 384, 3)
    for color, left in ((TRUE, 10), (SEEN, 40)):
        for t in range(N_FRAMES):
            seen = np.abs(overlay[t, 128, :] - color).sum(axis=1) < 120
            edges = np.flatnonzero(seen) / 4
            assert edges.min() == pytest.approx(left + 4 * t, abs=1)
            assert edges.max() == pytest.approx(left + 24 + 4 * t, abs=1)
    assert (clip.n_frames, clip.width, clip.overlay) == (4, 96, f"{tmp_path.name}/x_overlay.mp4")
    assert overlay_size(1920, 1080, 480) == (480, 270)


def test_mask_column_shows_objects_in_their_colors():
    both = np.zeros((1, 2, 4, 4), bool)
    both[0, 0, :2], both[0, 1, 1:3] = True, True
    found = mask_frames(encode(both))[0, :, 0]
    assert found.tolist() == [[230, 159, 0], [86, 180, 233], [86, 180, 233], [0, 0, 0]]


needs_chromium = pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium on the path")


def dom(url: str, profile: Path) -> str:
    """The page's elements after its script ran."""
    command = [
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={profile}", "--virtual-time-budget=4000", "--dump-dom", url,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout


@needs_chromium
def test_the_page_builds_its_rows_in_a_browser_from_disk(page, tmp_path):
    plain = dom(page.as_uri(), tmp_path)
    assert 'data-rows="3"' in plain
    assert plain.count('<article class="row') == 3
    assert "<title>drawn: evaluation</title>" in plain  # no text became script
    assert "missing: gone.mp4 does not exist" in plain
    assert "no item for this system" in plain
    assert plain.count('class="line"') == 3  # curves of the three videos that were scored
    assert "videos/0000_00_overlay.mp4" in plain
    assert '<option value="mini_mask_miou">S_m (mini)</option>' in plain  # a name to read, not the key
    shown = re.sub(r"<(script|style|dl).*?</\1>", "", plain, flags=re.DOTALL)
    assert "mini_mask_miou" not in re.sub(r"<[^>]*>", "", shown)
    linked = dom(page.as_uri() + "#sort=listed&q=red+square&overlay=0&row=a", tmp_path)
    assert "1 row of 3" in linked
    assert '<article class="row chosen" data-key="a"' in linked
    assert "videos/0000_00.mp4" in linked


USED = """<script>
window.onload = function () {
  var found = {}, node = function (id) { return document.getElementById(id); };
  var row = function (key) { return document.querySelector('[data-key="' + key + '"]'); };
  var change = function (id, value) { node(id).value = value; node(id).dispatchEvent(new Event("change")); };
  var keys = function () { return Array.from(document.querySelectorAll(".row")).map(function (one) { return one.dataset.key.slice(0, 3); }); };
  var click = function (share) {
    var svg = row("a").querySelector("svg"), box = svg.getBoundingClientRect();
    svg.dispatchEvent(new MouseEvent("click", { clientX: box.left + share * box.width }));
    return row("a").querySelector("output").textContent;
  };
  found.worst = keys();
  found.opened = row("a").querySelector("output").textContent;
  found.clicked = [click(0.1), click(0.6)];
  found.now = row("a").querySelectorAll(".now")[1].textContent;
  var slider = row("a").querySelector("input");
  slider.value = "0.375";
  slider.dispatchEvent(new Event("input"));
  found.slid = [row("a").querySelector("output").textContent, slider.value];
  change("sort", "gap");
  found.gap = [keys(), row("a").querySelector(".gap").textContent];
  change("sort", "best");
  found.best = keys();
  node("overlay").click();
  found.hash = location.hash;
  found.poster = row("a").querySelectorAll("video")[2].getAttribute("poster");
  found.flags = Array.from(row("a").querySelectorAll("video")).map(function (one) {
    return one.muted && one.loop && one.hasAttribute("playsinline");
  });
  document.body.dataset.found = JSON.stringify(found);
};
</script>"""  # noqa: E501


@needs_chromium
def test_order_curves_and_links_work_in_a_browser(page, data, tmp_path):
    used = page.with_name("used.html")
    used.write_text(page.read_text(encoding="utf-8").replace("</body>", USED + "</body>"), encoding="utf-8")
    told = dom(used.as_uri(), tmp_path)
    used.unlink()
    found = json.loads(html.unescape(re.search(r'data-found="([^"]*)"', told)[1]))
    first, second = data["rows"][0]["cells"]
    far = data["rows"][1]["cells"][0]["values"]["mini_mask_miou"]
    value, other = (cell["values"]["mini_mask_miou"] for cell in (first, second))
    worst = ["a", "</s"] if other <= far else ["</s", "a"]  # "</s" begins the hostile id
    assert found["worst"] == [*worst, "c"]
    frame = int(data["rows"][0]["start_s"] * FPS)
    assert found["opened"] == f"{data['rows'][0]['start_s']:.2f} of 0.50 s, frame {frame}"
    assert found["clicked"] == ["0.06 of 0.50 s, frame 0", "0.31 of 0.50 s, frame 2"]
    assert found["now"] == f" now {first['curves']['mini_mask_miou']['values'][2]:.1f}"
    assert found["slid"] == ["0.38 of 0.50 s, frame 3", "0.375"]
    assert found["gap"] == [["a", "</s", "c"], f"two minus one: {other - value:.1f}"]
    assert found["best"] == ["a", "</s", "c"]
    assert found["hash"] == "#sort=best&overlay=0"
    assert found["poster"] == "videos/0000_00.jpg"
    assert found["flags"] == [True] * 4


def test_rows_are_chosen_by_a_metric_that_has_values(result, tmp_path):
    """S_m first in the suite, but no video has a score of it: its absence orders nothing."""
    loaded = read_result(result)
    rows = tuple(
        row.model_copy(update={"value": None, "status": "inapplicable"}) if row.metric == "mini_mask_miou" else row
        for row in loaded.rows
    )
    (tmp_path / "videos").mkdir()
    data = page_data(loaded._replace(rows=rows), tmp_path / "videos", ReportOptions(max_rows=1))
    assert (data.main_metric, data.overlays_of) == ("temporal_flickering", "")
    assert data.chosen_by == "the 1 of 3 with the lowest temporal flickering of any system"


def test_masks_too_large_to_draw_are_refused_before_memory_is_asked_for():
    empty = MaskSequence(4000, 1, 2000, 2000, np.zeros(0, np.int32), np.zeros(4001, np.int64))
    with pytest.raises(MediaError, match="take 44 GiB"):
        mask_frames(empty)

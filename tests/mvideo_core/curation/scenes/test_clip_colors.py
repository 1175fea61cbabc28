"""Color bars of every kind of file come out of the cut stage within 3 levels, read by us, by ffmpeg and by OpenCV."""

import subprocess

import numpy as np
import pytest

from mvideo_core.base.errors import MediaError
from mvideo_core.curation.ingest.describe import describe
from mvideo_core.curation.ingest.naming import uri_of
from mvideo_core.curation.ingest.sources import SourceItem
from mvideo_core.curation.scenes import stream
from mvideo_core.curation.scenes.cut import cut_video
from mvideo_core.curation.scenes.options import CutOptions
from mvideo_core.media.decode import first_frame
from mvideo_core.media.ffmpeg import ffmpeg_path
from tests.mvideo_core.media import bars

SMALL = {"min_shot_s": 1.0, "min_frames": 9, "max_frames": 17, "preset": "ultrafast", "crf": 8}
WITHIN = 3


def cut(path, out, **more):
    out.mkdir(exist_ok=True)
    row = describe(SourceItem(video_id="v", uri=uri_of(path)))
    return row, cut_video(path, row, out, CutOptions.parse(SMALL | {"width": 192, "height": 128} | more))


def colors_of(frame, fit, row):
    """Colors at the middle of each bar that the clip shows in full, and the truth."""
    height, width = frame.shape[:2]
    ratio = row.width / row.height
    shown = min(1.0, (width / height) / ratio) if fit == "cover" else 1.0
    left = (1 - shown) / 2
    middles = (np.arange(8) + 0.5) / 8
    seen = (middles - 1 / 16 >= left) & (middles + 1 / 16 <= 1 - left)
    columns = ((middles[seen] - left) / shown * width).astype(int)
    return frame[height // 2, columns].astype(int), bars.BARS[seen]


def assert_right(path, fit, row, truth=None):
    for reader in (first_frame, bars.read_by_ffmpeg, bars.read_by_opencv):
        got, drawn = colors_of(reader(path), fit, row)
        wanted = drawn if truth is None else truth
        assert np.abs(got - wanted).max() <= WITHIN, (reader.__name__, got.tolist())


def tags_of(path):
    listing = subprocess.run(
        [ffmpeg_path(), "-hide_banner", "-i", str(path)], capture_output=True, text=True, check=False
    )
    return next(line for line in listing.stderr.splitlines() if " Video: " in line)


KINDS = [
    ("bt709", True, False, (320, 180)),
    ("bt601", True, False, (320, 180)),
    ("bt2020, bt709 primaries", True, False, (320, 180)),
    ("bt709", True, True, (320, 180)),
    ("bt601", True, True, (320, 180)),
    ("bt601", False, False, (320, 180)),
    ("bt709", False, False, (1280, 720)),
    ("bt709", False, False, (1280, 534)),
    ("bt601", True, False, (1280, 720)),
]
"""Matrix, whether it is tagged, full range, size."""
BARS = [(*kind, "cover") for kind in KINDS] + [(*KINDS[1], "contain"), (*KINDS[4], "stretch")]
MORE_BARS = [(*kind, fit) for kind in KINDS for fit in ("contain", "stretch") if (*kind, fit) not in BARS]


@pytest.mark.parametrize(
    ("matrix", "tagged", "full", "size", "fit"),
    [*BARS, *(pytest.param(*one, marks=pytest.mark.slow) for one in MORE_BARS)],
)
def test_bars_survive(tmp_path, matrix, tagged, full, size, fit):
    path = bars.write(tmp_path / "a.mp4", matrix=matrix, tagged=tagged, full=full, size=size)
    row, result = cut(path, tmp_path / "out", fit=fit)
    assert row.picture.tagged == tagged
    [clip] = result.clips
    assert_right(clip.path, fit, row)
    assert "yuv420p(tv, bt709" in tags_of(clip.path)
    assert clip.color_shift < 2


MKV = ("-c:v", "ffv1")
FORMATS = {
    "4:2:2": ("yuv422p", "a.mkv", MKV),
    "4:4:4": ("yuv444p", "a.mkv", MKV),
    "4:2:0, 10 bits": ("yuv420p10le", "a.mkv", MKV),
    "4:2:2, 10 bits": ("yuv422p10le", "a.mkv", MKV),
    "4:2:2, 12 bits": ("yuv422p12le", "a.mkv", MKV),
    "4:4:4, 12 bits": ("yuv444p12le", "a.mkv", MKV),
    "ProRes 422": ("yuv422p10le", "a.mov", ("-c:v", "prores_ks", "-profile:v", "2")),
    "ProRes 4444 with alpha": ("yuva444p10le", "a.mov", ("-c:v", "prores_ks", "-profile:v", "4")),
    "RGB, planes": ("gbrp", "a.mkv", MKV),
    "RGB, QuickTime animation": ("rgb24", "a.mov", ("-c:v", "qtrle")),
    "4:2:0 with alpha": ("yuva420p", "a.mkv", MKV),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_pixel_format(tmp_path, kind):
    """854 px wide: the crop to 3:2 begins at an odd column, which FFmpeg's exact crop takes apart in deep 4:2:2."""
    pix_fmt, name, coding = FORMATS[kind]
    path = bars.write(tmp_path / name, pix_fmt=pix_fmt, coding=coding, size=(854, 480))
    row, result = cut(path, tmp_path / "out")
    assert_right(result.clips[0].path, "cover", row)


@pytest.mark.parametrize(
    ("pix_fmt", "full"), [("gray", True), ("gray10le", True), ("gray", False), ("gray10le", False)]
)
def test_gray(tmp_path, pix_fmt, full):
    path = bars.write(tmp_path / "a.mkv", pix_fmt=pix_fmt, full=full, coding=MKV)
    row, result = cut(path, tmp_path / "out", fit="stretch")
    red, blue = bars.LUMA["bt709"]
    luma = np.round(bars.BARS @ [red, 1 - red - blue, blue]).astype(int)
    assert_right(result.clips[0].path, "stretch", row, np.repeat(luma[:, None], 3, 1))
    assert np.abs(first_frame(path)[90, 20::40].astype(int) - luma[:, None]).max() <= 1, (
        "and by our reader of the source"
    )


def bt2020_to_bt709(rgb):
    """The same light in bt709 primaries: BT.1886 (gamma 2.4), matrix of BT.2087, what is out of gamut clipped."""
    to_709 = [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
    linear = np.clip((rgb / 255) ** 2.4 @ np.transpose(to_709), 0, 1)
    return 255 * linear ** (1 / 2.4)


def test_wide_colors_become_bt709(tmp_path):
    path = bars.write(tmp_path / "a.mp4", matrix="bt2020")
    row, result = cut(path, tmp_path / "out", fit="stretch")
    assert (row.picture.primaries, row.picture.hdr, row.picture.wide) == ("bt2020", False, True)
    assert_right(result.clips[0].path, "stretch", row, bt2020_to_bt709(bars.BARS))
    assert result.clips[0].color_shift < 2


def light_of_pq(code):
    """Brightness in cd/m2 of a code from 0 to 1, SMPTE ST 2084."""
    power = code ** (1 / 78.84375)
    return 10000 * (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)


def light_of_hlg(code):
    """Brightness in cd/m2 of a gray code from 0 to 1 on a screen of 1,000 cd/m2, BT.2100 (OOTF gamma 1.2)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    return 1000 * scene**1.2


def mobius(x, peak=10.0, linear_to=0.3):
    """FFmpeg's curve: straight below 0.3, bent above so that `peak` becomes 1."""
    a = -(linear_to**2) * (peak - 1) / (linear_to**2 - 2 * linear_to + peak)
    b = (linear_to**2 - 2 * linear_to * peak + peak) / (peak - 1)
    bent = (b * b + 2 * b * linear_to + linear_to**2) / (b - a) * (x + a) / (x + b)
    return np.where(x <= linear_to, x, bent)


@pytest.mark.parametrize(("transfer", "light"), [("smpte2084", light_of_pq), ("arib-std-b67", light_of_hlg)])
def test_hdr_is_tone_mapped(tmp_path, transfer, light):
    """Gray steps of known brightness: 100 cd/m2 is 1.0 of the curve, and the clip's gamma is BT.1886."""
    levels = np.array([10, 32, 64, 96, 128, 160, 191, 255], np.uint8)
    steps = np.repeat(levels[np.arange(320) * 8 // 320][None, :, None], 180, 0).repeat(3, 2)
    tags = ("bt2020nc", "bt2020", transfer)
    path = bars.write(tmp_path / "a.mkv", matrix="bt2020", tags=tags, pix_fmt="yuv420p10le", coding=MKV, rgb=steps)
    row, result = cut(path, tmp_path / "out", fit="stretch")
    assert row.picture.hdr
    wanted = 255 * np.clip(mobius(light(levels / 255) / 100), 0, 1) ** (1 / 2.4)
    assert_right(result.clips[0].path, "stretch", row, np.repeat(wanted[:, None], 3, 1))
    assert result.clips[0].color_shift < 2


def test_what_cannot_be_converted_is_refused(tmp_path, monkeypatch):
    path = bars.write(tmp_path / "a.mkv", tags=("ycgco", "bt709", "bt709"), coding=MKV)
    with pytest.raises(MediaError, match=r"a\.mkv.*color matrix 8 \(YCgCo\) is not supported; convert"):
        cut(path, tmp_path / "out")
    wide = bars.write(tmp_path / "w.mp4", matrix="bt2020")
    poor = tmp_path / "ffmpeg"
    poor.write_text(f'#!/bin/sh\ncase "$*" in *-filters*) exit 0;; esac\nexec {ffmpeg_path()} "$@"\n')
    poor.chmod(0o755)
    monkeypatch.setenv("MVIDEO_FFMPEG", str(poor))
    with pytest.raises(MediaError, match=r"HDR or wide colors .* has no zscale and tonemap filters; set MVIDEO_FFMPEG"):
        cut(wide, tmp_path / "out")


def test_a_clip_whose_colors_left_its_source_is_dropped(tmp_path):
    """The limit is what a lossy encoder needs; a tenth of a level cannot be kept, so the clip must go, and its file."""
    path = bars.write(tmp_path / "a.mp4")
    _, result = cut(path, tmp_path / "out", max_color_shift=0.01)
    assert result.clips == []
    assert [(one.reason, one.threshold) for one in result.dropped] == [("color_shift", 0.01)]
    assert 0.01 < result.dropped[0].value < 2
    assert list((tmp_path / "out").iterdir()) == []


def test_the_fault_this_check_is_for(tmp_path, monkeypatch):
    """FFmpeg's exact crop at an odd column of 10-bit 4:2:2: green and magenta, and never silent again."""

    def exactly(video, ratio):
        return video.filter("crop", f"min(iw,ih*{ratio}/sar)", f"min(ih,iw*sar/({ratio}))", exact=1)

    monkeypatch.setattr(stream, "crop", exactly)
    pix_fmt, name, coding = FORMATS["ProRes 422"]
    _, result = cut(bars.write(tmp_path / name, pix_fmt=pix_fmt, coding=coding, size=(854, 480)), tmp_path / "out")
    assert [one.reason for one in result.dropped] == ["color_shift"]
    assert result.dropped[0].value > 10

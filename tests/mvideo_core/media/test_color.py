"""What samples mean: our readers and writers against bars worked out by hand, and against two other readers."""

import os
import subprocess
import time

import av
import numpy as np
import pytest

from mvideo_core.base.errors import MediaError
from mvideo_core.editing.reference import open_reference
from mvideo_core.masks.io.gray_video import read
from mvideo_core.media.color import BT709, FULL, LIMITED, default_matrix, from_rgb, picture_of, to_rgb
from mvideo_core.media.decode import first_frame, read_clip, read_gray, sample_frames
from mvideo_core.media.encode import write_mp4
from mvideo_core.media.ffmpeg import ffmpeg_path
from mvideo_core.media.probe import probe
from tests.mvideo_core.media import bars

FFV1 = ("-c:v", "ffv1")


def middles(frame):
    """Color at the middle of each bar, (8, 3)."""
    height, width = frame.shape[:2]
    return frame[height // 2, ((np.arange(8) + 0.5) * width / 8).astype(int)].astype(int)


@pytest.mark.parametrize("tagged", [True, False])
@pytest.mark.parametrize(
    ("matrix", "full", "size"),
    [("bt709", False, (1280, 720)), ("bt601", False, (320, 180)), ("bt709", True, (1280, 720))],
)
def test_our_readers_obey_the_tags_or_the_size(tmp_path, matrix, full, size, tagged):
    if full and not tagged:
        pytest.skip("no reader can know the range")
    path = bars.write(tmp_path / "a.mp4", matrix=matrix, full=full, size=size, tagged=tagged)
    for frame in (first_frame(path), read_clip(path)[-1], sample_frames(path, 3)[1]):
        assert np.abs(middles(frame) - bars.BARS).max() <= 3
    with open_reference(path) as reference:
        assert np.abs(middles(next(iter(reference.frames))) - bars.BARS).max() <= 3


@pytest.mark.parametrize("fit", ["crop", "letterbox", "stretch"])
def test_a_reference_keeps_its_matrix_through_a_resize(tmp_path, fit):
    """Untagged HD brought to 192x108: what the samples mean is decided before, not after."""
    path = bars.write(tmp_path / "a.mp4", size=(1280, 720), tagged=False)
    with open_reference(path, size_hw=(108, 192), fit=fit) as reference:
        assert np.abs(middles(next(iter(reference.frames))) - bars.BARS).max() <= 3


def test_a_reference_of_deep_samples_is_cropped_right(tmp_path):
    path = bars.write(tmp_path / "a.mkv", pix_fmt="yuv422p10le", size=(854, 480), coding=FFV1)
    with open_reference(path, size_hw=(128, 192), fit="crop") as reference:
        frame = next(iter(reference.frames))
    assert np.abs(frame[64, 96 - 3].astype(int) - bars.BARS[3]).max() <= 3


@pytest.mark.parametrize("size", [(192, 128), (1280, 720)])
def test_what_we_write_is_read_alike_by_everyone(tmp_path, size):
    write_mp4([bars.drawing(*size)] * 3, tmp_path / "a.mp4", fps=8, crf=8)
    for reader in (first_frame, bars.read_by_ffmpeg, bars.read_by_opencv):
        assert np.abs(middles(reader(tmp_path / "a.mp4")) - bars.BARS).max() <= 3, reader.__name__
    listing = subprocess.run(
        [ffmpeg_path(), "-hide_banner", "-i", str(tmp_path / "a.mp4")], capture_output=True, check=False
    )
    assert b"yuv420p(tv, bt709" in listing.stderr
    assert b"colr" in (tmp_path / "a.mp4").read_bytes()


def test_hdr_is_not_read_as_if_it_were_not(tmp_path):
    path = bars.write(tmp_path / "a.mkv", tags=("bt2020nc", "bt2020", "smpte2084"), coding=FFV1)
    with pytest.raises(MediaError, match=r"a\.mkv: HDR \(smpte2084\) only the cut stage tone-maps; convert"):
        first_frame(path)
    with open_reference(path) as reference:
        assert next(iter(reference.frames)).shape == (180, 320, 3)


@pytest.mark.parametrize(("size", "matrix"), [((1280, 534), 1), ((960, 720), 1), ((854, 480), 6), ((720, 576), 6)])
def test_size_decides_where_no_tag_does(size, matrix):
    assert default_matrix(*size) == matrix


def test_gaps_are_filled_by_the_size_alone():
    facts = {
        "stream_index": 0, "pix_fmt": "yuv420p", "is_rgb": False, "bit_depth": 8, "coded_width": 720,
        "coded_height": 576, "matrix": 2, "range": 0, "primaries": 2, "transfer": 2, "interlaced": False,
    }  # fmt: skip
    pal = picture_of(facts)
    assert (pal.matrix, pal.range, pal.primaries, pal.tagged) == ("bt601", "tv", "bt470bg", False)
    assert picture_of(facts | {"coded_height": 480}).primaries == "smpte170m"
    hd = picture_of(facts | {"coded_width": 1280, "coded_height": 720, "pix_fmt": "yuvj420p"})
    assert (hd.matrix, hd.range, hd.primaries, hd.transfer) == ("bt709", "pc", "bt709", "bt709")


def disc(width=256, height=128, x=180, radius=30):
    """White disc on black, (H, W, 3) uint8."""
    rows, columns = np.mgrid[:height, :width]
    inside = (rows - height / 2) ** 2 + (columns - x) ** 2 < radius**2
    return np.where(inside[..., None], 255, 0).repeat(3, 2).astype(np.uint8)


MATTES = {
    "ProRes, 10 bits": ("yuv422p10le", "a.mov", ("-c:v", "prores_ks", "-profile:v", "2")),
    "ProRes 4444": ("yuva444p10le", "a.mov", ("-c:v", "prores_ks", "-profile:v", "4")),
    "RGB": ("rgb24", "a.mov", ("-c:v", "qtrle")),
    "RGB, planes": ("gbrp", "a.mkv", FFV1),
    "gray, 10 bits": ("gray10le", "a.mkv", FFV1),
    "4:2:0": ("yuv420p", "a.mp4", ()),
}


@pytest.mark.parametrize("kind", MATTES)
def test_a_matte_of_any_format_keeps_its_disc(tmp_path, kind):
    pix_fmt, name, coding = MATTES[kind]
    drawn = disc()
    path = bars.write(
        tmp_path / name, pix_fmt=pix_fmt, coding=coding, rgb=drawn, size=(256, 128), n=3, full=pix_fmt == "gray10le"
    )
    masks, fps = read(path)
    sequence = masks.sequence
    assert (sequence.n_frames, sequence.n_objects, fps) == (3, 1, 8.0)
    mask = sequence.frame(1)[0]
    assert np.count_nonzero(mask != (drawn[..., 0] > 0)) < 12


def test_deep_luma_loses_only_its_low_bits(tmp_path):
    """Steps of limited range: 16 + 219 y, in 8 bits."""
    levels = np.linspace(0, 255, 8).astype(np.uint8)
    steps = np.repeat(levels, 32)[None, :, None].repeat(128, 0).repeat(3, 2)
    path = bars.write(tmp_path / "a.mkv", pix_fmt="yuv422p10le", coding=FFV1, rgb=steps, size=(256, 128), n=2)
    got = next(read_gray(path))[64, 16::32]
    assert np.abs(got - (16 + 219 * (levels / 255))).max() <= 1
    assert probe(path).bit_depth == 10


@pytest.mark.parametrize("size", [(2, 2), (48, 32), (98, 66), (360, 240), (1280, 534)])
def test_one_scaler_for_all_frames_gives_the_numbers_of_one_for_each(size):
    """Sizes and directions take turns, so that the scaler is set up anew in between."""
    exact = 0x2 | 0x2000 | 0x40000  # bilinear, full chroma, accurate rounding
    for width, height in (size, (64, 48), size):
        rgb = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
        fresh = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
            format="yuv420p", dst_colorspace=BT709, src_color_range=FULL, dst_color_range=LIMITED,
            dst_color_trc=BT709, dst_color_primaries=BT709, interpolation=exact,
        )  # fmt: skip
        ours = from_rgb(rgb)
        assert np.array_equal(ours.to_ndarray(), fresh.to_ndarray())
        assert np.array_equal(to_rgb(ours), ours.to_ndarray(format="rgb24"))


def test_frames_are_converted_after_a_fork():
    """A scaler with threads would wait in the child for threads that stayed in the parent."""
    rgb = np.full((534, 1280, 3), 90, np.uint8)
    from_rgb(rgb)
    if not (child := os.fork()):
        from_rgb(rgb)
        os._exit(0)
    deadline = time.monotonic() + 20
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, 9)
        time.sleep(0.01)
    assert ended == (child, 0)

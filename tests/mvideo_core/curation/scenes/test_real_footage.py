"""Containers, codecs, clocks and streams that people really have: each clip frame is the one a player shows then.

What is right is worked out here: the number drawn into each frame, the time the file was given, the size in pixels.
"""

import math
from fractions import Fraction

import numpy as np
import pytest

from mvideo_core.base.errors import MediaError
from mvideo_core.curation.ingest.describe import describe
from mvideo_core.curation.ingest.naming import uri_of
from mvideo_core.curation.ingest.sources import SourceItem
from mvideo_core.curation.scenes.cut import cut_video
from mvideo_core.curation.scenes.options import CutOptions
from mvideo_core.media.decode import read_clip
from tests.mvideo_core.media import footage

OPTIONS = {
    "width": 192, "height": 128, "min_shot_s": 1, "min_frames": 9, "max_frames": 33, "trim_s": 0.125,
    "preset": "ultrafast", "crf": 10, "gradual": {"enabled": False},
    "detector": "content", "detector_options": {"threshold": 100},
}  # fmt: skip
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "10", "-pix_fmt", "yuv420p")
B_FRAMES = ("-c:v", "libx264", "-preset", "fast", "-crf", "10", "-pix_fmt", "yuv420p", "-bf", "2", "-g", "10")
SILENCE = ("-f", "lavfi", "-t", "6", "-i", "anullsrc=r=16000:cl=mono")


def cut(path, out, **more):
    out.mkdir()
    row = describe(SourceItem(video_id="v", uri=uri_of(path)))
    return row, cut_video(path, row, out, CutOptions.parse(OPTIONS | more))


def assert_shows(result, rate, first_s=0.0, skipped=0):
    """Clip frame k of the one clip carries the number of the source frame on screen at its time."""
    [clip] = result.clips
    pictures = read_clip(clip.path)
    times = clip.start_s + np.arange(clip.n_frames) / 8
    wanted = [skipped + int((t - first_s) * Fraction(rate) + Fraction(1, 1000)) for t in times]
    assert [footage.number_of(picture) for picture in pictures] == wanted
    patch = pictures[:, 8:24, 8:184].mean((0, 1, 2))
    assert np.abs(patch - footage.PATCH).max() <= 3, patch
    return clip


HEVC = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=0:crf=10", "-pix_fmt", "yuv420p10le")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "2M", "-pix_fmt", "yuv420p")
AV1 = ("-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-crf", "15", "-pix_fmt", "yuv420p")
MPEG2 = ("-c:v", "mpeg2video", "-q:v", "2", "-pix_fmt", "yuv420p")
FRAGMENTS = ("-movflags", "frag_keyframe+empty_moov+default_base_moof")
CODECS = {
    "59.94 fps": ("a.mp4", X264, {"rate": "60000/1001", "n": 120}),
    "23.976 fps": ("a.mp4", X264, {"rate": "24000/1001", "n": 48}),
    "HEVC, 10 bits": ("a.mp4", HEVC, {}),
    "VP9": ("a.webm", VP9, {}),
    "AV1": ("a.mp4", AV1, {}),
    "ProRes": ("a.mov", ("-c:v", "prores_ks", "-profile:v", "2", "-pix_fmt", "yuv422p10le"), {}),
    "MPEG-2 in a transport stream": ("a.ts", MPEG2, {"rate": "25", "n": 60}),
    "H.264 in a transport stream": ("a.ts", B_FRAMES, {}),
    "fragmented mp4": ("a.mp4", (*B_FRAMES, *FRAGMENTS), {}),
    "B-frames": ("a.mp4", B_FRAMES, {}),
    "MPEG-4 in AVI": ("a.avi", ("-c:v", "mpeg4", "-q:v", "2", "-pix_fmt", "yuv420p"), {"matrix": "bt601"}),
    "motion JPEG": (
        "a.avi",
        ("-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuvj420p"),
        {"matrix": "bt601", "levels": "pc"},
    ),
}


@pytest.mark.parametrize("kind", CODECS)
def test_codecs_and_containers(tmp_path, kind):
    name, coding, more = CODECS[kind]
    path = footage.film(tmp_path / name, *coding, **more)
    _, result = cut(path, tmp_path / "out")
    rate, n = more.get("rate", "10"), more.get("n", 24)
    clip = assert_shows(result, rate)
    assert result.n_frames == n
    assert clip.n_frames == min(33, 8 * ((math.ceil(n / Fraction(rate) * 8) - 1) // 8) + 1)
    assert (result.decode_errors, clip.decode_errors) == (0, 0)


def test_a_late_file_begins_with_its_first_frame(tmp_path):
    """Matroska's length counts from 0, not from the first frame: nothing is missing from such a file."""
    film = footage.film(tmp_path / "a.mp4", n=30)
    for name in ("late.mkv", "late.mp4", "late.ts"):
        footage.ffmpeg("-i", film, "-c", "copy", "-output_ts_offset", "5", tmp_path / name)
        row, result = cut(tmp_path / name, tmp_path / f"out {name}")
        assert row.duration_s == pytest.approx(3.0, abs=0.11)
        assert_shows(result, "10")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_picture_that_begins_after_the_sound(tmp_path, name):
    """1.5 s of sound alone: no frame is shown then, so no clip has any; times stay those of a player."""
    film = footage.film(tmp_path / "film.mp4", n=30)
    late = ("-itsoffset", "1.5", "-i", film, *SILENCE, "-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac")
    footage.ffmpeg(*late, tmp_path / name)
    row, result = cut(tmp_path / name, tmp_path / "out")
    clip = assert_shows(result, "10", first_s=1.5)
    assert (clip.start_s, clip.n_frames) == (1.5, 17)
    assert row.duration_s == pytest.approx(3.0, abs=0.11)
    assert result.n_frames == 30


def test_spans_of_a_picture_that_begins_late(tmp_path):
    film = footage.film(tmp_path / "film.mp4", n=40)
    late = ("-itsoffset", "1.5", "-i", film, *SILENCE, "-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac")
    footage.ffmpeg(*late, tmp_path / "a.mp4")
    row = describe(SourceItem(video_id="v", uri=uri_of(tmp_path / "a.mp4"), spans_s=[[0.5, 1.0], [2.0, 4.0]]))
    (tmp_path / "out").mkdir()
    result = cut_video(tmp_path / "a.mp4", row, tmp_path / "out", CutOptions.parse(OPTIONS | {"use_spans": True}))
    clip = assert_shows(result, "10", first_s=1.5)
    assert (clip.start_s, clip.n_frames) == (2.0, 9)


def test_sound_longer_than_the_picture_is_no_truncation(tmp_path):
    film = footage.film(tmp_path / "film.mp4", n=20)
    footage.ffmpeg("-i", film, *SILENCE, "-c:v", "copy", "-c:a", "aac", tmp_path / "a.mkv")
    row, result = cut(tmp_path / "a.mkv", tmp_path / "out")
    assert row.duration_s == pytest.approx(2.0, abs=0.11)
    assert_shows(result, "10")


def test_a_file_without_time_stamps(tmp_path):
    """AVI has none; FFmpeg counts two frames for the reordering, so that the first is shown at 0.2 s."""
    path = footage.film(tmp_path / "a.avi", *B_FRAMES, n=30)
    _, result = cut(path, tmp_path / "out")
    assert_shows(result, "10", first_s=Fraction(2, 10))
    assert result.n_frames == 30


def test_an_edit_list_hides_the_frames_before_it(tmp_path):
    """Cut without encoding at 1.2 s: the file still holds frames 10 and 11, which no player shows."""
    film = footage.film(tmp_path / "film.mp4", *B_FRAMES, n=40)
    footage.ffmpeg("-ss", "1.2", "-i", film, "-c", "copy", tmp_path / "a.mp4")
    _, result = cut(tmp_path / "a.mp4", tmp_path / "out")
    assert_shows(result, "10", skipped=12)
    assert result.n_frames == 28


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_of_two_videos_the_default_or_the_largest(tmp_path, name):
    small = footage.film(tmp_path / "small.mp4", frames=[np.full((64, 96, 3), 200, np.uint8)] * 24, size=(96, 64))
    large = footage.film(tmp_path / "large.mp4")
    two = ("-i", small, "-i", large, "-map", "0:v", "-map", "1:v", "-c", "copy")
    both = "default" if name == "a.mp4" else "0"  # mp4 enables a track at least, and usually all
    footage.ffmpeg(*two, "-disposition:v:0", both, "-disposition:v:1", both, tmp_path / name)
    row, result = cut(tmp_path / name, tmp_path / "out")
    assert (row.picture.stream_index, row.width, row.height) == (1, 192, 128)
    assert_shows(result, "10")
    footage.ffmpeg(*two, "-disposition:v:0", "default", "-disposition:v:1", "0", tmp_path / f"default {name}")
    row, result = cut(tmp_path / f"default {name}", tmp_path / "out of default")
    assert (row.picture.stream_index, row.width) == (0, 96)
    assert np.abs(read_clip(result.clips[0].path).astype(int) - 200).max() <= 2


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_cover_art_and_attachments_are_no_video(tmp_path, name):
    film = footage.film(tmp_path / "film.mp4")
    footage.ffmpeg("-f", "lavfi", "-i", "color=red:s=640x640", "-frames:v", "1", tmp_path / "cover.png")
    (tmp_path / "font.ttf").write_bytes(bytes(5000))
    inputs = ("-i", tmp_path / "cover.png", "-i", film, "-map", "0:v", "-map", "1:v", "-c", "copy")
    mp4 = (*inputs, "-disposition:v:0", "attached_pic", "-disposition:v:1", "0")
    picture = ("-attach", tmp_path / "cover.png", "-metadata:s:t:0", "mimetype=image/png")
    font = ("-attach", tmp_path / "font.ttf", "-metadata:s:t:1", "mimetype=font/ttf")
    footage.ffmpeg(*(mp4 if name.endswith("mp4") else ("-i", film, "-c", "copy", *picture, *font)), tmp_path / name)
    row, result = cut(tmp_path / name, tmp_path / "out")
    assert (row.width, row.height) == (192, 128)
    assert_shows(result, "10")
    assert footage.number_of(read_clip(tmp_path / name)[5]) == 5, "and our own reader takes the same stream"


def fields(n, width=192, height=128):
    """Frames of two fields each: a bar that moves 8 px from field to field, upper field first."""
    drawn = []
    for number in range(n):
        rgb = np.full((height, width, 3), footage.PATCH, np.uint8)
        for field in (0, 1):
            left = 8 * (2 * number + field) % (width - 32)
            rgb[field::2, left : left + 32] = 230
        drawn.append(rgb)
    return drawn


def combing(pictures):
    """How much lines differ from the mean of their neighbors, mean of levels."""
    luma = pictures.astype(float).mean(-1)
    return float(np.abs(luma[:, 1:-1] - (luma[:, :-2] + luma[:, 2:]) / 2).mean())


@pytest.mark.parametrize(
    ("name", "coding"),
    [
        ("a.mp4", (*X264, "-x264-params", "tff=1")),
        ("a.ts", ("-c:v", "mpeg2video", "-q:v", "2", "-pix_fmt", "yuv420p", "-flags", "+ilme+ildct")),
    ],
)
def test_fields_are_woven_away(tmp_path, name, coding):
    drawn = fields(60)
    path = footage.film(tmp_path / name, *coding, rate="25", frames=drawn, filters="setfield=tff")
    row, result = cut(path, tmp_path / "out")
    assert row.picture.interlaced
    assert result.n_frames == 60
    pictures = read_clip(result.clips[0].path)
    assert combing(np.stack(drawn)) > 10
    assert combing(pictures) < 2
    flat = footage.film(tmp_path / "flat.mp4", rate="25", n=60)
    assert not describe(SourceItem(video_id="v", uri=uri_of(flat))).picture.interlaced


@pytest.mark.parametrize(("size", "sar", "shown"), [((144, 128), "4/3", (192, 128)), ((192, 96), "3/4", (144, 96))])
def test_pixels_that_are_not_square(tmp_path, size, sar, shown):
    path = footage.film(tmp_path / "a.mp4", size=(192, 128), filters=f"scale={size[0]}:{size[1]},setsar={sar}")
    row, result = cut(path, tmp_path / "out", width=shown[0], height=shown[1])
    assert (row.width, row.height) == shown
    if shown == (192, 128):
        assert_shows(result, "10")
    assert read_clip(result.clips[0].path).shape[1:] == (shown[1], shown[0], 3)


def test_portrait_and_turned_by_the_header(tmp_path):
    upright = [np.rot90(footage.frame(number)) for number in range(24)]
    flat = footage.film(tmp_path / "flat.mp4", frames=upright, size=(128, 192))
    assert describe(SourceItem(video_id="v", uri=uri_of(flat))).height == 192
    footage.ffmpeg("-display_rotation", "-90", "-i", flat, "-c", "copy", tmp_path / "turned.mp4")
    row, result = cut(tmp_path / "turned.mp4", tmp_path / "out")
    assert (row.width, row.height, row.rotation_deg % 180) == (192, 128, 90)
    assert_shows(result, "10")


@pytest.mark.slow
def test_4k(tmp_path):
    frames = [np.kron(footage.frame(number), np.ones((18, 20, 1), np.uint8)) for number in range(12)]
    path = footage.film(tmp_path / "a.mp4", rate="8", frames=frames, size=(3840, 2304))
    row, result = cut(path, tmp_path / "out", fit="stretch")
    assert (row.width, row.picture.matrix) == (3840, "bt709")
    assert_shows(result, "8")


def test_a_gif_is_refused(tmp_path):
    footage.ffmpeg("-f", "lavfi", "-i", "testsrc=d=2:r=10", tmp_path / "a.gif")
    with pytest.raises(MediaError, match=r"a\.gif.*not a video container we support: starts with b'GIF89a"):
        cut(tmp_path / "a.gif", tmp_path / "out")

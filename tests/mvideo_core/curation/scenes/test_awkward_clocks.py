"""Variable frame rates and rotation, on world footage: every clip frame is the one that was on screen at its time.

Each source frame carries its number as a row of black and white squares, which survives scaling and H.264.
"""

import itertools
from fractions import Fraction

import av
import numpy as np
import pytest

from mvideo_core.curation.ingest.describe import describe
from mvideo_core.curation.ingest.naming import uri_of
from mvideo_core.curation.ingest.sources import SourceItem
from mvideo_core.curation.scenes.cut import cut_video
from mvideo_core.curation.scenes.options import CutOptions
from mvideo_core.media.decode import read_clip
from mvideo_core.miniworld.world import render_shot, sample_shot
from tests.mvideo_core.media import samples

WIDTH, HEIGHT, SQUARE, BITS = 192, 128, 16, 8
OPTIONS = CutOptions(
    width=WIDTH, height=HEIGHT, min_shot_s=1, min_frames=9, max_frames=33, trim_s=0.125, preset="ultrafast"
)
SHOTS = ((101, 70), (3, 55))
"""(seed, source frames) of two world shots."""


@pytest.fixture(scope="module")
def frames():
    shots = [render_shot(sample_shot(seed, "val"), n, WIDTH, HEIGHT, fps=16) for seed, n in SHOTS]
    return [numbered(one.rgb.copy(), n) for n, one in enumerate(itertools.chain(*shots))]


def numbered(rgb, number):
    for bit in range(BITS):
        rgb[-SQUARE:, bit * SQUARE : (bit + 1) * SQUARE] = 255 * (number >> bit & 1)
    return rgb


def number_of(rgb):
    cells = [rgb[-SQUARE + 4 : -4, bit * SQUARE + 4 : (bit + 1) * SQUARE - 4].mean() > 128 for bit in range(BITS)]
    return sum(1 << bit for bit, on in enumerate(cells) if on)


def varied_times(n, seed):
    """Milliseconds of n frames: 4 to 120 ms apart, in stretches, as a phone in the dark or a screen recorder gives."""
    rng = np.random.default_rng(seed)
    stretches = [rng.integers(4, 20, n), np.full(n, 33), rng.integers(60, 120, n)]
    steps = [int(stretches[(k // 9) % 3][k]) for k in range(n - 1)]
    return [0, *itertools.accumulate(steps)]


def write(path, frames, times_ms):
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30, options={"preset": "ultrafast", "g": "24", "crf": "12"})
        stream.width, stream.height, stream.pix_fmt = frames[0].shape[1], frames[0].shape[0], "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for rgb, time_ms in zip(frames, times_ms, strict=True):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            picture.pts, picture.time_base = time_ms, Fraction(1, 1000)
            out.mux(stream.encode(picture))
        out.mux(stream.encode())
    return path


def cut(path, out):
    out.mkdir()
    row = describe(SourceItem(video_id="v", uri=uri_of(path)))
    return row, cut_video(path, row, out, OPTIONS)


def on_screen(times_ms, time_s):
    """Number of the source frame shown at a time."""
    return int(np.searchsorted(times_ms, time_s * 1000 + 1e-6, side="right")) - 1


@pytest.mark.parametrize(("name", "seed"), [("v.mkv", 1), ("v.mp4", 2), ("v.mkv", 3)])
def test_clips_of_a_variable_rate_show_the_frame_of_their_time(frames, tmp_path, name, seed):
    times_ms = varied_times(len(frames), seed)
    row, result = cut(write(tmp_path / name, frames, times_ms), tmp_path / "out")
    cut_s = times_ms[SHOTS[0][1]] / 1000
    assert [one.start_s for one in result.transitions] == pytest.approx([cut_s], abs=1e-4)
    assert result.n_frames == len(frames)
    grid_end = times_ms[-1] / 1000  # the last frame's own length is the encoder's guess
    first_of_second = int(np.ceil((cut_s + 0.125) * 8 - 1e-6))
    last_of_first = int(np.ceil((cut_s - 0.125) * 8 - 1e-6))
    assert next(clip.start_s for clip in result.clips if clip.shot_index == 1) == first_of_second / 8
    lengths = [clip.n_frames for clip in result.clips if clip.shot_index == 0]
    assert sum(lengths) > last_of_first - 9, "not more than a clip's least length is left over"
    assert sum(lengths) <= last_of_first
    for clip in result.clips:
        pictures = read_clip(clip.path)
        assert len(pictures) == clip.n_frames
        assert clip.n_frames % 8 == 1
        seen = [number_of(picture) for picture in pictures]
        wanted = [on_screen(times_ms, clip.start_s + k / 8) for k in range(clip.n_frames)]
        assert seen == wanted
        assert clip.end_s <= grid_end + 0.25
    assert row.duration_s == pytest.approx(grid_end, abs=0.25)


def test_a_late_start_counts_from_the_first_frame(frames, tmp_path):
    times_ms = [time_ms + 1700 for time_ms in varied_times(len(frames), 4)]
    _, result = cut(write(tmp_path / "late.mkv", frames, times_ms), tmp_path / "out")
    assert result.transitions[0].start_s == pytest.approx((times_ms[SHOTS[0][1]] - 1700) / 1000, abs=1e-4)
    seen = [number_of(picture) for picture in read_clip(result.clips[0].path)]
    assert seen == [on_screen(times_ms, 1.7 + k / 8) for k in range(len(seen))]


def test_a_rotated_variable_rate_file_is_upright_and_on_time(frames, tmp_path):
    """A phone held upright stores turned pixels and a quarter turn in the header; the clip shows the scene itself."""
    times_ms = varied_times(len(frames), 5)
    lying = [np.rot90(rgb, 1) for rgb in frames]
    flat = write(tmp_path / "flat.mp4", lying, times_ms)
    row, result = cut(samples.rotated(flat, tmp_path / "r.mp4"), tmp_path / "out")
    assert (row.rotation_deg % 180, row.width, row.height) == (90, WIDTH, HEIGHT)
    assert result.transitions[0].start_s == pytest.approx(times_ms[SHOTS[0][1]] / 1000, abs=1e-4)
    for clip in result.clips:
        pictures = read_clip(clip.path)
        wanted = [on_screen(times_ms, clip.start_s + k / 8) for k in range(clip.n_frames)]
        assert [number_of(picture) for picture in pictures] == wanted
        difference = np.abs(pictures[0].astype(int) - frames[wanted[0]]).mean()
        assert difference < 12, "the picture is the world's own, upright"

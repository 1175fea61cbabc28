"""Frames survive the trip through our own encoder and decoder."""

import hashlib
import threading
import time
import tracemalloc
from fractions import Fraction

import av
import numpy as np
import pytest

from mvideo_core.base.errors import MediaError
from mvideo_core.media.decode import (
    count_frames,
    first_frame,
    read_ahead,
    read_clip,
    read_frames,
    read_gray,
    sample_frames,
)
from mvideo_core.media.encode import write_gray_mp4, write_mp4, write_png


def ramp(n=9, height=32, width=48):
    """Frame k is flat gray of 20 + 20 k."""
    return [np.full((height, width, 3), 20 + 20 * k, np.uint8) for k in range(n)]


def test_values_and_count_survive(tmp_path):
    assert write_mp4(ramp(), tmp_path / "a.mp4", fps=8) == 9
    clip = read_clip(tmp_path / "a.mp4")
    assert clip.shape == (9, 32, 48, 3)
    assert np.abs(clip[:, 16, 24, 1].astype(int) - (20 + 20 * np.arange(9))).max() <= 3


def test_same_frames_same_bytes(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (17, 64, 96, 3), dtype=np.uint8)
    for name in ("a", "b"):
        write_mp4(noise, tmp_path / name, fps=8)
    write_mp4(noise[:, ::-1], tmp_path / "c", fps=8)
    digests = [hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in "abc"]
    assert digests[0] == digests[1] != digests[2]
    assert b"Lavf" not in (tmp_path / "a").read_bytes()


def test_index_stands_before_the_data(tmp_path):
    write_mp4(ramp(), tmp_path / "a.mp4", fps=8)
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_samples_are_spread_from_first_to_last(tmp_path):
    write_mp4(ramp(), tmp_path / "a.mp4", fps=8)
    picked = sample_frames(tmp_path / "a.mp4", 3)[:, 0, 0, 0].astype(int)
    assert np.abs(picked - [20, 100, 180]).max() <= 3
    assert sample_frames(tmp_path / "a.mp4", 1).shape == (1, 32, 48, 3)
    assert sample_frames(tmp_path / "a.mp4", 20).shape[0] == 20


def test_file_objects_and_first_frame(tmp_path):
    write_mp4(ramp(), tmp_path / "a.mp4", fps=8)
    with open(tmp_path / "a.mp4", "rb") as handle:
        assert sum(1 for _ in read_frames(handle)) == 9
    assert abs(int(first_frame(tmp_path / "a.mp4")[0, 0, 0]) - 20) <= 3
    assert count_frames(tmp_path / "a.mp4") == 9


def test_gray_is_lossless(tmp_path):
    labels = np.random.default_rng(1).integers(0, 256, (5, 32, 48), dtype=np.uint8)
    write_gray_mp4(labels, tmp_path / "m.mp4", fps=8)
    assert np.array_equal(np.stack(list(read_gray(tmp_path / "m.mp4"))), labels)


def test_png_is_lossless(tmp_path):
    from PIL import Image

    frame = np.random.default_rng(2).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    write_png(tmp_path / "f.png", frame)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "f.png")), frame)


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        ([], "no frame"),
        ([np.zeros((31, 48, 3), np.uint8)], "even"),
        ([*ramp(1), np.zeros((8, 8, 3), np.uint8)], "first"),
    ],
)
def test_frames_that_cannot_be_a_video(tmp_path, frames, said):
    with pytest.raises(MediaError, match=said):
        write_mp4(frames, tmp_path / "a.mp4", fps=8)


def test_bytes_that_are_no_video(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"not a video at all" * 100)
    with pytest.raises(MediaError, match="cannot be decoded"):
        first_frame(tmp_path / "a.mp4")


def test_a_video_that_changes_its_size_says_so(tmp_path):
    """Motion JPEG in AVI: packets of two encoders, 96x64 and then 48x32 px, in one stream."""
    with av.open(str(tmp_path / "a.avi"), "w") as out:
        stream = out.add_stream("mjpeg", rate=8)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuvj420p"
        for k, (width, height) in enumerate(((96, 64), (96, 64), (48, 32))):
            encoder = av.CodecContext.create("mjpeg", "w")
            encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuvj420p"
            encoder.time_base = stream.time_base = Fraction(1, 8)
            image = av.VideoFrame.from_ndarray(np.full((height, width, 3), 90, np.uint8)).reformat(format="yuvj420p")
            for packet in [*encoder.encode(image), *encoder.encode()]:
                packet.stream, packet.pts, packet.dts, packet.time_base = stream, k, k, Fraction(1, 8)
                out.mux(packet)
    with pytest.raises(MediaError, match="starts with 96x64 px and changes to 48x32"):
        read_clip(tmp_path / "a.avi")


def test_decoding_stops_at_the_limit_whatever_the_header_says(tmp_path):
    write_mp4(ramp(), tmp_path / "a.mp4", fps=8)
    frame_bytes = 32 * 48 * 3
    assert len(read_clip(tmp_path / "a.mp4", max_bytes=9 * frame_bytes)) == 9
    with pytest.raises(MediaError, match=r"over 36864 bytes decoded"):
        read_clip(tmp_path / "a.mp4", max_bytes=8 * frame_bytes)


def test_a_clip_is_read_into_one_array(tmp_path):
    """Twice the frames would be a list of them and then their stack."""
    write_mp4((np.full((64, 96, 3), 20 + t, np.uint8) for t in range(150)), tmp_path / "long.mp4", 8)
    tracemalloc.start()
    clip = read_clip(tmp_path / "long.mp4")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert clip.shape == (150, 64, 96, 3)
    assert clip.mean((1, 2, 3)) == pytest.approx(np.arange(20, 170), abs=2)
    assert peak < 1.4 * clip.nbytes


def test_frames_read_ahead_are_the_same_and_few(tmp_path):
    write_mp4(ramp(), tmp_path / "a.mp4", fps=8)
    ahead = read_ahead(read_frames(tmp_path / "a.mp4"), 2)
    np.testing.assert_array_equal(list(ahead), list(read_frames(tmp_path / "a.mp4")))
    taken = []
    frames = read_ahead((taken.append(n) or frame for n, frame in enumerate(ramp())), 2)
    next(frames)
    time.sleep(0.2)
    assert len(taken) == 4  # one is here, two are ready, one waits for room
    frames.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "frames-ahead"]


def test_an_error_comes_after_the_frames_before_it():
    def broken():
        yield from ramp(3)
        raise MediaError("damaged")

    frames = read_ahead(broken(), 8)
    for number in range(3):
        assert next(frames)[0, 0, 0] == 20 + 20 * number
    with pytest.raises(MediaError, match="damaged"):
        next(frames)

"""From a file to clips: exact cuts, whole accounts, same bytes, bad files, bounded memory."""

import hashlib
import os
import resource
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError, MediaError, StoreError
from mvideo_core.curation.ingest.describe import describe
from mvideo_core.curation.ingest.naming import uri_of
from mvideo_core.curation.ingest.sources import SourceItem
from mvideo_core.curation.scenes.clip_writer import ClipWriter, Encoding
from mvideo_core.curation.scenes.cut import cut_video
from mvideo_core.curation.scenes.options import CutOptions
from mvideo_core.media.decode import first_frame, read_clip
from mvideo_core.media.encode import write_mp4
from mvideo_core.processes import sandbox
from tests.mvideo_core.media import samples

SMALL = {
    "width": 96,
    "height": 64,
    "min_shot_s": 1.0,
    "min_frames": 9,
    "max_frames": 17,
    "trim_s": 0.125,
    "preset": "ultrafast",
}


def shot(color, n, width=160, height=90, seed=0):
    """Moving texture of one hue: the channel `color` carries most of it."""
    rng = np.random.default_rng(seed + color)
    base = np.kron(rng.integers(40, 255, (9, 20)), np.ones((10, 10)))
    for k in range(n):
        frame = np.zeros((height, width, 3), np.uint8)
        frame[..., color] = np.roll(base, k, 1)[:height, :width]
        yield frame


def row_of(path):
    return describe(SourceItem(video_id="v", uri=uri_of(path)))


def cut(path, out, **more):
    out.mkdir(exist_ok=True)
    return cut_video(path, row_of(path), out, CutOptions.parse(SMALL | more))


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Red 2.5 s, green 2 s, blue 5 s at 24 fps."""
    path = tmp_path_factory.mktemp("three") / "three.mp4"
    frames = [*shot(0, 60), *shot(1, 48), *shot(2, 120)]
    write_mp4(frames, path, fps=24, preset="ultrafast")
    return path


def test_cuts_clips_and_accounts_are_exact(three, tmp_path):
    result = cut(three, tmp_path / "out")
    assert [t.start_s for t in result.transitions] == pytest.approx([2.5, 4.5], abs=1e-5)
    assert (result.n_shots, result.n_frames) == (3, 228)
    assert result.duration_s == pytest.approx(9.5)
    # shot 0: frames 0..18 of the 8 fps grid lie before 2.375 -> 17; shot 1: 2.625 to 4.375 -> 14 -> 9;
    # shot 2: 4.625 (frame 37) to 9.5 -> 39 -> 17, 17, and 5 left over
    wanted = [(0, 0.0, 17), (1, 2.625, 9), (2, 4.625, 17), (2, 6.75, 17)]
    assert [(c.shot_index, c.start_s, c.n_frames) for c in result.clips] == wanted
    for clip in result.clips:
        frames = read_clip(clip.path)
        assert frames.shape == (clip.n_frames, 64, 96, 3)
        means = frames.reshape(len(frames), -1, 3).mean(1)
        assert (means.argmax(1) == clip.shot_index).all(), "a frame of another shot"
        assert clip.end_s - clip.start_s == pytest.approx(clip.n_frames / 8)


def test_same_bytes_whatever_the_decoder_threads(three, tmp_path):
    digests = []
    for name, threads in (("a", 1), ("b", 2), ("c", 0)):
        result = cut(three, tmp_path / name, decode_threads=threads)
        digests.append([hashlib.sha256(Path(c.path).read_bytes()).hexdigest() for c in result.clips])
    assert digests[0] == digests[1] == digests[2]
    data = Path(result.clips[0].path).read_bytes()
    assert b"Lavf" not in data
    assert data.index(b"moov") < data.index(b"mdat")


def test_same_bytes_however_many_encoders(tmp_path):
    rng = np.random.default_rng(9)
    clips = [[memoryview(rng.bytes(96 * 64 * 3 // 2)) for _ in range(9)] for _ in range(5)]
    contents = []
    for count in (1, 3):
        folder = tmp_path / str(count)
        folder.mkdir()
        with ClipWriter(Encoding(96, 64, 8, 18, "ultrafast", 1), sandbox.Limits(wall_s=60), count) as writer:
            for n, frames in enumerate(clips):
                writer.write(frames, folder / f"{n}.mp4")
            writer.wait()
            writer.write(clips[0], folder / "none" / "0.mp4")
            with pytest.raises(StoreError, match="No such file"):
                writer.wait()
        contents.append([(folder / f"{n}.mp4").read_bytes() for n in range(5)])
    assert contents[0] == contents[1]


def test_short_shots_are_dropped_with_reasons(three, tmp_path):
    result = cut(three, tmp_path / "out", min_shot_s=2.2)
    assert [(d.shot_index, d.reason, d.threshold) for d in result.dropped] == [(1, "shot_too_short", 2.2)]
    assert result.dropped[0].value == pytest.approx(2.0, abs=1e-5)


def test_one_clip_per_shot_and_spans(three, tmp_path):
    assert len(cut(three, tmp_path / "a", clips_per_shot=1).clips) == 3
    row = row_of(three).model_copy(update={"spans_s": [[5.0, 8.0]]})
    out = tmp_path / "b"
    out.mkdir()
    result = cut_video(three, row, out, CutOptions.parse(SMALL | {"use_spans": True}))
    assert [(c.start_s, c.n_frames) for c in result.clips] == [(5.0, 17)]
    assert [d.reason for d in result.dropped] == ["outside_spans"] * 4


def test_still_clips(tmp_path):
    still = [next(shot(0, 1))] * 48
    write_mp4(still, tmp_path / "s.mp4", fps=24, preset="ultrafast")
    result = cut(tmp_path / "s.mp4", tmp_path / "out", min_motion=0.5)
    assert result.clips == []
    assert (result.dropped[0].reason, result.dropped[0].threshold) == ("too_still", 0.5)
    assert result.dropped[0].value < 0.2


def test_variable_rate_times_come_from_the_file(tmp_path):
    steps = np.where(np.arange(120) % 10 < 5, 20, 90)
    times = [int(t) for t in np.cumsum(steps)]
    frames = [*shot(0, 60), *shot(1, 60)]
    path = tmp_path / "v.mkv"
    write_varied(path, frames, times)
    result = cut(path, tmp_path / "out")
    offset = times[0]  # times count from the first frame of the file
    assert [t.start_s for t in result.transitions] == pytest.approx([(times[60] - offset) / 1000], abs=0.0011)
    for clip in result.clips:
        means = read_clip(clip.path).reshape(clip.n_frames, -1, 3).mean(1)
        assert (means.argmax(1) == clip.shot_index).all()


def write_varied(path, frames, times_ms):
    import av

    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30, options={"preset": "ultrafast", "g": "30"})
        stream.width, stream.height, stream.pix_fmt = 160, 90, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for frame, pts in zip(frames, times_ms, strict=True):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = pts, Fraction(1, 1000)
            out.mux(stream.encode(picture))
        out.mux(stream.encode())


def test_rotated_video_is_upright(tmp_path):
    frame = np.zeros((64, 96, 3), np.uint8)
    frame[:32] = (255, 0, 0)
    frame[32:] = (0, 0, 255)
    write_mp4([frame] * 20, tmp_path / "flat.mp4", fps=10, preset="ultrafast")
    path = samples.rotated(tmp_path / "flat.mp4", tmp_path / "r.mp4")
    result = cut(path, tmp_path / "out", width=64, height=96)
    picture = first_frame(result.clips[0].path)
    left, right = picture[48, 8], picture[48, -8]
    assert {int(left.argmax()), int(right.argmax())} == {0, 2}, "halves lie side by side after a quarter turn"


@pytest.mark.parametrize(("fit", "corner", "middle"), [("cover", 1, 1), ("contain", None, 1), ("stretch", 0, 1)])
def test_fits(tmp_path, fit, corner, middle):
    frame = np.zeros((64, 192, 3), np.uint8)
    frame[..., 0] = 200
    frame[:, 48:144] = (0, 200, 0)  # 96 wide middle of a 3:1 picture, shown in 3:2
    write_mp4([frame] * 20, tmp_path / "w.mp4", fps=10, preset="ultrafast")
    result = cut(tmp_path / "w.mp4", tmp_path / "out", fit=fit)
    picture = first_frame(result.clips[0].path)
    assert picture[32, 48].argmax() == middle
    if corner is None:
        assert picture[2, 2].max() < 30
    else:
        assert picture[4, 2].argmax() == corner


@pytest.mark.parametrize(
    ("codec", "width", "height", "pix_fmt", "name"),
    [
        ("libx264", 96, 64, "yuv420p10le", "t.mp4"),
        ("ffv1", 97, 65, "yuv444p", "o.mkv"),
        ("mpeg4", 96, 64, "yuv420p", "a.avi"),
    ],
)
def test_other_formats_give_plain_clips(tmp_path, codec, width, height, pix_fmt, name):
    path = samples.write(tmp_path / name, n=30, codec=codec, width=width, height=height, pix_fmt=pix_fmt)
    result = cut(path, tmp_path / "out")
    assert [clip.n_frames for clip in result.clips] == [17]
    assert read_clip(result.clips[0].path).shape == (17, 64, 96, 3)


def test_damaged_and_disguised_files(three, tmp_path):
    row = row_of(three)
    out = tmp_path / "out"
    out.mkdir()
    data = bytearray(three.read_bytes())
    start = len(data) // 3
    data[start : start + 20000] = os.urandom(20000)
    cases = {
        "cut.mp4": (bytes(three.read_bytes()[: len(data) // 3]), None),
        "concat.mp4": (f"ffconcat version 1.0\nfile {three}\n".encode(), "not a video container"),
        "empty.mp4": (b"", "empty"),
        "magic.mp4": (b"\0\0\0\x18ftypisom" + bytes(1000), "Invalid|moov|error"),
        "noise.mp4": (bytes(data), None),
    }
    for name, (content, said) in cases.items():
        (tmp_path / name).write_bytes(content)
        if said:
            with pytest.raises(MediaError, match=said):
                cut_video(tmp_path / name, row, out, CutOptions.parse(SMALL))
            continue
        try:  # a damaged file may still hold whole shots; then every clip must be whole
            result = cut_video(tmp_path / name, row, out, CutOptions.parse(SMALL))
        except MediaError as error:
            said_of = str(error)
            assert name in said_of
        else:
            assert all(len(read_clip(clip.path)) == clip.n_frames for clip in result.clips)


def test_time_limit_kills_the_decoder(three, tmp_path):
    with pytest.raises(MediaError, match=r"killed after 0\.0"):
        cut(three, tmp_path / "out", wall_s_base=0.05, wall_s_per_s=0.0001)


def test_a_full_disk_is_not_the_videos_fault(three, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "00002625.mp4").symlink_to("/dev/full")  # the second clip meets a disk that has no space left
    with pytest.raises(StoreError, match=r"00002625\.mp4: cannot write the clip \(No space left on device\)"):
        cut(three, out)
    assert len(read_clip(out / "00000000.mp4")) == 17, "clips written before are whole"


def test_a_clip_larger_than_the_disk_takes_is_not_the_videos_fault(three, tmp_path):
    row = row_of(three)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, hard))
    try:
        with pytest.raises(StoreError, match=r"cannot write the clip \(File too large\); free space"):
            cut_video(three, row, tmp_path, CutOptions.parse(SMALL))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_sound_alone_and_huge_frames_end_as_a_reason(three, tmp_path):
    row, out = row_of(three), tmp_path / "out"
    out.mkdir()
    sound, huge = samples.write_audio(tmp_path / "s.mp4"), samples.write_huge(tmp_path / "h.mkv")
    with pytest.raises(MediaError, match=r"s\.mp4: .*matches no streams"):
        cut_video(sound, row, out, CutOptions.parse(SMALL))
    with pytest.raises(MediaError, match=r"h\.mkv: exit code .*Invalid data"):
        cut_video(huge, row, out, CutOptions.parse(SMALL))
    with pytest.raises(MediaError, match=r"h\.mkv: .*(allocate memory|signal)"):
        cut_video(huge, row, out, CutOptions.parse(SMALL | {"max_pixels": 1 << 30, "memory_gib": 0.55}))
    assert list(out.iterdir()) == []


def test_unknown_detector_is_the_users_mistake(three, tmp_path):
    with pytest.raises(ConfigError, match="known: adaptive"):
        cut(three, tmp_path / "out", detector="none")
    with pytest.raises(ConfigError, match=r"cut\.detector_options"):
        cut(three, tmp_path / "out", detector_options={"treshold": 1})


MEASURE = """
import resource, sys
from pathlib import Path
from mvideo_core.base.records import VideoRow
from mvideo_core.curation.scenes.cut import cut_video
from mvideo_core.curation.scenes.options import CutOptions
video = VideoRow(key="v", width=160, height=90, duration_s=float(sys.argv[3]))
options = CutOptions(width=320, height=240, preset="ultrafast", clips_per_shot=int(sys.argv[4]))
result = cut_video(sys.argv[1], video, sys.argv[2], options)
print(len(result.clips), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.fixture(scope="module")
def long_videos(tmp_path_factory):
    """One shot of 40 s and one of 160 s."""
    folder = tmp_path_factory.mktemp("long")
    for seconds in (40, 160):
        write_mp4(shot(0, seconds * 8, 160, 90), folder / f"{seconds}.mp4", fps=8, preset="ultrafast")
    return folder


@pytest.mark.parametrize(("clips_per_shot", "wanted"), [pytest.param(0, (3, 13), marks=pytest.mark.slow), (1, (1, 1))])
def test_memory_does_not_grow_with_the_video(long_videos, tmp_path, clips_per_shot, wanted):
    sizes = []
    for seconds, n_clips in zip((40, 160), wanted, strict=True):
        out = tmp_path / str(seconds)
        out.mkdir()
        words = [str(long_videos / f"{seconds}.mp4"), str(out), str(seconds), str(clips_per_shot)]
        done = subprocess.run([sys.executable, "-c", MEASURE, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        clips, mebibytes = (int(word) for word in done.stdout.split())
        assert clips == n_clips
        sizes.append(mebibytes)
    # kept frames of 160 s would be 1280 x 115 kB = 147 MB
    assert sizes[1] - sizes[0] < 40

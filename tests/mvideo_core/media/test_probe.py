"""Hostile and broken files: each gives facts or one MediaError with its reason; nothing else is opened or called."""

import os
import signal
import socket
import threading
from fractions import Fraction

import pytest

from mvideo_core.base.errors import KilledError, MediaError
from mvideo_core.media import ffmpeg
from mvideo_core.media import probe as probing
from mvideo_core.media.probe import ProbeOptions, probe
from mvideo_core.processes import sandbox
from tests.mvideo_core.media import samples


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return samples.write(tmp_path_factory.mktemp("good") / "good.mp4", n=40, fps=10)


def test_facts_of_a_good_file(good):
    info = probe(good)
    assert (info.container, info.codec, info.pix_fmt, info.bit_depth) == ("mov", "h264", "yuv420p", 8)
    assert (info.width, info.height, info.fps, info.n_frames) == (96, 64, 10.0, 40)
    assert info.duration_s == pytest.approx(4.0)
    assert not info.has_audio


def test_displayed_size_after_rotation(good, tmp_path):
    info = probe(samples.rotated(good, tmp_path / "r.mp4"))
    assert (info.width, info.height, info.coded_width, info.coded_height) == (64, 96, 96, 64)
    assert info.rotation_deg in (90, 270)


def test_displayed_size_with_wide_pixels(tmp_path):
    info = probe(samples.write(tmp_path / "s.mp4", n=5, sar=Fraction(2, 1)))
    assert (info.width, info.height, info.sar) == (192, 64, 2.0)


def test_deep_odd_and_variable(tmp_path):
    assert probe(samples.write(tmp_path / "t.mp4", n=5, pix_fmt="yuv420p10le")).bit_depth == 10
    odd = probe(samples.write(tmp_path / "o.mkv", n=5, codec="ffv1", width=97, height=65, pix_fmt="yuv444p"))
    assert (odd.width, odd.height, odd.container) == (97, 65, "matroska")
    times = [100 * k + (300 * (k - 20) if k > 20 else 0) for k in range(40)]
    varied = probe(samples.write(tmp_path / "v.mp4", pts=times))
    assert varied.variable_fps
    assert varied.duration_s == pytest.approx(times[-1] / 1000, abs=0.5)


@pytest.mark.parametrize(("name", "more"), [("a.avi", {"codec": "mpeg4"}), ("a.ts", {"format": "mpegts"})])
def test_other_containers(tmp_path, name, more):
    assert probe(samples.write(tmp_path / name, n=20, **more)).width == 96


def cut_short(good, path, share):
    data = good.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def flipped(good, path):
    """Sample data turned to noise behind an intact index."""
    data = bytearray(good.read_bytes())
    start = data.index(b"mdat") + 4
    for k in range(start, min(start + 4000, data.index(b"moov"))):
        data[k] ^= 0xFF
    path.write_bytes(data)


BAD = {
    "nothing inside": (lambda good, path: path.write_bytes(b""), "empty file"),
    "text": (lambda good, path: path.write_text("hello " * 100), "not a video container"),
    "index cut off": (lambda good, path: cut_short(good, path, 0.5), "cannot be read"),
    "first box only": (lambda good, path: path.write_bytes(good.read_bytes()[:32]), "cannot be read|no stream"),
    "garbage after the magic": (
        lambda good, path: path.write_bytes(b"\0\0\0\x18ftypisom" + os.urandom(5000)),
        "cannot be read|no stream",
    ),
    "flipped bits": (flipped, "cannot be read|no video frame|damaged"),
    "sound only": (lambda good, path: samples.write_audio(path), "audio only"),
    "no frame": (lambda good, path: samples.write(path, n=0), "no stream|no video|cannot be read"),
    "a folder": (lambda good, path: path.mkdir(), "not a regular file"),
    "a pipe": (lambda good, path: os.mkfifo(path), "not a regular file"),
    "not there": (lambda good, path: None, "No such file"),
    "a huge frame": (lambda good, path: samples.write_huge(path), "pixels allowed"),
}


def test_a_codec_that_nobody_knows(good, tmp_path):
    path = tmp_path / "bad.mkv"
    samples.write(path)
    path.write_bytes(path.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_UNKNOWN/1/ABC"))
    with pytest.raises(MediaError, match=r"bad\.mkv.*codec is unknown"):
        probe(path)


@pytest.mark.parametrize("case", BAD)
def test_bad_files_end_as_a_reason(case, good, tmp_path):
    make, said = BAD[case]
    path = tmp_path / "bad.mp4"
    make(good, path)
    with pytest.raises(MediaError, match=said) as caught:
        probe(path)
    assert "bad.mp4" in str(caught.value)
    assert probe(good).n_frames == 40, "the child must serve the next file"


def test_a_file_cut_off_behind_its_index(tmp_path):
    path = samples.write(tmp_path / "a.mkv", n=60, gop=5)
    cut_short(path, tmp_path / "b.mkv", 0.5)
    with pytest.raises(MediaError, match="truncated: the last whole frame ends at"):
        probe(tmp_path / "b.mkv")
    assert probe(tmp_path / "b.mkv", ProbeOptions(check_tail=False)).width == 96


def test_false_header_does_not_fool_the_limit(good, tmp_path):
    info = probe(samples.huge_header(good, tmp_path / "h.mp4"))
    assert (info.coded_width, info.coded_height) == (96, 64)


def test_limits(good):
    for options, said in (
        (ProbeOptions(max_bytes=100), "at most 100 allowed"),
        (ProbeOptions(max_pixels=1000), "at most 1000 pixels"),
        (ProbeOptions(max_duration_s=1), "at most 1 s allowed"),
    ):
        with pytest.raises(MediaError, match=said):
            probe(good, options)


@pytest.mark.parametrize("text", ["#EXTM3U\n#EXTINF:1,\n{url}\n", "ffconcat version 1.0\nfile {sibling}\n", "{sdp}"])
def test_playlists_in_disguise_reach_nothing(text, tmp_path):
    samples.write(tmp_path / "sibling.mp4", n=5)
    with socket.socket() as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtp:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(0.2)
        rtp.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        sdp = f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video {port} RTP/AVP 96\r\n"
        content = text.format(url=f"http://127.0.0.1:{port}/a.ts", sibling="sibling.mp4", sdp=sdp)
        path = tmp_path / "list.mp4"
        path.write_text(content)
        with pytest.raises(MediaError, match="not a video container"):
            probe(path)
        fd = os.open(path, os.O_RDONLY)  # and below the sniffing, the whitelists alone must hold
        graph = ffmpeg.open_input(fd).output("pipe:", format="null")
        with pytest.raises(MediaError, match=r"Invalid|whitelist"):
            sandbox.run(ffmpeg.compile_argv(graph), sandbox.Limits(wall_s=20), "list", pass_fds=(fd,))
        os.close(fd)
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize("name", [b"a b.mp4", b"-i.mp4", b"q'\".mp4", b"\xff\xfe.mp4", b"$(x);.mp4", b"http:a.mp4"])
def test_names(good, tmp_path, name):
    path = os.path.join(os.fsencode(tmp_path), name)
    with open(path, "wb") as handle:
        handle.write(good.read_bytes())
    assert probe(path).n_frames == 40


def test_links_that_leave_the_folder(good, tmp_path):
    inside = tmp_path / "videos"
    inside.mkdir()
    (inside / "real.mp4").write_bytes(good.read_bytes())
    os.symlink(good, inside / "out.mp4")
    os.symlink("real.mp4", inside / "in.mp4")
    os.symlink(inside / "loop.mp4", inside / "loop.mp4")
    assert probe(inside / "in.mp4", root=inside).n_frames == 40
    assert probe(inside / "out.mp4").n_frames == 40
    with pytest.raises(MediaError, match="leads out of"):
        probe(inside / "out.mp4", root=inside)
    with pytest.raises(MediaError, match="cannot be opened"):
        probe(inside / "loop.mp4", root=inside)


def test_a_child_that_dies_costs_one_file_only(good):
    with pytest.raises(MediaError, match=r"probe process crashed|more memory"):
        probe(good, ProbeOptions(memory_gib=0.06, wall_s=20))
    assert probe(good).n_frames == 40


def test_a_child_killed_from_outside_is_told_apart_from_a_bad_file(good):
    probe(good)  # the child waits for the next file
    child = probing._THREAD.prober._popen.pid
    os.kill(child, signal.SIGSTOP)
    ending = threading.Timer(0.3, os.kill, (child, signal.SIGKILL))
    ending.start()
    with pytest.raises(KilledError, match=r"good\.mp4'.*signal 9"):
        probe(good)
    ending.join()
    assert probe(good).n_frames == 40

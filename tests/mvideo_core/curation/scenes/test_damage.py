"""Damaged pictures are found, placed in time, stored with the clip, and drop it: none passes as whole."""

import subprocess

import numpy as np
import pytest

from mvideo_core.curation.ingest.describe import describe
from mvideo_core.curation.ingest.naming import uri_of
from mvideo_core.curation.ingest.sources import SourceItem
from mvideo_core.curation.scenes.cut import cut_video
from mvideo_core.curation.scenes.options import CutOptions
from mvideo_core.media.damage import find_damage_s
from mvideo_core.media.decode import read_clip
from mvideo_core.media.ffmpeg import ffmpeg_path
from mvideo_core.processes import sandbox
from tests.mvideo_core.media import footage

OPTIONS = {
    "width": 192, "height": 128, "min_shot_s": 1, "min_frames": 9, "max_frames": 17, "preset": "ultrafast",
    "gradual": {"enabled": False}, "detector": "content", "detector_options": {"threshold": 255},
}  # fmt: skip
# Not HEVC: FFmpeg's decoder often reports nothing when bytes within a slice are wrong.
CODINGS = {
    "H.264": ("a.mp4", ("-c:v", "libx264", "-preset", "veryfast", "-crf", "12", "-g", "20", "-pix_fmt", "yuv420p")),
    "MPEG-2": ("a.ts", ("-c:v", "mpeg2video", "-q:v", "2", "-g", "20", "-pix_fmt", "yuv420p")),
}


def noisy(n, seed=1):
    """Numbered frames over a texture, so that every part of the file matters."""
    rng = np.random.default_rng(seed)
    texture = rng.integers(0, 60, (112, 192, 3), dtype=np.uint8)
    drawn = [footage.frame(number) for number in range(n)]
    for number, rgb in enumerate(drawn):
        rgb[:112] += np.roll(texture, number, 1) // 2
    return drawn


def cut(path, out, **more):
    out.mkdir()
    row = describe(SourceItem(video_id="v", uri=uri_of(path)))
    return cut_video(path, row, out, CutOptions.parse(OPTIONS | more))


@pytest.mark.parametrize("kind", CODINGS)
def test_clips_with_damaged_pictures_are_dropped(tmp_path, kind):
    """1,500 random bytes in the middle of 12 s: keyframes are 2 s apart, so the clips far from 6 s are whole."""
    name, coding = CODINGS[kind]
    path = footage.film(tmp_path / name, *coding, frames=noisy(120))
    whole = cut(path, tmp_path / "whole")
    assert (whole.decode_errors, len(whole.clips), whole.dropped) == (0, 6, [])
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 1500] = np.random.default_rng(3).bytes(1500)
    (tmp_path / f"bad{path.suffix}").write_bytes(content)

    result = cut(tmp_path / f"bad{path.suffix}", tmp_path / "out", max_decode_errors=1000)
    assert result.decode_errors > 0
    assert {one.reason for one in result.dropped} == {"decode_errors"}
    assert 1 <= len(result.dropped) <= 2
    for lost in result.dropped:
        assert lost.value >= 1
        assert lost.threshold == 0
        assert lost.start_s < 9
        assert lost.end_s > 4
    assert len(result.clips) + len(result.dropped) == 6
    files = {one.path: one for one in whole.clips}
    for clip in result.clips:
        assert clip.decode_errors == 0
        before = read_clip(files[clip.path.replace("/out/", "/whole/")].path)
        assert np.array_equal(before, read_clip(clip.path)), "what is kept is what the whole file gives"

    kept = cut(tmp_path / f"bad{path.suffix}", tmp_path / "all", max_decode_errors=1000, max_clip_errors=1000)
    assert len(kept.clips) == 6
    assert {clip.start_s for clip in kept.clips if clip.decode_errors} == {one.start_s for one in result.dropped}


def test_whatever_the_decoder_complains_about_is_found(tmp_path):
    """FFmpeg's HEVC decoder logs errors without flagging a picture; most damage within a slice it does not notice."""
    quiet = ("-x265-params", "log-level=0:keyint=10:min-keyint=10:crf=18:pools=1:frame-threads=1")
    path = footage.film(
        tmp_path / "a.mp4", "-c:v", "libx265", "-preset", "ultrafast", *quiet, "-pix_fmt", "yuv420p", frames=noisy(30)
    )
    whole, found = path.read_bytes(), []
    for seed in range(12):
        content = bytearray(whole)
        at = len(content) * (seed + 3) // 20
        content[at : at + 400] = np.random.default_rng(seed).bytes(400)
        bad = tmp_path / f"{seed}.mp4"
        bad.write_bytes(content)
        argv = [ffmpeg_path(), "-v", "error", "-i", str(bad), "-f", "null", "-"]
        if subprocess.run(argv, capture_output=True, check=False).stderr:
            with bad.open("rb") as file:
                found.append(find_damage_s(file.fileno(), bad.name, sandbox.Limits(wall_s=60), -1, 1 << 24))
    assert found
    assert all(found)

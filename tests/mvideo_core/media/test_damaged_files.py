"""Damage that a decoder would conceal, and texts in a container that are not UTF-8, in every reader of videos."""

import subprocess

import numpy as np
import pytest

from mvideo_core.base.errors import MediaError
from mvideo_core.editing.mask_files import load_masks
from mvideo_core.editing.reference import open_reference
from mvideo_core.media.decode import read_clip, read_mattes
from mvideo_core.media.encode import write_gray_mp4
from mvideo_core.media.ffmpeg import ffmpeg_path
from tests.mvideo_core.curation.scenes.test_damage import noisy
from tests.mvideo_core.media import footage

CODING = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "12", "-g", "20", "-pix_fmt", "yuv420p")


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """60 pictures at 8 per second; 1,500 bytes in the middle are others."""
    path = footage.film(tmp_path_factory.mktemp("damaged") / "a.mp4", *CODING, frames=noisy(60))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 1500] = np.random.default_rng(3).bytes(1500)
    path.write_bytes(content)
    return path


def count(path, **part):
    with open_reference(path, **part) as reference:
        return sum(1 for _ in reference.frames)


def test_no_reader_takes_damaged_pictures_for_whole_ones(damaged):
    with pytest.raises(MediaError, match="cannot be decoded"):
        read_clip(damaged)
    with pytest.raises(MediaError, match=r"a\.mp4: \d+ damaged pictures, the first at \d\.\d\d s"):
        count(damaged)


def test_a_part_before_the_damage_is_whole(damaged):
    assert count(damaged, length_s=1.0) == 10


def test_damaged_mask_videos_are_refused_or_read_right(tmp_path):
    """A few bytes anywhere in the pictures: FFmpeg alone reads other masks in a third of the draws, without a word."""
    maps = [np.zeros((112, 192), np.uint8) for _ in range(12)]
    for number, one in enumerate(maps):
        one[4:20, number : number + 16] = 255
    write_gray_mp4(maps, tmp_path / "whole.mp4", 8)
    whole, path = (tmp_path / "whole.mp4").read_bytes(), tmp_path / "m.mp4"
    start = whole.index(b"mdat") + 4
    wanted, random, refused = load_masks(tmp_path / "whole.mp4").sequence.to_bytes(), np.random.default_rng(1), 0
    for _ in range(4):
        content, place = bytearray(whole), int(random.integers(start, len(whole) - 8))
        content[place : place + 8] = random.bytes(8)
        path.write_bytes(content)
        try:
            assert load_masks(path).sequence.to_bytes() == wanted
        except MediaError:
            refused += 1
    assert refused


def test_a_title_in_latin_1_is_no_reason_to_stop(tmp_path):
    write_gray_mp4([np.full((32, 48), 255, np.uint8)] * 3, tmp_path / "a.mp4", 8)
    subprocess.run(
        [ffmpeg_path(), "-v", "error", "-i", tmp_path / "a.mp4", "-c", "copy", "-metadata", "title=cafZ",
         tmp_path / "b.mp4"], check=True,
    )  # fmt: skip
    path = tmp_path / "b.mp4"
    content = path.read_bytes()
    assert content.count(b"cafZ") == 1
    path.write_bytes(content.replace(b"cafZ", b"caf\xe9"))
    assert len(list(read_mattes(path))) == 3
    assert load_masks(path).sequence.n_frames == 3


def test_a_damaged_masks_file_is_named(tmp_path):
    path = tmp_path / "m.masks"
    path.write_bytes(b"MVMS" + bytes(60))
    with pytest.raises(MediaError, match=r"m\.masks: "):
        load_masks(path)

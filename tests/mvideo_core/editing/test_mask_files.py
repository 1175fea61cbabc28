import json
import logging
import zipfile

import numpy as np
import pytest
from PIL import Image

from mvideo_core.base.errors import ConfigError, MediaError
from mvideo_core.editing import load_masks, save_masks
from mvideo_core.editing.inputs import open_input
from mvideo_core.editing.mask_files import read_masks
from mvideo_core.masks import encode
from mvideo_core.masks.io.clip import edges_of, join, take_frames
from mvideo_core.media.encode import write_gray_mp4, write_mp4
from tests.mvideo_core.editing.drawn import HEIGHT, WIDTH, noise, square_path


def apart(n_frames: int = 4):
    """Two objects that never overlap: what label maps can hold."""
    masks = np.zeros((n_frames, 2, HEIGHT, WIDTH), bool)
    for frame in range(n_frames):
        masks[frame, 0, 5:9, frame : frame + 7] = True
        masks[frame, 1, 20:30, 40 - frame : 50] = True
    return encode(masks)


@pytest.mark.parametrize("name", ["a.masks", "a.npz"])
def test_overlapping_objects_survive(tmp_path, name):
    clip = noise()
    save_masks(tmp_path / name, clip.sequence, 12.5, clip.labels)
    back = load_masks(tmp_path / name)
    assert (back.sequence, back.fps, back.labels) == (clip.sequence, 12.5, clip.labels)
    assert load_masks(tmp_path / name, fps=30).fps == 30


@pytest.mark.parametrize("name", ["a.masks", "a.npz", "a.mp4", "folder"])
def test_every_form_keeps_separate_objects(tmp_path, name):
    sequence = apart()
    save_masks(tmp_path / name, sequence, 8, ("horse", "dog"))
    back = load_masks(tmp_path / name)
    assert (back.sequence, back.fps, back.labels) == (sequence, 8.0, ("horse", "dog"))
    single = square_path().sequence
    save_masks(tmp_path / f"1{name}", single, 8)
    assert load_masks(tmp_path / f"1{name}").sequence == single


def test_same_masks_same_bytes(tmp_path):
    for name in ("a.npz", "b.npz"):
        save_masks(tmp_path / name, apart(), 8, ("horse", "dog"))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_the_kind_is_told_by_the_content(tmp_path):
    save_masks(tmp_path / "a.npz", apart(), 8)
    (tmp_path / "a.npz").rename(tmp_path / "misnamed.masks")
    assert read_masks(tmp_path / "misnamed.masks").kind == "npz"


def test_label_maps_warn_about_what_they_lose(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    masks = np.zeros((1, 2, 10, 10), bool)
    masks[0, 0, :4], masks[0, 1, 2:6] = True, True
    save_masks(tmp_path / "folder", encode(masks), 8)
    assert "20 px" in caplog.text  # rows 2 and 3
    assert load_masks(tmp_path / "folder").sequence.pixels()[0].sum(axis=(1, 2)).tolist() == [20, 40]


def test_foreign_pngs(tmp_path):
    for number in (9, 10, 8):  # in the order of their numbers, not of their letters
        frame = np.zeros((8, 8), np.uint8)
        frame[:, : number - 7] = 255
        Image.fromarray(frame).save(tmp_path / f"frame{number}.png")
    read = load_masks(tmp_path, fps=5)
    assert [int(mask.sum()) for mask in read.sequence.pixels()[:, 0]] == [8, 16, 24]
    with pytest.raises(ConfigError, match="--fps"):
        load_masks(tmp_path)


def test_palette_pngs_are_object_numbers_and_255_is_nothing(tmp_path):
    frame = np.array([[0, 1, 2, 255]], np.uint8).repeat(4, axis=0)
    image = Image.fromarray(frame)
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, *[200] * 759])
    image.save(tmp_path / "00000.png")
    pixels = load_masks(tmp_path, fps=5).sequence.pixels()
    assert pixels.shape == (1, 2, 4, 4)
    assert pixels[0].any(axis=1).tolist() == [[False, True, False, False], [False, False, True, False]]


def test_foreign_mask_video_is_split_at_half_brightness(tmp_path):
    frame = np.full((16, 32, 3), 20, np.uint8)
    frame[4:12, 8:24] = 235
    write_mp4([frame] * 3, tmp_path / "a.mp4", 10, crf=1)
    read = load_masks(tmp_path / "a.mp4")
    assert (read.sequence.shape, read.fps) == ((3, 1, 16, 32), 10.0)
    assert read.sequence.mask(1, 0).sum() == 8 * 16


def test_black_mask_video_is_empty(tmp_path):
    write_gray_mp4([np.zeros((16, 16), np.uint8)] * 2, tmp_path / "a.mp4", 8)
    assert load_masks(tmp_path / "a.mp4").sequence.shape == (2, 1, 16, 16)
    assert not load_masks(tmp_path / "a.mp4").sequence.pixels().any()


def test_npz_of_three_axes_and_other_types(tmp_path):
    masks = np.zeros((2, 4, 6), np.uint8)
    masks[1, 1:3] = 255
    np.savez(tmp_path / "a.npz", masks=masks)
    assert load_masks(tmp_path / "a.npz", fps=8).sequence.pixels()[1, 0].sum() == 12
    for same in (masks.astype(float), np.asfortranarray(masks), masks.astype(">i2"), masks > 0):
        np.savez(tmp_path / "b.npz", masks=same)
        assert load_masks(tmp_path / "b.npz", fps=8).sequence == load_masks(tmp_path / "a.npz", fps=8).sequence
    for bad in (masks[0], np.array([{}], object), np.array(["a"])):
        np.savez(tmp_path / "b.npz", masks=bad)
        with pytest.raises(MediaError, match="expected"):
            load_masks(tmp_path / "b.npz", fps=8)


def test_npz_that_announces_more_than_it_holds(tmp_path):
    save_masks(tmp_path / "a.npz", apart(), 8)
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        raw = archive.read("masks.npy")
    with zipfile.ZipFile(tmp_path / "cut.npz", "w") as archive:
        archive.writestr("masks.npy", raw[:-100])
    with pytest.raises(MediaError, match="truncated at"):
        load_masks(tmp_path / "cut.npz", fps=8)
    (tmp_path / "junk.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:200])
    with pytest.raises(MediaError, match="not a readable"):
        load_masks(tmp_path / "junk.npz")


def test_what_is_no_mask_file(tmp_path):
    (tmp_path / "a.txt").write_text("hello, masks")
    (tmp_path / "empty").mkdir()
    (tmp_path / "wrong.masks").write_bytes(b"MVMS" + b"\0" * 80)
    color = np.zeros((16, 16, 3), np.uint8)
    color[..., 0] = 200
    write_mp4([color], tmp_path / "film.mp4", 8)
    for name, error, message in [
        ("a.txt", MediaError, "it starts with b'hello, masks'"),
        ("empty", MediaError, r"no pictures inside \(\.png"),
        ("wrong.masks", MediaError, r"wrong\.masks: version 0"),
        ("missing.masks", ConfigError, "no such file"),
        ("film.mp4", MediaError, r"film.mp4#NAME"),
    ]:
        with pytest.raises(error, match=message):
            load_masks(tmp_path / name, fps=8)


def test_frames_of_different_sizes_are_refused(tmp_path):
    for number, side in enumerate((8, 9)):
        Image.fromarray(np.zeros((side, 8), np.uint8)).save(tmp_path / f"{number}.png")
    with pytest.raises(MediaError, match=r"frame 1 1\.png is 8x9 px, the first is 8x8"):
        load_masks(tmp_path, fps=8)


def test_places_that_cannot_be_written(tmp_path):
    sequence = square_path().sequence
    with pytest.raises(ConfigError, match="extensions"):
        save_masks(tmp_path / "a.gif", sequence, 8)
    save_masks(tmp_path / "folder", sequence, 8)
    with pytest.raises(ConfigError, match="not empty"):
        save_masks(tmp_path / "folder", sequence, 8)
    with pytest.raises(MediaError, match=r"a\.masks: the label 'a\\ud800' has half of a surrogate pair"):
        save_masks(tmp_path / "a.masks", sequence, 8, ["a\ud800"])
    assert not (tmp_path / "a.masks").exists()
    with pytest.raises(MediaError, match="2 labels for 1 objects"):
        save_masks(tmp_path / "a.masks", sequence, 8, ("a", "b"))
    with pytest.raises(MediaError, match="even"):
        save_masks(tmp_path / "odd.mp4", encode(np.ones((1, 1, 3, 4), bool)), 8)
    assert not list(tmp_path.glob(".*"))  # nothing half written stays


def test_an_extracted_sample_keeps_to_the_objects_that_passed(tmp_path):
    sequence = apart()
    (tmp_path / "clip.masks").write_bytes(sequence.to_bytes())
    objects = [{"label": "horse", "kept": False}, {"label": "dog", "kept": True}]
    (tmp_path / "clip.json").write_text(json.dumps({"fps": 8.0, "objects": objects}))
    read = open_input(str(tmp_path / "clip.masks"))
    assert (read.clip.sequence, read.clip.fps, read.clip.labels) == (sequence.select([1]), 8.0, ("dog",))
    assert len(read.origin["sha256"]) == 64


@pytest.mark.parametrize("text", ["[1]", "{", '{"fps": "fast"}', '{"fps": 8, "objects": [{}]}', '{"labels": 3}'])
def test_a_damaged_description_is_told(tmp_path, text):
    (tmp_path / "a.masks").write_bytes(apart().to_bytes())
    (tmp_path / "a.masks.json").write_text(text)
    with pytest.raises(MediaError, match=r"a\.masks\.json: not a description"):
        load_masks(tmp_path / "a.masks", fps=8)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), 1e6])
def test_rates_that_cannot_be(tmp_path, fps):
    save_masks(tmp_path / "a.masks", apart(), 8)
    with pytest.raises(ConfigError, match="frames per second"):
        load_masks(tmp_path / "a.masks", fps=fps)


def test_runs_equal_those_of_the_codec():
    clip = noise(n_objects=1)
    full = clip.sequence.mask(0, 0)
    np.testing.assert_array_equal(edges_of(full), clip.sequence.mask_edges(0, 0))
    part = np.zeros_like(full)
    part[7:20, 9:30] = full[7:20, 9:30]
    expected = encode(part[None, None]).mask_edges(0, 0)
    np.testing.assert_array_equal(edges_of(full[7:20, 9:30], 7, 9, WIDTH), expected)


def test_frames_taken_and_joined_on_the_runs():
    clip = noise()
    pixels = clip.sequence.pixels()
    order = [2, 0, 0]
    assert take_frames(clip.sequence, order) == encode(pixels[order])
    assert join([clip.sequence, take_frames(clip.sequence, [1])]) == encode(np.concatenate([pixels, pixels[1:2]]))
    with pytest.raises(IndexError):
        take_frames(clip.sequence, [3])
    with pytest.raises(MediaError, match="differ"):
        join([clip.sequence, square_path().sequence])

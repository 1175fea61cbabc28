"""Masks as people have them: read right, or refused with the words that settle it."""

import json

import numpy as np
import pytest
from PIL import Image

from mvideo_core.base.errors import ConfigError, MediaError
from mvideo_core.editing.mask_files import load_masks, read_masks
from mvideo_core.masks import encode
from mvideo_core.masks.io.mask_form import MaskForm
from tests.mvideo_core.editing.written_masks import (
    HEIGHT,
    LARGE,
    N_FRAMES,
    SMALL,
    WIDTH,
    boxes,
    painted,
    write_exr,
    write_pictures,
    write_video,
)

BOTH = encode(boxes().any(axis=1, keepdims=True))
APART = encode(boxes())


def read(path, as_=""):
    return load_masks(path, 8, MaskForm.parse(as_))


def counts(path, as_=""):
    """Pixels of each object in the first frame."""
    return read(path, as_).sequence.pixels()[0].sum(axis=(1, 2)).tolist()


def test_alpha_of_rgba_and_of_gray_with_alpha(tmp_path):
    cutout = np.random.default_rng(0).integers(0, 255, (N_FRAMES, HEIGHT, WIDTH, 4), np.uint8)
    cutout[..., 3] = painted(255, 255)
    assert read(write_pictures(tmp_path / "rgba", cutout)).sequence == BOTH
    assert read(write_pictures(tmp_path / "la", np.stack([painted(9, 0), painted(255, 255)], -1))).sequence == BOTH
    opaque = np.stack([painted(255, 255)] * 3 + [np.full((N_FRAMES, HEIGHT, WIDTH), 255, np.uint8)], -1)
    assert read(write_pictures(tmp_path / "opaque", opaque)).sequence == BOTH


def test_alpha_that_says_nothing_or_too_much(tmp_path):
    colors = painted((255, 0, 0, 255), (0, 0, 255, 255))
    folder = write_pictures(tmp_path / "colors", colors)
    with pytest.raises(MediaError, match=r"2 colors on a transparent background: --as colors .* --as alpha"):
        read(folder)
    assert counts(folder, "colors") == [LARGE, SMALL]  # 0x0000ff before 0xff0000
    assert counts(folder, "alpha") == [SMALL + LARGE]
    colors[..., 3] = 0
    with pytest.raises(MediaError, match="alpha is at most 0 of 255"):
        read(write_pictures(tmp_path / "clear", colors))
    with pytest.raises(MediaError, match="or missing"):
        read(write_pictures(tmp_path / "gray", painted(255, 255)), "alpha")


def test_sixteen_bits_as_brightness_and_as_numbers(tmp_path):
    for name, frames, expected in (
        ("white", painted(65535, 65535, dtype=np.uint16), BOTH),
        ("twelve bits", painted(4095, 4095, dtype=np.uint16), BOTH),
        ("numbers", painted(1, 2, dtype=np.uint16), APART),
    ):
        assert read(write_pictures(tmp_path / name, frames)).sequence == expected, name
    ids = write_pictures(tmp_path / "ids", painted(26001, 26002, dtype=np.uint16))
    with pytest.raises(MediaError, match=r"gray levels \(26001, 26002\).*--as colors"):
        read(ids)
    assert read(ids, "colors").sequence == APART
    assert read(ids, "colors").labels == ("level 26001", "level 26002")


def test_jpeg_frames_of_black_and_white(tmp_path):
    for quality in (95, 60):
        folder = tmp_path / f"q{quality}"
        folder.mkdir()
        for number, frame in enumerate(painted(255, 255)):
            Image.fromarray(frame).convert("RGB").save(folder / f"{number}.jpg", quality=quality)
        assert read(folder).sequence == BOTH


def test_exr_frames(tmp_path):
    gray = painted(1.0, 1.0, dtype=np.float32)
    color = painted((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), dtype=np.float32)
    for name, frames, expected in (
        ("gray", gray, BOTH),
        ("same", np.repeat(gray[..., None], 3, axis=3), BOTH),
        ("alpha", np.concatenate([color, gray[..., None]], axis=3)[..., [0, 0, 0, 3]], BOTH),
        ("numbers", painted(1.0, 2.0, dtype=np.float32), APART),
        ("colors", color, encode(boxes()[:, ::-1])),  # 0x0000ff before 0xff0000
    ):
        folder = tmp_path / name
        folder.mkdir()
        for number, frame in enumerate(frames):
            write_exr(folder / f"matte.{number:04d}.exr", frame)
        assert read(folder).sequence == expected, name
    gray[0, 0, 0] = np.nan
    write_exr(tmp_path / "gray" / "matte.0000.exr", gray[0])
    with pytest.raises(MediaError, match=r"matte\.0000\.exr: non-finite values"):
        read(tmp_path / "gray")
    (tmp_path / "gray" / "matte.0000.exr").write_bytes(b"v/1\x01" + b"\0" * 50)
    with pytest.raises(MediaError, match="not a readable EXR"):
        read(tmp_path / "gray")


def test_one_color_per_object(tmp_path):
    folder = write_pictures(tmp_path / "colors", painted((255, 0, 0), (0, 200, 0)))
    found = read(folder)
    assert (found.sequence, found.labels) == (encode(boxes()[:, ::-1]), ("#00c800", "#ff0000"))
    photo = np.random.default_rng(0).integers(0, 255, (2, HEIGHT, WIDTH, 3), np.uint8)
    photos = write_pictures(tmp_path / "photo", photo)
    with pytest.raises(MediaError, match="in color, so not masks"):
        read(photos)
    with pytest.raises(MediaError, match="no colors fill areas"):
        read(photos, "colors")


def test_colors_with_soft_edges_are_read_when_asked(tmp_path):
    large = painted((255, 0, 0), (0, 0, 255)).repeat(4, axis=1).repeat(4, axis=2)
    folder = tmp_path / "jpeg"
    folder.mkdir()
    for number, frame in enumerate(large):
        Image.fromarray(frame).save(folder / f"{number}.jpg", quality=80, subsampling=0)
    with pytest.raises(MediaError, match="--as colors"):
        read(folder)
    blue, red = counts(folder, "colors")
    assert (abs(blue - 16 * LARGE) < 100, abs(red - 16 * SMALL) < 100) == (True, True)


@pytest.mark.parametrize("values", [(85, 170), (127, 255), (128, 255)])
def test_a_gray_video_of_two_levels_is_not_one_object(tmp_path, values):
    frames = painted(*values).repeat(4, axis=1).repeat(4, axis=2)
    path = write_video(tmp_path / "levels.mp4", frames, crf=23)
    with pytest.raises(MediaError, match=r"several gray levels .*--as colors"):
        read(path)
    areas = read(path, "colors").sequence.pixels().sum(axis=(2, 3))
    assert areas.shape == (N_FRAMES, 2)
    assert (abs(areas - [16 * SMALL, 16 * LARGE]) < 150).all()  # and it does not flicker
    assert counts(path, "binary")[0] < 16 * (SMALL + LARGE) + 200


def test_soft_mattes_and_noise_are_black_and_white(tmp_path):
    soft = np.array([
        np.asarray(Image.fromarray(frame).resize((WIDTH * 3, HEIGHT * 3), Image.Resampling.BICUBIC))
        for frame in painted(255, 255)
    ])  # fmt: skip
    noisy = np.clip(soft + np.random.default_rng(0).integers(-3, 4, soft.shape), 0, 255).astype(np.uint8)
    dim = (soft * 0.4).astype(np.uint8)
    for name, frames in (("soft", soft), ("noisy", noisy), ("dim", dim)):
        areas = read(write_pictures(tmp_path / name, frames)).sequence.pixels().sum(axis=(2, 3))
        assert areas.shape == (N_FRAMES, 1), name
        assert (abs(areas - 9 * (SMALL + LARGE)) < 40).all(), name
    for crf in (18, 35):
        path = write_video(tmp_path / f"{crf}.mp4", soft, crf=crf)
        assert (abs(read(path).sequence.pixels().sum(axis=(2, 3)) - 9 * (SMALL + LARGE)) < 150).all()


def test_gray_levels_of_pictures_and_numbers_with_void(tmp_path):
    palette_as_gray = write_pictures(tmp_path / "gray", painted(38, 75))
    with pytest.raises(MediaError, match=r"\(38, 75\)"):
        read(palette_as_gray)
    assert read(palette_as_gray, "colors").sequence == APART
    void = painted(1, 2)
    void[:, 0] = 255
    folder = write_pictures(tmp_path / "void", void)
    with pytest.raises(MediaError, match="values 1, 2, 255: --as labels"):
        read(folder)
    assert read(folder, "labels").sequence == APART
    assert read(write_pictures(tmp_path / "many", painted(3, 40)), "labels").sequence.n_objects == 40


def test_a_description_says_how_many_objects_there_are(tmp_path):
    folder = write_pictures(tmp_path / "a", painted(2, 0))  # the first object is not in the picture
    assert read(folder).sequence.n_objects == 1
    (folder / "masks.json").write_text(json.dumps({"fps": 8, "labels": ["dog", "cat", "cow"]}))
    assert counts(folder) == [0, SMALL, 0]


def test_numbers_of_frames_have_no_gaps(tmp_path):
    def folder(name, *names, ending=".png"):
        return write_pictures(tmp_path / name, painted(255, 255)[: len(names)], ending, list(names))

    gap = folder("gap", "0001", "0002", "0004", "0008")
    with pytest.raises(MediaError, match=r"4 frames are missing between 0001\.png and 0008\.png: 3, 5-7; .*joined"):
        read(gap)
    assert read(gap, "joined").sequence.n_frames == 4
    with pytest.raises(MediaError, match=r"every 4th frame only .*--as joined and --fps at 1/4"):
        read(folder("steps", "0000", "0004", "0008"))
    with pytest.raises(MediaError, match=r"different kinds of names \(a1\.png, b2\.png\)"):
        read(folder("kinds", "a1", "b2"))
    with pytest.raises(MediaError, match="differ in 2 numbers"):
        read(folder("dates", "d1_1", "d2_2"))
    with pytest.raises(MediaError, match=r"01\.png and 1\.png are the same frame"):
        read(folder("twice", "1", "01"))
    assert read(folder("fine", "shot2_98", "shot2_99", "shot2_100")).sequence.n_frames == 3
    Image.fromarray(painted(255, 255)[0]).save(tmp_path / "fine" / "shot2_101.bmp")
    with pytest.raises(MediaError, match=r"several formats \(\.bmp, \.png\)"):
        read(tmp_path / "fine")
    with pytest.raises(MediaError, match=r"only folders \(dates, fine, gap\)"):
        read(tmp_path)


def test_arrays_of_any_name_and_of_every_type(tmp_path):
    for name, array in (
        ("bool", boxes()),
        ("numbers", painted(1, 2)),
        ("soft", boxes() * np.float16(0.9)),
        ("bytes", boxes() * np.uint8(255)),
        ("last axis", boxes()[..., None][:, 0]),
    ):
        np.save(tmp_path / "a.npy", array)
        np.savez(tmp_path / "b.npz", array)  # arr_0
        expected = encode(boxes()[:, :1]) if name == "last axis" else APART
        assert read(tmp_path / "a.npy").sequence == read(tmp_path / "b.npz").sequence == expected, name


def test_axes_are_known_or_asked_for(tmp_path):
    path = tmp_path / "a.npy"
    for as_, axes in (("NTHW", (1, 0, 2, 3)), ("THWN", (0, 2, 3, 1)), ("NHWT", (1, 2, 3, 0))):
        np.save(path, boxes().transpose(axes))
        if as_ != "NHWT":
            with pytest.raises(MediaError, match=f"--as {as_}"):
                read(path)
        assert read(path, as_).sequence == APART
    np.save(path, boxes()[:, 0].transpose(1, 2, 0))
    with pytest.raises(MediaError, match="--as HWT"):
        read(path)
    assert read(path, "HWT").sequence == encode(boxes()[:, :1])
    np.save(path, boxes()[0, 0])
    assert read(path, "HW").sequence == encode(boxes()[:1, :1])
    with pytest.raises(MediaError, match="names 3 axes of 2"):
        read(path, "THW")
    np.savez(tmp_path / "named.npz", masks=boxes().transpose(1, 0, 2, 3), labels=np.array(["a", "b"]))
    assert read(tmp_path / "named.npz").sequence == APART  # two names: the axis of two holds the objects


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (painted(3.5, -2.0, dtype=np.float32), "values from -2 to 3.5; .*logits"),
        (painted(-1, 2, dtype=np.int32), "values from -1 to 2"),
        (np.full((2, 4, 4), np.nan), "non-finite"),
        (np.array([{"a": 1}] * 3, object), "never loaded"),
        (np.zeros((2, 3, 4, 5, 6), np.uint8), "5 axes are none of TNHW"),
        (np.zeros((0, 8, 8), bool), "with at least one frame"),
        (np.zeros((2, 8, 8), complex), "of type complex128"),
    ],
)
def test_arrays_that_are_no_masks(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(MediaError, match=message):
        read(tmp_path / "a.npy")


def test_damaged_arrays_and_several_of_them(tmp_path):
    np.save(tmp_path / "a.npy", boxes())
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[:-9])
    with pytest.raises(MediaError, match="truncated at"):
        read(tmp_path / "a.npy")
    (tmp_path / "a.npy").write_bytes(whole[:8] + b"\xff\x00" + b"junk" * 64)
    with pytest.raises(MediaError, match=r"header of array .* is damaged"):
        read(tmp_path / "a.npy")
    np.savez(tmp_path / "b.npz", first=boxes(), second=boxes())
    with pytest.raises(MediaError, match=r"has first \(5, 2, 32, 48\), second"):
        read(tmp_path / "b.npz")


def test_videos_with_alpha_and_in_color(tmp_path):
    rgba = np.random.default_rng(0).integers(0, 255, (N_FRAMES, HEIGHT, WIDTH, 4), np.uint8)
    rgba[..., 3] = painted(255, 255)
    cutout = write_video(tmp_path / "cutout.mov", rgba, "yuva444p10le", codec="prores_ks")
    assert read(cutout).sequence == BOTH
    black_first = painted((200, 0, 0), (0, 0, 200)).repeat(4, axis=1).repeat(4, axis=2)
    black_first[0] = 0
    path = write_video(tmp_path / "late.mp4", black_first, "yuv444p", crf=10)
    with pytest.raises(MediaError, match=r"late\.mp4#NAME.*--as colors"):
        read(path)
    assert read(path, "colors").sequence.n_objects == 2
    for ending in (".mkv", ".avi"):
        assert read(write_video(tmp_path / f"a{ending}", painted(255, 255), crf=5)).sequence.n_objects == 1


def test_words_that_do_not_fit(tmp_path):
    folder = write_pictures(tmp_path / "a", painted(255, 255))
    for as_, message in (("tints", "unknown"), ("binary,labels", "contradicts"), ("TTHW", "unknown")):
        with pytest.raises(ConfigError, match=message):
            read(folder, as_)
    with pytest.raises(ConfigError, match="axes of an array"):
        read(folder, "NTHW")
    (tmp_path / "a.masks").write_bytes(APART.to_bytes())
    with pytest.raises(ConfigError, match="only --as inverted"):
        read(tmp_path / "a.masks", "labels")
    assert read(tmp_path / "a.masks", "inverted").sequence == encode(~boxes())


def test_masks_that_look_inverted_are_warned_of(tmp_path, caplog):
    folder = write_pictures(tmp_path / "a", 255 - painted(255, 0))
    assert read_masks(folder).sequence == encode(~boxes()[:, :1])
    assert "object 0 covers 96 % of the picture on average" in caplog.text  # 1 - 64 / (32 * 48)
    caplog.clear()
    assert read(folder, "inverted").sequence == encode(boxes()[:, :1])
    read(write_pictures(tmp_path / "empty", painted(0, 0)))
    assert caplog.text.count("WARNING") == 1
    assert "the masks are empty in all of 5 frames" in caplog.text


def test_one_picture_is_one_frame(tmp_path):
    Image.fromarray(painted(1, 2)[0]).save(tmp_path / "a.png")
    assert read(tmp_path / "a.png").sequence == encode(boxes()[:1])

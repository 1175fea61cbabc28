import struct
import tracemalloc
import zlib

import numpy as np
import pytest

from mvideo_core.base.errors import MediaError
from mvideo_core.masks import MaskWriter, codec, encode, from_bytes, packing


def disc(height: int, width: int, y: float, x: float, radius: float) -> np.ndarray:
    yy, xx = np.mgrid[:height, :width]
    return (yy - y) ** 2 + (xx - x) ** 2 <= radius**2


def clip(n_frames: int = 6, height: int = 60, width: int = 90) -> np.ndarray:
    """Two overlapping discs and an object that is never there."""
    masks = np.zeros((n_frames, 3, height, width), bool)
    for frame in range(n_frames):
        masks[frame, 0] = disc(height, width, 30, 20 + 5 * frame, 15)
        masks[frame, 1] = disc(height, width, 30, 60, 18)
    return masks


def test_edges_of_a_ring_by_hand():
    mask = np.zeros((1, 1, 4, 6), bool)
    mask[0, 0, 1, 1:5] = True
    mask[0, 0, 2, [1, 4]] = True
    mask[0, 0, 3, 3:] = True  # reaches the right border
    sequence = encode(mask)
    assert sequence.edges.tolist() == [7, 11, 13, 14, 16, 17, 21, 24]
    assert sequence.offsets.tolist() == [0, 8]


@pytest.mark.parametrize(
    "shape", [(3, 2, 17, 64), (2, 1, 5, 63), (2, 2, 1, 1), (0, 2, 4, 4), (2, 0, 4, 4), (3, 1, 4, 128), (2, 2, 40, 300)]
)
@pytest.mark.parametrize("density", [0.0, 0.03, 0.5, 0.95, 1.0])
def test_round_trip_of_noise(shape, density):
    masks = np.random.default_rng(7).random(shape) < density
    sequence = encode(masks)
    np.testing.assert_array_equal(sequence.pixels(), masks)
    read = from_bytes(sequence.to_bytes())
    assert read == sequence
    np.testing.assert_array_equal(read.pixels(), masks)


def test_values_beyond_a_byte_take_the_escape_path():
    masks = np.zeros((1, 1, 3, 1400), bool)
    masks[0, 0, 0, ::2] = True  # 700 runs in one row
    masks[0, 0, 1, 1200:1300] = True
    masks[0, 0, 2, 3:1390] = True  # jumps of more than 127 px from row to row
    sequence = encode(masks)
    assert from_bytes(sequence.to_bytes()) == sequence


def read_by_the_table(data: bytes) -> np.ndarray:
    """Pixels of a `.masks` file, by a plain loop over the layout in packing.py's docstring."""
    import zstandard

    n_frames, n_objects, height, width, n_runs = struct.unpack_from("<5I", data, 8)
    raw = zstandard.decompress(data[32:])
    n_masks = n_frames * n_objects
    counts = struct.unpack_from(f"<{n_masks}I", raw)
    streams = [list(struct.unpack_from(f"{n_runs}b", raw, 4 * n_masks + n_runs * k)) for k in range(3)]
    planes = raw[4 * n_masks + 3 * n_runs :]
    n_escapes = len(planes) // 4
    escapes = [int.from_bytes(planes[k::n_escapes], "little", signed=True) for k in range(n_escapes)]
    for stream in streams:
        for place, value in enumerate(stream):
            if value == -128:
                stream[place] = escapes.pop(0)
    masks, run = np.zeros((n_masks, height, width), bool), 0
    for mask, count in zip(masks, counts, strict=True):
        row = start = end = 0
        for _ in range(count):
            row, start, end = row + streams[0][run], start + streams[1][run], end + streams[2][run]
            mask[row, start:end] = True
            run += 1
    return masks.reshape(n_frames, n_objects, height, width)


def test_another_reader_of_the_documented_layout_finds_the_same_pixels():
    rng = np.random.default_rng(5)
    wide = np.zeros((2, 2, 3, 1400), bool)
    wide[1, 0] = rng.random((3, 1400)) < 0.01  # differences beyond a byte
    for masks in (clip(), rng.random((3, 2, 17, 64)) < 0.4, wide, np.ones((1, 2, 300, 4), bool)):
        np.testing.assert_array_equal(read_by_the_table(encode(masks).to_bytes()), masks)


def test_overlapping_objects_and_single_frames_stay_apart():
    masks = clip()
    read = from_bytes(encode(masks).to_bytes())
    assert (masks[4, 0] & masks[4, 1]).sum() > 0
    for frame in (5, 0, 3):
        np.testing.assert_array_equal(read.frame(frame), masks[frame])
    np.testing.assert_array_equal(read.mask(4, 1), masks[4, 1])
    with pytest.raises(IndexError):
        read.mask(6, 0)


def test_select_reorders_objects():
    masks = clip()
    np.testing.assert_array_equal(encode(masks).select([1, 0]).pixels(), masks[:, [1, 0]])
    assert encode(masks).select([]).shape == (6, 0, 60, 90)


def test_streaming_equals_whole_and_takes_any_memory_order():
    masks = clip()
    writer = MaskWriter(3, 60, 90)
    for frame in masks:
        writer.append(np.asfortranarray(frame))
    assert writer.finish() == encode(masks)


def test_wrong_frames_are_refused():
    writer = MaskWriter(2, 4, 4)
    with pytest.raises(MediaError, match="bool"):
        writer.append(np.zeros((2, 4, 4), np.uint8))
    with pytest.raises(MediaError, match=r"\[2, 4, 4\]"):
        writer.append(np.zeros((1, 4, 4), bool))
    with pytest.raises(MediaError, match="65535"):
        MaskWriter(1, 70000, 4)


def test_same_masks_same_bytes_and_equality_sees_one_pixel():
    masks = clip()
    assert encode(masks).to_bytes() == encode(masks.copy()).to_bytes()
    changed = masks.copy()
    changed[2, 0, 10, 10] ^= True
    assert encode(changed) != encode(masks)


def test_smaller_than_run_lengths_as_json_under_zstd():
    import json

    import zstandard
    from pycocotools.mask import encode as coco

    steps = np.random.default_rng(0).integers(-2, 3, (2, 24, 1, 100)).cumsum(-1)  # outlines as random walks
    x = np.arange(300)
    sequence = encode((x >= 100 + steps[0][..., None]) & (x < 200 + steps[1][..., None]))
    frames = [np.asfortranarray(sequence.mask(t, 0), np.uint8) for t in range(sequence.n_frames)]
    rivals = zstandard.compress(json.dumps([[coco(frame)["counts"].decode()] for frame in frames]).encode(), 3)
    assert len(sequence.to_bytes()) < 0.9 * len(rivals)


def reseal(data: bytes, **fields: int) -> bytes:
    """The file with header fields replaced and a checksum that fits: damage the checksum cannot see."""
    names = ["magic", "version", "zero", "T", "N", "H", "W", "R"]
    head = dict(zip(names, packing._HEAD.unpack_from(data), strict=True)) | fields
    raw = packing._HEAD.pack(*head.values())
    body = data[packing._HEAD.size + 4 :]
    return raw + struct.pack("<I", zlib.crc32(body, zlib.crc32(raw))) + body


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"magic": b"RIFF"}, "MVMS"),
        ({"version": 1}, "run the segment stage again"),
        ({"version": 9}, "version 9"),
        ({"W": 0}, "allowed"),
        ({"T": 2**31, "N": 2}, "allowed"),
        ({"R": 2**31}, "at most"),
        ({"T": 7}, "do not add up|stream"),
        ({"H": 20}, "leave the frame"),
        ({"W": 30}, "leave the frame"),
        ({"R": 5}, "stream"),
    ],
)
def test_false_headers_are_refused(fields, message):
    with pytest.raises(MediaError, match=message):
        from_bytes(reseal(encode(clip()).to_bytes(), **fields))


def test_every_flipped_byte_is_noticed():
    data = encode(clip(2)).to_bytes()
    for place in range(len(data)):
        bad = bytearray(data)
        bad[place] ^= 0x41
        with pytest.raises(MediaError):
            from_bytes(bytes(bad))
    for length in (0, 3, 40, 59, len(data) - 1):
        with pytest.raises(MediaError):
            from_bytes(data[:length])


def test_damage_under_a_fitting_checksum_never_gives_another_error():
    data = encode(clip(3)).to_bytes()
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(400):
        bad = bytearray(data)
        for place in rng.integers(packing._HEAD.size + 4, len(data), 3):
            bad[place] = rng.integers(256)
        try:
            sequence = from_bytes(reseal(bytes(bad)))
        except MediaError:
            refused += 1
            continue
        sequence.pixels()  # whatever passes is a legal sequence
        assert from_bytes(sequence.to_bytes()) == sequence
    assert refused > 200


def test_a_small_hostile_file_takes_little_memory():
    import zstandard

    big = zstandard.compress(bytes(400_000_000), 3)
    raw = packing._HEAD.pack(b"MVMS", 2, 0, 1, 1, 480, 720, 1000)
    body = big
    data = raw + struct.pack("<I", zlib.crc32(body, zlib.crc32(raw))) + body
    tracemalloc.start()
    with pytest.raises(MediaError, match="stream"):
        from_bytes(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_fill_runs_writes_the_given_stretches_only():
    pixels = np.zeros(10, bool)
    codec.fill_runs(pixels, np.array([1, 3, 8, 10], np.int32))
    assert np.flatnonzero(pixels).tolist() == [1, 2, 8, 9]


@pytest.mark.parametrize("shape", [(9, 2, 8, 16), (3, 1, 1, 64), (5, 3, 7, 9), (2, 2, 1, 1)])
def test_whole_clip_and_frame_by_frame_give_the_same_code(shape, monkeypatch):
    """Full masks too: their last run ends with the last pixel of a word, of a frame and of the clip."""
    monkeypatch.setattr(codec, "_PIXELS_AT_ONCE", 2 * shape[1] * shape[2] * shape[3])
    rng = np.random.default_rng(3)
    for masks in (np.ones(shape, np.bool_), np.zeros(shape, np.bool_), rng.random(shape) < 0.5):
        writer = MaskWriter(*shape[1:])
        for frame in masks:
            writer.append(frame)
        assert encode(masks) == writer.finish()
        assert np.array_equal(encode(masks).pixels(), masks)
    assert codec.changes(np.ones((1, 64), np.bool_)).tolist() == [0, 64]
    assert codec.changes(np.array([0, 1, 1, 0, 1], np.bool_)).tolist() == [1, 3, 4, 5]


@pytest.mark.parametrize("at_once", [1, 50, 1000])
def test_packing_in_parts_gives_the_same_bytes(monkeypatch, at_once):
    masks = np.random.default_rng(3).random((4, 3, 30, 40)) < 0.3
    masks[1, 1] = masks[3] = False
    whole = encode(masks).to_bytes()
    monkeypatch.setattr(packing, "_EDGES_AT_ONCE", at_once)
    assert encode(masks).to_bytes() == whole


def test_a_file_shorter_than_its_header():
    with pytest.raises(MediaError, match="cut off: 8 bytes, its header has 32; copy it again"):
        from_bytes(b"MVMS0000")

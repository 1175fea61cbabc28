import io

import pytest

from mvideo_core.base.errors import StoreError
from mvideo_core.shards import MaskVideoDataset
from mvideo_core.shards.stream import stream_samples
from mvideo_core.shards.tar_format import add_member, open_tar


class Pipe:
    """Bytes that can only be read forward."""

    def __init__(self, content):
        self._content = io.BytesIO(content)

    def read(self, size):
        return self._content.read(size)


def tar_of(*names):
    out = io.BytesIO()
    with open_tar(out) as tar:
        for name in names:
            add_member(tar, name, io.BytesIO(name.encode()), len(name))
    return out.getvalue()


FOUR = ("a.json", "a.masks", "a.mp4", "a.txt")


def test_samples_come_in_the_order_of_the_tar(drawn, written):
    root, info = written
    dataset = MaskVideoDataset(root)
    streamed = [
        sample
        for shard in info.shards
        if shard.split == "train"
        for sample in stream_samples(Pipe((root / shard.path).read_bytes()), shard.path)
    ]
    assert streamed == [dataset[index] for index in range(len(dataset))]
    assert streamed[0].text == drawn.samples[streamed[0].key].caption


def test_two_samples_by_hand():
    names = [*FOUR, *(name.replace("a.", "b.") for name in FOUR)]
    found = list(stream_samples(io.BytesIO(tar_of(*names)), "x.tar"))
    assert [one.key for one in found] == ["a", "b"]
    assert found[1].content == {"json": b"b.json", "masks": b"b.masks", "mp4": b"b.mp4", "txt": b"b.txt"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (tar_of(*FOUR)[:1700], r"x.tar: not a readable tar \(unexpected end of data\)"),
        (tar_of(*FOUR, "a.txt"), r"x.tar: not a readable tar \(a.txt: duplicate"),
        (tar_of(*FOUR[:2], "b.json"), r"x.tar: sample a lacks .mp4; run stage shard again"),
        (b"x" * 2000, r"x.tar: not a readable tar"),
        (b"", r"x.tar: not a readable tar"),
    ],
)
def test_damage_is_refused_with_the_path(content, words):
    with pytest.raises(StoreError, match=words):
        list(stream_samples(io.BytesIO(content), "x.tar"))

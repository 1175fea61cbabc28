import io
import tarfile

import pytest

from mvideo_core.shards.members import header_bytes
from mvideo_core.shards.tar_format import add_member, open_tar, tar_end


class Zeros:
    """As many zeros as asked for, in memory that is never touched."""

    def read(self, n_bytes):
        return bytes(n_bytes)


class Head:
    """Keeps the first bytes of what is written."""

    def __init__(self):
        self.first, self.n_bytes = b"", 0

    def tell(self):
        return self.n_bytes

    def write(self, content):
        self.first += content[: max(0, 2048 - len(self.first))]
        self.n_bytes += len(content)


@pytest.mark.parametrize("size", [0, 1, 511, 512])
@pytest.mark.parametrize("name", ["a.json", "k" * 94 + ".masks", "k" * 95 + ".masks", "k" * 200 + ".json"])
def test_header_without_time_and_owner(name, size):
    out = io.BytesIO()
    with open_tar(out) as tar:
        place = add_member(tar, name, io.BytesIO(b"x" * size), size)
    # by hand: one block of 512; beyond 100 characters also a block "././@LongLink" and one that holds the name
    assert place == header_bytes(name) == (512 if len(name) <= 100 else 1536)
    assert out.getvalue()[place : place + size] == b"x" * size
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
        (info,) = tar.getmembers()
    assert (info.name, info.size, info.offset_data) == (name, size, place)
    assert (info.mtime, info.uid, info.gid, info.uname, info.gname, info.mode) == (0, 0, 0, "", "", 0o644)


@pytest.mark.parametrize("size", [8**11 - 1, 8**11])
def test_sizes_from_8_gib_on_are_kept(size):
    out = Head()
    tar = open_tar(out)
    assert add_member(tar, "a.mp4", Zeros(), size) == 512
    assert tarfile.TarInfo.frombuf(out.first[:512], "ascii", "strict").size == size
    assert out.n_bytes == 512 + 8**11


def test_pieces_and_end_are_one_plain_tar():
    whole, pieces = io.BytesIO(), b""
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for n in range(30):
            info = tarfile.TarInfo(f"k{n}.txt")
            info.size = 700 * n
            tar.addfile(info, io.BytesIO(b"y" * info.size))
    for n in range(30):
        out = io.BytesIO()
        add_member(open_tar(out), f"k{n}.txt", io.BytesIO(b"y" * (700 * n)), 700 * n)
        pieces += out.getvalue()
    assert pieces + tar_end(len(pieces)) == whole.getvalue()


@pytest.mark.parametrize(("written", "zeros"), [(0, 10240), (5120, 5120), (9216, 1024), (9728, 10752), (10240, 10240)])
def test_a_tar_ends_with_two_blocks_and_fills_its_record(written, zeros):
    assert tar_end(written) == bytes(zeros)

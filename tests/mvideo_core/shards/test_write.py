import hashlib
import io
import json
import os
import tarfile
import tracemalloc

import pytest

from mvideo_core.base.errors import StoreError
from mvideo_core.base.records import Blob, PlannedSample, ShardPlanRow
from mvideo_core.shards import sample_bytes, write_shard
from mvideo_core.shards.read_tar import tar_entries


def blob(content):
    return Blob(path="b", sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))


def plan(key="v_1", masks=b"M" * 600, clip=b"V" * 1024):
    sample = PlannedSample(
        key=key, video_id="v", clip=blob(clip), masks=blob(masks), caption="A dog.", labels=["dog"], n_frames=9,
        meta_json='{"key":"v_1"}',
    )  # fmt: skip
    return ShardPlanRow(key="train-000000", split="train", samples=[sample])


def opener(**contents):
    by_digest = {hashlib.sha256(content).hexdigest(): content for content in contents.values()}
    return lambda wanted: io.BytesIO(by_digest.get(wanted.sha256, contents.get("any", b"")))


def test_layout_by_hand():
    out = io.BytesIO()
    written = write_shard(plan(), opener(masks=b"M" * 600, clip=b"V" * 1024), out)
    # json 512+512, masks 512+1024, mp4 512+1024, txt 512+512: 5120, and the end pads to a record of 10240
    assert written.samples[0].size_bytes == sample_bytes(plan().samples[0]) == 5120
    assert (written.size_bytes, len(out.getvalue())) == (10240, 10240)
    assert written.sha256 == hashlib.sha256(out.getvalue()).hexdigest()
    assert (written.path, written.samples[0].shard) == ("train/train-000000.tar", "train/train-000000.tar")
    entries = list(tar_entries(out, "x"))
    assert [(one.name, one.offset_bytes, one.size_bytes) for one in entries] == [
        ("v_1.json", 512, 13), ("v_1.masks", 1536, 600), ("v_1.mp4", 3072, 1024), ("v_1.txt", 4608, 6),
    ]  # fmt: skip


def test_bytes_are_those_of_a_plain_tar_without_times_and_owners(drawn):
    _, rows = drawn.plans(options())
    out, again, plain = io.BytesIO(), io.BytesIO(), io.BytesIO()
    write_shard(rows[0], drawn.open_blob, out)
    write_shard(rows[0], drawn.open_blob, again)
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for one in rows[0].samples:
            contents = {
                "json": one.meta_json.encode(),
                "masks": drawn.open_blob(one.masks).read(),
                "mp4": drawn.open_blob(one.clip).read(),
                "txt": one.caption.encode(),
            }
            for extension, content in contents.items():
                info = tarfile.TarInfo(f"{one.key}.{extension}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    assert out.getvalue() == again.getvalue() == plain.getvalue()


def options():
    from mvideo_core.shards import ShardOptions

    return ShardOptions(samples_per_shard=4)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"V" * 1000, "got 1000 bytes, recorded 1024"), (b"V" * 2000, "got more than"), (b"W" * 1024, "SHA-256")],
)
def test_a_damaged_blob_stops_the_shard(content, words):
    with pytest.raises(StoreError, match=words):
        write_shard(plan(), opener(masks=b"M" * 600, any=content), io.BytesIO())


def test_damage_of_one_file_among_many_is_named_though_found_late():
    clips = [bytes([n]) * 700_000 for n in range(6)]
    samples = [plan(key=f"v_{n}", clip=clip).samples[0] for n, clip in enumerate(clips)]
    contents = {hashlib.sha256(clip).hexdigest(): clip for clip in clips} | {blob(b"M" * 600).sha256: b"M" * 600}
    many = ShardPlanRow(key="train-000000", split="train", samples=samples)
    out = io.BytesIO()
    written = write_shard(many, lambda wanted: io.BytesIO(contents[wanted.sha256]), out)
    assert written.sha256 == hashlib.sha256(out.getvalue()).hexdigest()
    for n in (1, 5):
        damaged = contents | {samples[n].clip.sha256: clips[n][:-1] + b"x"}
        with pytest.raises(StoreError, match=rf"mp4 of v_{n}\): got SHA-256 .* recorded"):
            write_shard(many, lambda wanted, damaged=damaged: io.BytesIO(damaged[wanted.sha256]), io.BytesIO())


def test_a_large_clip_is_never_whole_in_memory(tmp_path):
    clip_bytes, piece = 200_000_000, bytes(1_000_000)
    sha256 = hashlib.sha256()
    for _ in range(200):
        sha256.update(piece)
    clip = Blob(path="b", sha256=sha256.hexdigest(), size_bytes=clip_bytes)
    large = ShardPlanRow(
        key="train-000000", split="train", samples=[plan().samples[0].model_copy(update={"clip": clip})]
    )
    (tmp_path / "clip").touch()
    os.truncate(tmp_path / "clip", clip_bytes)  # zeros that take no disk
    with open(os.devnull, "wb") as out:
        tracemalloc.start()
        written = write_shard(
            large, lambda wanted: (tmp_path / "clip").open("rb") if wanted is clip else io.BytesIO(b"M" * 600), out
        )
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert written.size_bytes > clip_bytes
    assert peak_bytes < 30_000_000


@pytest.mark.parametrize("key", ["a.b", "a/b", "", "x" * 201, "é"])
def test_keys_that_no_reader_would_keep_apart_are_refused(key):
    with pytest.raises(StoreError, match="letters, digits"):
        write_shard(plan(key), opener(), io.BytesIO())


def test_the_json_member_tells_source_objects_and_models(drawn):
    meta = json.loads(drawn.samples["v02_000001"].meta_json)
    assert meta["source"]["url"] == "https://video.example/v02"
    assert (meta["source"]["start_s"], meta["source"]["licence"], meta["source"]["fps"]) == (1.0, "CC-BY-4.0", 24.0)
    assert [(one["label"], one["kept"]) for one in meta["objects"]] == [("dog", True), ("clock", False)]
    assert meta["caption"]["captioner"] == "motion"
    assert drawn.samples["v02_000001"].labels == ["dog"]


@pytest.mark.parametrize("length", [94, 95, 96, 120, 200])
def test_long_keys_keep_their_place_and_plain_readers_know_them(length):
    key, out = "k" * length, io.BytesIO()
    written = write_shard(plan(key), opener(masks=b"M" * 600, clip=b"V" * 1024), out)
    names = [f"{key}.{extension}" for extension in ("json", "masks", "mp4", "txt")]
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
        assert [(one.name, one.offset_data) for one in tar.getmembers()] == [
            (one.name, one.offset_bytes) for one in tar_entries(out, "x")
        ]
        assert tar.getnames() == names
    # 5120 bytes by hand for a short key; each name beyond 100 characters takes two blocks more
    assert written.samples[0].size_bytes == 5120 + 1024 * sum(len(name) > 100 for name in names)


def test_reading_refuses_links_paths_and_cut_files():
    link = tarfile.TarInfo("a.txt")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"

    def plain(name, size):
        info = tarfile.TarInfo(name)
        info.size = size
        return info.tobuf(tarfile.USTAR_FORMAT)

    bad = {
        "not a regular file": link.tobuf(tarfile.USTAR_FORMAT) + bytes(1024),
        "not a plain file name": plain("../a.txt", 0) + bytes(1024),
        "beyond the end": plain("a.txt", 10_000) + bytes(1024),
        "truncated": plain("a.txt", 0) + bytes(100),
        "no tar header": b"x" * 512,
    }
    for words, content in bad.items():
        with pytest.raises(StoreError, match=words):
            list(tar_entries(io.BytesIO(content), "x.tar"))

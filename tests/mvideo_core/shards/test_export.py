"""Exports resume, refuse what is not theirs, and name damaged samples."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from mvideo_core.base.errors import ConfigError, StoreError
from mvideo_core.cli.main import app
from mvideo_core.shards import MaskVideoDataset
from mvideo_core.shards.export import NOTE_NAME, export_dataset
from mvideo_core.shards.export_journal import NAME
from mvideo_core.shards.exports import EXPORTS
from tests.mvideo_core.shards.exports.conftest import dataset  # noqa: F401 - a fixture


class Killed(BaseException):
    pass


def files(out):
    return {
        str(one.relative_to(out)): one.read_bytes() for one in out.rglob("*") if one.is_file() and one.name != ".lock"
    }


def stop_after(n_samples):
    def progress(done, total):
        assert total == 4
        if done == n_samples:
            raise Killed

    return progress


@pytest.mark.parametrize("name", sorted({*EXPORTS.names()} - {"lance"}))  # whose files have random names
def test_a_killed_export_resumes_with_the_same_bytes(dataset, tmp_path, name):  # noqa: F811
    out = tmp_path / "out"  # the same folder both times: some formats hold absolute paths
    export_dataset(dataset, out, name, "all")
    whole = files(out)
    shutil.rmtree(out)
    for n_samples in (1, 3):
        with pytest.raises(Killed):
            export_dataset(dataset, out, name, "all", stop_after(n_samples))
    with (out / NAME).open("ab") as stream:
        stream.write(b'{"key": "torn')
    (out / ".left.1234.part.mp4").write_bytes(b"half a video")
    done = []
    export_dataset(dataset, out, name, "all", lambda n, _: done.append(n))
    assert done == [4]
    assert files(out) == whole


def test_every_format_says_what_reads_it_and_what_is_lost():
    for name in EXPORTS.names():
        assert EXPORTS.get(name).title
        assert isinstance(EXPORTS.get(name).losses, tuple)


def test_a_finished_export_is_recognized_and_others_are_refused(dataset, tmp_path):  # noqa: F811
    out = tmp_path / "out"
    first = export_dataset(dataset, out, "npz")
    assert "reused" not in first
    before = {one: one.stat().st_mtime_ns for one in out.rglob("*")}
    assert export_dataset(dataset, out, "npz") == first | {"reused": True}
    assert {one: one.stat().st_mtime_ns for one in out.rglob("*") if one.name != ".lock"}.items() <= before.items()
    with pytest.raises(StoreError, match=r"holds another export \(npz, split train, .*use another folder"):
        export_dataset(dataset, out, "davis")
    with pytest.raises(StoreError, match="holds another export"):
        export_dataset(dataset, out, "npz", "test")
    next(out.rglob("*.npz")).unlink()
    with pytest.raises(StoreError, match=r"4 files of .* but 5 of .* were exported; delete the folder"):
        export_dataset(dataset, out, "npz")


def test_foreign_folders_formats_and_unfinished_exports_are_refused(dataset, tmp_path):  # noqa: F811
    with pytest.raises(ConfigError, match=r"no export format called 'coco'; known: .*davis"):
        export_dataset(dataset, tmp_path / "out", "coco")
    with pytest.raises(ConfigError, match="no split 'val'; it has: test, train"):
        export_dataset(dataset, tmp_path / "out", "npz", "val")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(StoreError, match=r"not empty \(thesis.txt\)"):
        export_dataset(dataset, tmp_path / "mine", "npz")
    out = tmp_path / "out"
    with pytest.raises(Killed):
        export_dataset(dataset, out, "npz", "all", stop_after(1))
    with pytest.raises(StoreError, match=r"another, unfinished export \(npz, split all, dataset [0-9a-f]{16}\)"):
        export_dataset(dataset, out, "davis", "all")
    lines = (out / NAME).read_bytes().splitlines(keepends=True)
    (out / NAME).write_bytes(lines[0] + b"rubbish\n" + lines[1])
    with pytest.raises(StoreError, match="line 2 is damaged"):
        export_dataset(dataset, out, "npz", "all")


def test_a_damaged_sample_is_named_even_if_its_bytes_are_only_copied(dataset, tmp_path):  # noqa: F811
    root = tmp_path / "damaged"
    shutil.copytree(dataset, root)
    sample = MaskVideoDataset(root)[1]
    shard = next(root.glob("train/*.tar"))
    content = bytearray(shard.read_bytes())
    content[content.find(sample.content["mp4"]) + len(sample.content["mp4"]) // 2] ^= 1
    shard.write_bytes(bytes(content))
    with pytest.raises(StoreError, match=rf"sample {sample.key} cannot be exported: .*verify {root} --deep"):
        export_dataset(root, tmp_path / "out", "sa-v")
    assert not (tmp_path / "out" / NOTE_NAME).exists()


def test_command_prints_counts_and_losses(dataset, tmp_path):  # noqa: F811
    out = tmp_path / "out"
    first = CliRunner().invoke(app, ["dataset", "export", str(dataset), str(out), "--to", "davis", "--split", "all"])
    assert first.exit_code == 0, first.output
    facts = json.loads((out / NOTE_NAME).read_text())
    assert f"{out}: 4 samples, 36 frames, 5 objects, {facts['files']} files" in first.stdout
    # 36 JPEGs, 36 PNGs and two lists
    assert facts["files"] == 74
    assert "not kept: overlaps: the later object wins (80 px)" in first.stdout
    again = CliRunner().invoke(app, ["dataset", "export", str(dataset), str(out), "--to", "davis", "--split", "all"])
    assert again.exit_code == 0
    assert "already there: 4 samples" in again.stdout

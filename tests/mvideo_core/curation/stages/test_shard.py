import json
import signal
import subprocess
import sys

import pytest

from mvideo_core.base.errors import ConfigError, StoreError
from mvideo_core.base.records import ShardPlanRow
from mvideo_core.curation.pipeline import stage_rows
from mvideo_core.curation.stages.publish import dataset_problems, first_sample
from mvideo_core.curation.stages.samples import plan_dataset
from mvideo_core.curation.stages.shard import STAGE, shard_dataset
from mvideo_core.engine.chain import valid_markers
from mvideo_core.engine.garbage import collect_garbage
from mvideo_core.engine.plan import PlanOptions, make_plan
from mvideo_core.engine.run import RunOptions, run_stage
from mvideo_core.shards.dataset import MaskVideoDataset
from mvideo_core.shards.options import ShardOptions
from mvideo_core.store.workspace import Workspace
from tests.mvideo_core.engine import toy
from tests.mvideo_core.engine.finished import finish

OPTIONS = ShardOptions(samples_per_shard=2)


@pytest.fixture
def workspace(tmp_path):
    return Workspace(str(tmp_path / "ws"))


def digest_of(workspace):
    return workspace.pointer("dataset")["digest"]


def test_every_finished_clip_stands_in_the_dataset_once(workspace, tmp_path):
    keys = finish(workspace, tmp_path, {"a": 2, "b": 1, "c": 2})
    summary = shard_dataset(workspace, OPTIONS)
    assert summary.counts["ok"] == 3  # five samples, two a tar
    root = workspace.folder.at(workspace.pointer("dataset")["path"])
    dataset = MaskVideoDataset(root)
    assert sorted(dataset.keys) == keys
    sample = dataset.sample(list(dataset.keys).index("a_000000001"))
    assert sample.text == "A dog, take 1."
    assert sample.masks().mask(3, 0).sum() == 12 * 16
    assert sample.frames().shape == (9, 32, 48, 3)
    assert dataset_problems(workspace, deep=True) == []


def test_the_first_sample_is_named_with_its_dataset(workspace, tmp_path):
    with pytest.raises(StoreError, match="mvideo run"):
        first_sample(workspace)
    keys = finish(workspace, tmp_path, {"a": 2, "b": 1, "c": 2})
    shard_dataset(workspace, OPTIONS)
    root, key = first_sample(workspace).split("#")
    assert (MaskVideoDataset(root).info.digest, key in keys) == (digest_of(workspace), True)


def test_the_same_rows_give_the_same_bytes_in_any_workspace(tmp_path):
    spaces = [Workspace(str(tmp_path / name)) for name in ("one", "two")]
    for n, space in enumerate(spaces):
        finish(space, tmp_path, {"a": 2, "b": 1})
        shard_dataset(space, OPTIONS, RunOptions(jobs=1 + n))
    assert digest_of(spaces[0]) == digest_of(spaces[1])
    one, two = (space.folder for space in spaces)
    path = spaces[0].pointer("dataset")["path"]
    assert spaces[1].pointer("dataset")["path"] == path
    names = list(one.walk(path))
    assert names == list(two.walk(path))
    assert [one.sha256(name) for name in names] == [two.sha256(name) for name in names]


def test_a_plan_killed_between_two_parts_leaves_the_one_before_whole(workspace, tmp_path):
    finish(workspace, tmp_path, {"a": 2, "b": 1, "c": 2})
    shard_dataset(workspace, OPTIONS)
    before, digest = planned(workspace), digest_of(workspace)
    code = (
        "import os\nfrom mvideo_core.curation.stages import samples\n"
        "from mvideo_core.shards.options import ShardOptions\n"
        "from mvideo_core.store.workspace import Workspace\nreal, calls = samples.commit_part, []\n"
        "def commit(*args, **values):\n    calls.append(1)\n    len(calls) == 3 and os.kill(os.getpid(), 9)\n"
        "    return real(*args, **values)\n"
        "samples.commit_part = commit\n"
        f"samples.plan_dataset(Workspace({workspace.url!r}), ShardOptions(samples_per_shard=1))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    n_rows = len(list(workspace.folder.walk("rows/samples")))
    assert (n_rows, planned(workspace)) == (5, before), "two parts of the new plan are written, none is current"
    assert all(marker is not None for _, marker in valid_markers(workspace, "samples"))
    collect_garbage(workspace, stage_rows(), dry_run=False)
    assert (planned(workspace), dataset_problems(workspace, deep=True)) == (before, [])
    shard_dataset(workspace, ShardOptions(samples_per_shard=1))
    assert [len(row.samples) for row in workspace.current_rows("samples", ShardPlanRow)] == [1] * 5
    assert digest_of(workspace) != digest


def planned(workspace):
    """Keys of the samples of each current shard."""
    return [[sample.key for sample in row.samples] for row in workspace.current_rows("samples", ShardPlanRow)]


def test_a_lost_tar_is_written_again_and_only_that_one(workspace, tmp_path):
    finish(workspace, tmp_path, {"a": 2, "b": 1, "c": 2})
    shard_dataset(workspace, OPTIONS)
    before = digest_of(workspace)
    tars = [row.tar.path for row in workspace.current_rows("shard", STAGE.row)]
    workspace.folder.remove(tars[1])
    assert [problem.path for problem in dataset_problems(workspace, deep=False)] == [tars[1]]
    n_parts = plan_dataset(workspace, OPTIONS)
    summary = run_stage(workspace, STAGE, OPTIONS, parts=range(n_parts))
    assert summary.parts_reused == 2
    shard_dataset(workspace, OPTIONS)
    assert digest_of(workspace) == before
    assert dataset_problems(workspace, deep=True) == []


def test_a_removed_video_leaves_a_new_dataset_and_the_old_one_untouched(workspace, tmp_path):
    finish(workspace, tmp_path, {"a": 2, "b": 1})
    shard_dataset(workspace, OPTIONS)
    old = workspace.pointer("dataset")["path"]
    removed = tmp_path / "removed.txt"
    removed.write_text("a\n")
    shard_dataset(workspace, ShardOptions(samples_per_shard=2, removal_list=str(removed)))
    pointer = workspace.pointer("dataset")
    assert pointer["path"] != old
    info = json.loads(workspace.folder.read(f"{pointer['path']}/dataset.json"))
    assert info["excluded"] == {"removed_on_request": 2}
    assert list(MaskVideoDataset(workspace.folder.at(pointer["path"])).keys) == ["b_000000000"]
    assert workspace.folder.exists(f"{old}/dataset.json")
    removed.write_text("b\n")  # same option, other content of the list: a new key
    shard_dataset(workspace, ShardOptions(samples_per_shard=2, removal_list=str(removed)))
    assert len(MaskVideoDataset(workspace.folder.at(workspace.pointer("dataset")["path"]))) == 2


def test_a_list_may_name_a_video_that_gave_no_sample(workspace, tmp_path):
    finish(workspace, tmp_path, {"a": 1, "b": 0})
    (tmp_path / "removed.txt").write_text("b\n")
    shard_dataset(workspace, ShardOptions(removal_list=str(tmp_path / "removed.txt")))
    assert len(MaskVideoDataset(workspace.folder.at(workspace.pointer("dataset")["path"]))) == 1


def test_a_split_that_stays_empty_is_said(workspace, tmp_path):
    finish(workspace, tmp_path, {"a": 1, "b": 1})
    (warning,) = shard_dataset(workspace, ShardOptions(test_frac=0.01)).warnings
    assert "test_frac=0.01: all videos are in train, so there is no test split" in warning
    assert shard_dataset(workspace, ShardOptions()).warnings == []


def test_a_damaged_clip_is_noticed_before_it_is_published(workspace, tmp_path):
    finish(workspace, tmp_path, {"a": 1})
    clip = next(iter(workspace.folder.walk("blobs/cut")))
    content = bytearray(workspace.folder.read(clip))
    content[50] ^= 1
    workspace.folder.write(clip, bytes(content))
    with pytest.raises(StoreError, match="SHA-256"):
        shard_dataset(workspace, OPTIONS)
    assert workspace.pointer("dataset") is None


def test_an_unfinished_stage_is_named(workspace):
    make_plan(workspace, toy.sources("a"), PlanOptions())
    with pytest.raises(ConfigError, match="mvideo stage ingest"):
        shard_dataset(workspace, OPTIONS)


def test_nothing_left_is_an_error_that_points_to_status(workspace, tmp_path):
    finish(workspace, tmp_path, {"a": 0})
    with pytest.raises(StoreError, match="mvideo status"):
        shard_dataset(workspace, OPTIONS)

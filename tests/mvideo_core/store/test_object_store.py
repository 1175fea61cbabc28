"""Workspaces on an object store: refusals in one line, no bucket made, few requests, bounded scratch."""

import signal
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mvideo_core.base.errors import StoreError
from mvideo_core.curation.pipeline import workspace_rows
from mvideo_core.curation.stages.shard import shard_dataset
from mvideo_core.engine.garbage import MIN_AGE_S, collect_garbage
from mvideo_core.engine.plan import PlanOptions, make_plan
from mvideo_core.engine.run import run_stage
from mvideo_core.engine.stage import StageContext
from mvideo_core.pages.data_report.build import build_report, report_problems
from mvideo_core.shards.dataset import MaskVideoDataset
from mvideo_core.shards.options import ShardOptions
from mvideo_core.store.files import Folder
from mvideo_core.store.journal import Journal
from mvideo_core.store.scratch import scratch_folder
from mvideo_core.store.snapshot import snapshot
from mvideo_core.store.stage_counts import stage_status
from mvideo_core.store.verify import verify_stage
from mvideo_core.store.workspace import Workspace
from tests.mvideo_core.engine import toy
from tests.mvideo_core.engine.finished import finish
from tests.mvideo_core.engine.toy import DOUBLES, LETTERS, DoubleOptions, LetterOptions, LetterWorker
from tests.mvideo_core.store import bucket
from tests.mvideo_core.store.bucket import BucketFileSystem


@pytest.fixture(autouse=True)
def store():
    bucket.register()
    BucketFileSystem.fresh("films")
    toy.forget()
    return BucketFileSystem


class NoCredentialsError(Exception):
    """As of botocore: no OSError."""


class ParamValidationError(Exception):
    """As of botocore: several lines."""


REFUSALS = (
    (NoCredentialsError("Unable to locate credentials"), "Unable to locate credentials; check the credentials"),
    (PermissionError("Forbidden"), "Forbidden; check the credentials"),
    (ParamValidationError('failed:\nInvalid bucket name "A B"'), 'Invalid bucket name "A B"; check the URL'),
    (OSError(5, "Please reduce your request rate"), "reduce your request rate; check the URL and the network"),
)


@pytest.mark.parametrize(("error", "said"), REFUSALS)
def test_what_the_store_refuses_is_one_line(store, error, said):
    store.refusal = error
    calls = (
        lambda: Workspace("s3://films/ws"),
        lambda: Folder("s3://films/ws").write("a", b""),
        lambda: Folder("s3://films/ws").size("a"),
        lambda: list(Folder("s3://films/ws").walk("a")),
        lambda: MaskVideoDataset("s3://films/dataset"),
    )
    for call in calls:
        with pytest.raises(StoreError) as raised:
            call()
        assert said in str(raised.value)
        assert "\n" not in str(raised.value)


def test_a_bucket_that_is_not_there_is_not_made(store):
    workspace = Workspace("s3://flims/ws")
    with pytest.raises(StoreError, match=r"s3://flims/ws: writing .*bucket does not exist; no such bucket"):
        make_plan(workspace, toy.sources("a"), PlanOptions())
    assert store.buckets == {"films"}


def test_a_url_that_a_driver_would_read_as_a_pattern_is_refused(store):
    with pytest.raises(StoreError, match=r"s3://films/take \[2\]: \[ in its path, .*; rename it"):
        Workspace("s3://films/take [2]")


def test_a_bucket_to_read_only_is_one_line(store):
    store.read_only = True
    with pytest.raises(StoreError, match="Access Denied; check the credentials and their permissions"):
        make_plan(Workspace("s3://films/ws"), toy.sources("a"), PlanOptions())


def test_a_write_is_one_request(store, tmp_path):
    folder = Folder("s3://films/ws")
    folder.write("a/b/c.json", b"{}")
    (tmp_path / "d").write_bytes(b"d")
    folder.adopt(tmp_path / "d", "a/b/d")
    assert dict(store.requests) == {"PUT": 2}
    store.count()
    assert folder.read("a/b/d") == b"d"
    assert dict(store.requests) == {"GET": 1}


def test_events_share_objects_and_are_read_at_once(store):
    journal = Journal(Folder("s3://films/ws"), "journal/a/b.jsonl")
    for batch in range(20):
        journal.append({"event": "start", "items": [f"{batch}-{n}" for n in range(64)]})
        for n in range(64):
            journal.append({"event": "done", "item": f"{batch}-{n}", "rows": []})
    journal.close()
    assert store.requests["PUT"] == 21  # one a batch, with what the batch before finished, and the last
    store.count()
    again = Journal(Folder("s3://films/ws"), "journal/a/b.jsonl")
    assert len(again.events()) == 20 * 65
    assert (store.requests["GET"], store.waits[0]) == (21, 2)
    again.append({"event": "start", "items": ["x"]})
    assert len(Journal(Folder("s3://films/ws"), "journal/a/b.jsonl").events()) == 20 * 65 + 1
    again.discard()
    assert list(Folder("s3://films/ws").walk("journal")) == []


def test_a_part_stopped_on_a_bucket_goes_on_where_it_stopped(store):
    workspace = Workspace("s3://films/ws")
    make_plan(workspace, toy.sources("a", "b", "c"), PlanOptions())
    LetterWorker.die_at = "c"
    with pytest.raises(KeyboardInterrupt):
        run_stage(workspace, LETTERS, LetterOptions())
    toy.forget()
    run_stage(workspace, LETTERS, LetterOptions())
    assert LetterWorker.worked == ["c"]


def test_inputs_leave_scratch_with_their_item(store, monkeypatch):
    keys = [f"v{n:02d}" for n in range(12)]
    workspace = Workspace("s3://films/ws")
    make_plan(workspace, toy.sources(*keys), PlanOptions())
    run_stage(workspace, LETTERS, LetterOptions())
    seen = []
    fetch = StageContext.local

    def counted(self, blob):
        path = fetch(self, blob)
        seen.append(len(list(self.scratch.glob("in-*"))))
        return path

    monkeypatch.setattr(StageContext, "local", counted)
    run_stage(workspace, DOUBLES, DoubleOptions())
    assert (len(seen), max(seen)) == (12, DOUBLES.open(DoubleOptions(), None).batch_size)


CHILD = """
import sys, time
from pathlib import Path
from mvideo_core.store.scratch import scratch_folder
with scratch_folder("test") as folder:
    (folder / "big").write_bytes(b"x" * 1000)
    print(folder, flush=True)
    time.sleep(60)
"""


def test_scratch_of_killed_processes_goes_at_the_next_start(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    children = [subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    killed, alive = (Path(child.stdout.readline().strip()) for child in children)
    children[0].send_signal(signal.SIGKILL)
    children[0].wait()
    assert (killed / "big").exists()
    with scratch_folder("test") as mine:
        assert list(mine.iterdir()) == []
        assert not killed.exists()
        assert (alive / "big").exists()
    children[1].kill()
    children[1].wait()
    assert not mine.exists()


@pytest.fixture
def remote(store, tmp_path):
    workspace = Workspace("s3://films/ws")
    finish(workspace, tmp_path, {f"v{n}": 3 for n in range(8)})
    shard_dataset(workspace, ShardOptions(test_frac=0))
    build_report(workspace)
    return workspace


def waits_of(work) -> int:
    BucketFileSystem.count()
    work()
    return BucketFileSystem.waits[0]


def test_looking_after_a_workspace_of_24_clips_takes_few_round_trips(remote):
    stages = workspace_rows(remote)

    def status():
        ws = snapshot(Workspace.open_existing(remote.url))
        for name in stages:
            stage_status(ws, name)

    def verify():
        ws = snapshot(Workspace.open_existing(remote.url))
        assert [p for name, row in stages.items() for p in verify_stage(ws, name, row, deep=False)] == []
        assert report_problems(ws) == []

    def gc():
        assert collect_garbage(Workspace.open_existing(remote.url), stages, dry_run=True, min_age_s=0).files == 0

    assert waits_of(status) <= 12
    assert waits_of(verify) <= 60
    assert waits_of(gc) <= 60


def test_gc_on_a_bucket_deletes_what_is_old_and_unreached(remote):
    stages = workspace_rows(remote)
    before = set(remote.folder.walk(""))
    remote.folder.write("blobs/cut/00/fresh.mp4", b"fresh")
    bucket.age(MIN_AGE_S + 1)
    remote.folder.write("blobs/cut/00/new.mp4", b"new")
    freed = collect_garbage(remote, stages, dry_run=False)
    assert (freed.files, freed.young) == (1, 1)
    assert set(remote.folder.walk("")) == before | {"blobs/cut/00/new.mp4"}


def test_gc_aborts_uploads_that_killed_processes_left(remote, caplog):
    def upload(name, age_s, key):
        begun = datetime.now(UTC) - timedelta(seconds=age_s)
        bucket.BucketFileSystem.uploads.append({"Key": key, "UploadId": name, "Initiated": begun})

    def left():
        return sorted(one["UploadId"] for one in bucket.BucketFileSystem.uploads)

    prefix = remote.folder.root.partition("/")[2]
    for number in range(5):
        upload(f"old{number}", MIN_AGE_S + 60, f"{prefix}/blobs/cut/{number}.mp4")
    upload("fresh", 60, f"{prefix}/datasets/a/train-000000.tar")
    upload("neighbor", MIN_AGE_S + 60, f"{prefix}-of-somebody-else/a.tar")
    stages, everything = workspace_rows(remote), left()
    assert collect_garbage(remote, stages, dry_run=True).uploads == 5
    assert left() == everything
    freed = collect_garbage(remote, stages, dry_run=False)
    assert (freed.uploads, freed.young, left()) == (5, 1, ["fresh", "neighbor"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bucket.BucketFileSystem, "call_s3", denied)
        assert collect_garbage(remote, stages, dry_run=False).uploads == 0
    assert "looking for unfinished uploads: PermissionError: Access Denied; check the credentials" in caplog.text


def denied(*_args, **_asked):
    raise PermissionError("Access Denied")

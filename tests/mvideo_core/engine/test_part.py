import json
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from mvideo_core.base.errors import ConfigError, StoreError
from mvideo_core.engine.garbage import collect_garbage
from mvideo_core.engine.part import MAX_CRASHES, MAX_KILLS, PartJob, run_part
from mvideo_core.engine.plan import MAX_PARTS, PlanOptions, _spill, make_plan, part_of, parts_for
from mvideo_core.engine.run import RunOptions, run_stage
from mvideo_core.store.commit import commit_part
from mvideo_core.store.retry_failed import retry_failed
from mvideo_core.store.stage_counts import stage_status
from mvideo_core.store.verify import verify_stage
from mvideo_core.store.workspace import Workspace
from tests.mvideo_core.engine import toy
from tests.mvideo_core.engine.toy import DOUBLES, LETTERS, DoubleOptions, DoubleWorker, LetterOptions, LetterWorker

KEYS = [f"v{n:02d}" for n in range(10)]


@pytest.fixture(params=["local", "memory"])
def workspace(request, tmp_path):
    toy.forget()
    url = str(tmp_path / "ws") if request.param == "local" else f"memory://{tmp_path.name}"
    return Workspace(url)


def plan(workspace, keys=KEYS, part_size=64):
    return make_plan(workspace, toy.sources(*keys), PlanOptions(part_size=part_size))


def all_rows(workspace, stage):
    return {row.key: row for row in workspace.current_rows(stage.name, stage.row)}


def test_a_finished_part_is_not_run_again(workspace):
    plan(workspace)
    first = run_part(workspace, LETTERS, 0, LetterOptions())
    again = run_part(workspace, LETTERS, 0, LetterOptions())
    assert (first.reused, again.reused) == (False, True)
    assert sorted(LetterWorker.worked) == KEYS
    assert again.marker == first.marker
    assert first.marker.counts == {"items": 10, "reused": 0, "ok": 10, "filtered": 0, "failed": 0}


def test_a_stage_reads_its_weights_once_for_all_its_parts(workspace):
    n_parts, asked = plan(workspace, part_size=2).n_parts, []
    stage = replace(LETTERS, externals=lambda options: asked.append(options) or {"weights": "5b"})
    summary = run_stage(workspace, stage, LetterOptions(), RunOptions(jobs=2))
    assert (n_parts, summary.parts, len(asked)) == (8, 8, 1)
    assert run_part(workspace, stage, 0, LetterOptions()).reused, "asked for alone, a part has the same settings"


def test_a_full_disk_stops_the_part_and_what_was_done_is_kept(tmp_path):
    toy.forget()
    workspace = Workspace(str(tmp_path / "ws"))
    plan(workspace)
    long = LetterOptions(suffix="!" * 200_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StoreError, match=r"toy-letters part 0: .*\(File too large\); free space"):
            run_part(workspace, LETTERS, 0, long)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert run_part(workspace, LETTERS, 0, long).marker.counts["ok"] == 10


def test_a_disk_too_full_for_planning_says_so(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        with pytest.raises(StoreError, match=r"planning: .*\(File too large\); free space"):
            plan(Workspace(str(tmp_path / "ws")), keys=[f"v{n:06d}" for n in range(20_000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_plan_stopped_halfway_leaves_the_one_before_whole(workspace, monkeypatch):
    plan(workspace, KEYS[:8])
    before = workspace.plan()
    calls = iter(range(99))

    def stopping(*given, **named):
        if next(calls) == 2:
            raise KeyboardInterrupt
        return commit_part(*given, **named)

    monkeypatch.setattr("mvideo_core.engine.plan.commit_part", stopping)
    with pytest.raises(KeyboardInterrupt):
        plan(workspace, KEYS, part_size=3)
    assert workspace.plan() == before
    assert sorted(row.key for row in workspace.current_rows("source", toy.SourceRow)) == KEYS[:8]
    assert plan(workspace, KEYS, part_size=3).n_parts == 4
    assert sorted(row.key for row in workspace.current_rows("source", toy.SourceRow)) == KEYS


def test_a_plan_may_have_more_parts_than_files_are_open(workspace, monkeypatch):
    """The parts of sources do not depend on how many files hold them meanwhile."""
    keys = [f"v{n:02d}" for n in range(40)]
    options = PlanOptions(part_size=1, max_parts=16)

    def parts():
        made = make_plan(workspace, toy.sources(*keys), options)
        found = [workspace.rows(workspace.current("source", n), toy.SourceRow) for n in range(made.n_parts)]
        return [sorted(row.key for row in rows) for rows in found]

    one_file_each = parts()
    assert len(one_file_each) == 16
    assert sorted(key for part in one_file_each for key in part) == keys
    assert all(part_of(key, 16) == index for index, part in enumerate(one_file_each) for key in part)
    monkeypatch.setattr("mvideo_core.engine.plan.BUCKETS", 4)
    assert parts() == one_file_each
    with pytest.raises(ConfigError, match="two sources are called 'v07'"):
        make_plan(workspace, toy.sources(*keys, "v07"), options)


def test_max_parts_does_not_change_the_keys_of_parts(workspace):
    first = make_plan(workspace, toy.sources("a", "b"), PlanOptions(part_size=1))
    keys = workspace.plan()["keys"]
    assert make_plan(workspace, toy.sources("a", "b"), PlanOptions(part_size=1, max_parts=512)) == first
    assert workspace.plan()["keys"] == keys


def test_two_sources_of_one_name_leave_no_workspace(workspace):
    with pytest.raises(ConfigError, match="two sources are called 'v00'"):
        plan(workspace, ["v00", "v01", "v00"])
    assert list(workspace.folder.walk("")) == []


def test_a_new_option_reruns_that_stage_and_what_depends_on_it_only(workspace):
    plan(workspace)
    for stage, options in ((LETTERS, LetterOptions()), (DOUBLES, DoubleOptions())):
        run_stage(workspace, stage, options)
    toy.forget()
    run_stage(workspace, LETTERS, LetterOptions())
    run_stage(workspace, DOUBLES, DoubleOptions(times=3))
    assert LetterWorker.worked == []
    assert sorted(DoubleWorker.worked) == KEYS
    assert all_rows(workspace, DOUBLES)["v03"].text == "v03!v03!v03!"
    toy.forget()
    run_stage(workspace, LETTERS, LetterOptions(suffix="?"))
    run_stage(workspace, DOUBLES, DoubleOptions(times=3))
    assert sorted(LetterWorker.worked) == sorted(DoubleWorker.worked) == KEYS


def test_going_back_to_old_options_finds_the_old_work(workspace):
    plan(workspace)
    first = run_part(workspace, LETTERS, 0, LetterOptions())
    run_part(workspace, LETTERS, 0, LetterOptions(suffix="?"))
    toy.forget()
    back = run_part(workspace, LETTERS, 0, LetterOptions())
    assert back.reused
    assert LetterWorker.worked == []
    assert workspace.current("toy-letters", 0).key == first.marker.key


def test_a_stopped_part_goes_on_where_it_stopped_with_the_same_bytes(workspace, tmp_path):
    straight = Workspace(str(tmp_path / "straight"))
    plan(straight)
    plan(workspace)
    expected = run_part(straight, LETTERS, 0, LetterOptions()).marker
    toy.forget()
    LetterWorker.die_at = "v06"
    with pytest.raises(KeyboardInterrupt):
        run_part(workspace, LETTERS, 0, LetterOptions())
    assert LetterWorker.worked == KEYS[:7]
    toy.forget()
    marker = run_part(workspace, LETTERS, 0, LetterOptions()).marker
    assert LetterWorker.worked == KEYS[6:]
    assert marker.rows == expected.rows
    assert marker.digest == expected.digest
    assert list(workspace.folder.walk("journal")) == []


def test_a_torn_journal_line_costs_that_item_only(tmp_path):
    toy.forget()
    workspace = Workspace(str(tmp_path))
    plan(workspace)
    LetterWorker.die_at = "v05"
    with pytest.raises(KeyboardInterrupt):
        run_part(workspace, LETTERS, 0, LetterOptions())
    (journal,) = workspace.folder.walk("journal")
    path = tmp_path / journal
    whole = path.read_bytes().splitlines(keepends=True)
    done_of_v04 = max(i for i, line in enumerate(whole) if b'"done"' in line)
    path.write_bytes(b"".join(whole[:done_of_v04]) + whole[done_of_v04][:20])
    toy.forget()
    run_part(workspace, LETTERS, 0, LetterOptions())
    assert sorted(LetterWorker.worked) == KEYS[4:]


def test_an_item_that_kills_the_process_every_time_becomes_a_failed_row(workspace):
    plan(workspace)
    job = PartJob(workspace, LETTERS, 0, LetterOptions())
    poison = next(item for item in job.items if item.key == "v02")
    for _ in range(MAX_CRASHES):
        job.journal.append({"event": "start", "items": [poison.content_key]})
    job.journal.close()
    marker = run_part(workspace, LETTERS, 0, LetterOptions()).marker
    row = all_rows(workspace, LETTERS)["v02"]
    assert (row.status, row.error, row.attempts) == ("failed", "WorkerDied", MAX_CRASHES)
    assert "v02" not in LetterWorker.worked
    assert marker.counts["ok"] == 9


def test_a_new_video_reworks_nothing_else_even_when_parts_double(workspace):
    plan(workspace, KEYS[:8], part_size=4)
    run_stage(workspace, LETTERS, LetterOptions())
    toy.forget()
    made = plan(workspace, KEYS[:9], part_size=4)
    assert made.n_parts == 4
    run_stage(workspace, LETTERS, LetterOptions())
    assert LetterWorker.worked == ["v08"]
    assert sorted(all_rows(workspace, LETTERS)) == KEYS[:9]


def test_a_child_killed_from_outside_costs_another_try_and_only_many_of_them_the_item(workspace):
    plan(workspace)
    LetterWorker.kills_left = {"v03": MAX_KILLS - 1, "v05": MAX_KILLS}
    summary = run_stage(workspace, LETTERS, LetterOptions())
    assert summary.counts["ok"] == 9
    rows = all_rows(workspace, LETTERS)
    assert (rows["v03"].status, rows["v05"].status, rows["v05"].error) == ("ok", "failed", "MediaError")
    assert (LetterWorker.worked.count("v03"), LetterWorker.worked.count("v05")) == (MAX_KILLS, MAX_KILLS)


def test_a_damaged_item_fails_alone_and_can_be_tried_again(workspace):
    plan(workspace)
    summary = run_stage(workspace, LETTERS, LetterOptions(bad=("v01",), short=("v07",)))
    assert summary.counts == {"items": 10, "reused": 0, "ok": 8, "filtered": 1, "failed": 1}
    assert summary.reasons == {"failed:MediaError": 1, "filtered:short": 1}
    assert retry_failed(workspace, LETTERS.name, LETTERS.row, error="Other") == 0
    assert retry_failed(workspace, LETTERS.name, LETTERS.row) == 1
    toy.forget()
    run_stage(workspace, LETTERS, LetterOptions(bad=("v01",), short=("v07",)))
    assert LetterWorker.worked == ["v01"]
    row = all_rows(workspace, LETTERS)["v01"]
    assert (row.attempts, row.message) == (2, "v01 is damaged")


def test_too_many_failures_fail_the_stage_but_keep_the_rows(workspace):
    plan(workspace)
    with pytest.raises(StoreError, match="3 of 10 items failed"):
        run_stage(workspace, LETTERS, LetterOptions(bad=("v01", "v02", "v03")))
    assert stage_status(workspace, LETTERS.name).counts["failed"] == 3


def test_a_missing_blob_is_found_and_only_its_item_redone(workspace):
    plan(workspace)
    run_stage(workspace, LETTERS, LetterOptions())
    blob = all_rows(workspace, LETTERS)["v04"].letter
    workspace.folder.remove(blob.path)
    problems = list(verify_stage(workspace, LETTERS.name, LETTERS.row, deep=False))
    assert [problem.path for problem in problems] == [blob.path]
    toy.forget()
    run_stage(workspace, LETTERS, LetterOptions())
    assert LetterWorker.worked == ["v04"]
    assert list(verify_stage(workspace, LETTERS.name, LETTERS.row, deep=True)) == []


def test_deep_verify_sees_a_flipped_byte_that_sizes_do_not_show(workspace):
    plan(workspace)
    run_stage(workspace, LETTERS, LetterOptions())
    blob = all_rows(workspace, LETTERS)["v04"].letter
    workspace.folder.write(blob.path, b"v04?")
    assert list(verify_stage(workspace, LETTERS.name, LETTERS.row, deep=False)) == []
    assert [p.path for p in verify_stage(workspace, LETTERS.name, LETTERS.row, deep=True)] == [blob.path]


def test_gc_deletes_what_no_head_points_to(workspace):
    plan(workspace)
    run_stage(workspace, LETTERS, LetterOptions(suffix="?"))
    run_stage(workspace, LETTERS, LetterOptions())
    stages = {"source": toy.SourceRow, LETTERS.name: LETTERS.row}
    would = collect_garbage(workspace, stages, dry_run=True, min_age_s=0)
    assert would.files == 12  # ten letters, one rows file, one marker
    assert collect_garbage(workspace, stages, dry_run=False, min_age_s=0) == would
    assert collect_garbage(workspace, stages, dry_run=True, min_age_s=0).files == 0
    toy.forget()
    run_stage(workspace, LETTERS, LetterOptions())
    assert LetterWorker.worked == []


def test_a_stage_without_its_upstream_names_the_command(workspace):
    plan(workspace)
    with pytest.raises(ConfigError, match="mvideo stage toy-letters"):
        run_part(workspace, DOUBLES, 0, DoubleOptions())


def test_parts_run_side_by_side_give_the_same_rows(workspace):
    plan(workspace, part_size=2)
    run_stage(workspace, LETTERS, LetterOptions(), RunOptions(jobs=3))
    run_stage(workspace, DOUBLES, DoubleOptions(), RunOptions(jobs=3))
    assert {key: row.text for key, row in all_rows(workspace, DOUBLES).items()} == {k: f"{k}!{k}!" for k in KEYS}


def test_a_part_has_one_owner(tmp_path):
    toy.forget()
    workspace = Workspace(str(tmp_path))
    plan(workspace)
    from mvideo_core.store.lock import part_lock

    key = PartJob(workspace, LETTERS, 0, LetterOptions()).key
    held = part_lock(workspace.folder, f"toy-letters-{key}", 1)
    with held, pytest.raises(StoreError, match=rf"process {os.getpid()} on \S+ works on this part \(waited 0 s\)"):
        run_part(workspace, LETTERS, 0, LetterOptions(), lock_wait_s=0.3)


def test_a_second_run_waits_for_the_first_and_takes_its_rows(tmp_path, caplog, monkeypatch):
    """The first owner is a process of its own; it is killed once the second says that it waits for it."""
    monkeypatch.setattr("mvideo_core.store.lock.FIRST_WORD_S", 0.2)
    toy.forget()
    workspace = Workspace(str(tmp_path))
    plan(workspace)
    key = PartJob(workspace, LETTERS, 0, LetterOptions()).key
    code = (
        "import sys, time; from mvideo_core.store.files import Folder; from mvideo_core.store.lock import part_lock\n"
        "with part_lock(Folder(sys.argv[1]), sys.argv[2]): print('held', flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), f"toy-letters-{key}"], stdout=subprocess.PIPE)
    assert owner.stdout.readline() == b"held\n"
    said, deadline = f"waiting for process {owner.pid} on ", time.monotonic() + 60

    def kill_the_owner():
        while said not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.02)
        owner.kill()

    threading.Thread(target=kill_the_owner, daemon=True).start()
    with caplog.at_level(logging.INFO):
        assert run_part(workspace, LETTERS, 0, LetterOptions()).marker.counts["ok"] == len(KEYS)
    assert owner.wait() == -signal.SIGKILL
    assert said in caplog.text


def test_planning_writes_a_file_for_each_bucket_in_use_and_no_other(tmp_path):
    buckets = [tmp_path / f"{index}.jsonl" for index in range(MAX_PARTS)]
    assert _spill(toy.sources("a", "b"), buckets) == 2
    assert {path for path in buckets if path.exists()} == {buckets[part_of(key, MAX_PARTS)] for key in "ab"}


def test_number_of_parts_is_a_power_of_two_and_bounded():
    assert [parts_for(n, 64) for n in (1, 64, 65, 129, 400_000)] == [1, 1, 2, 4, MAX_PARTS]
    assert {part_of(f"v{n}", 4) for n in range(100)} == {0, 1, 2, 3}
    assert all(part_of(f"v{n}", 8) % 4 == part_of(f"v{n}", 4) for n in range(100))


def test_an_unreadable_marker_counts_as_no_marker(tmp_path):
    toy.forget()
    workspace = Workspace(str(tmp_path))
    plan(workspace)
    marker = run_part(workspace, LETTERS, 0, LetterOptions()).marker
    (tmp_path / f"done/toy-letters/{marker.key}.json").write_text(json.dumps({"half": True}))
    toy.forget()
    run_part(workspace, LETTERS, 0, LetterOptions())
    assert sorted(LetterWorker.worked) == KEYS

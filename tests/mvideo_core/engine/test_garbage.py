"""What gc deletes and keeps, file by file: at rest, beside live processes, after a kill."""

import json

import pytest

from mvideo_core.base.errors import StoreError
from mvideo_core.base.locks import folder_in_use
from mvideo_core.curation.ingest.sources import SourceOptions
from mvideo_core.curation.pipeline import workspace_rows
from mvideo_core.curation.stages.publish import dataset_problems
from mvideo_core.curation.stages.publish_latents import current_latents, latents_problems
from mvideo_core.curation.stages.shard import shard_dataset
from mvideo_core.curation.stages.sources import plan_sources
from mvideo_core.engine import STAGES
from mvideo_core.engine.chain import stage_and_inputs
from mvideo_core.engine.garbage import Freed, collect_garbage
from mvideo_core.engine.plan import PlanOptions, make_plan
from mvideo_core.engine.run import run_stage
from mvideo_core.miniworld.world.make import make_world
from mvideo_core.pages.data_report.build import build_report, report_problems
from mvideo_core.pages.data_report.data import ReportOptions
from mvideo_core.shards.options import ShardOptions
from mvideo_core.store.lock import stages_unused
from mvideo_core.store.verify import verify_stage
from mvideo_core.store.workspace import Workspace
from mvideo_core.training.latents.cache import LatentDataset
from tests.mvideo_core.engine import toy
from tests.mvideo_core.engine.finished import finish
from tests.mvideo_core.engine.held import held
from tests.mvideo_core.engine.toy import DOUBLES, LETTERS, DoubleOptions, DoubleWorker, LetterOptions, LetterWorker
from tests.mvideo_core.training.latents.drawn import dataset

KEYS = [f"v{n:02d}" for n in range(6)]
TOYS = {"source": toy.SourceRow, LETTERS.name: LETTERS.row, DOUBLES.name: DOUBLES.row}
KEY = "0" * 32


@pytest.fixture
def workspace(tmp_path):
    toy.forget()
    return Workspace(str(tmp_path / "ws"))


def files(workspace: Workspace) -> set[str]:
    return {path for path in workspace.folder.walk("") if not path.startswith("locks/")}


def plan(workspace: Workspace, keys=KEYS, part_size=64) -> None:
    make_plan(workspace, toy.sources(*keys), PlanOptions(part_size=part_size))


def gc(workspace: Workspace, stages=TOYS, **how) -> Freed:
    return collect_garbage(workspace, stages, dry_run=False, **how)


def whole(workspace: Workspace, stages) -> bool:
    found = [problem for name, row in stages.items() for problem in verify_stage(workspace, name, row, deep=True)]
    return found + dataset_problems(workspace, deep=True) + report_problems(workspace) == []


GARBAGE = (
    f"rows/cut/{KEY}.parquet",
    f"done/cut/{KEY}.json",
    "blobs/cut/00/old-000000000000.mp4",
    "blobs/cut/00/new.mp4.1234abcd.part",
    f"journal/cut/{KEY}.jsonl",
    f"journal/cut/{KEY}.jsonl.bad",
    f"tmp/cut-{KEY}/half.mp4",
    "heads/cut/.part-00000.json.1234abcd.part",
    "heads/cut/part-00007.json",
    "datasets/0000000000000000/train/shard-train-000000.tar",
    "datasets/0000000000000000/dataset.json",
    "latents/0000000000000000/train/shard-train-000000.tar",
    "reports/0000000000000000/index.html",
)
"""One file of each kind that nothing reaches. A head of part 7 is beyond the plan, and its part is not there."""


def test_at_rest_exactly_what_nothing_reaches_goes(workspace, tmp_path):
    finish(workspace, tmp_path, {"a": 2})
    workspace.record_request("cut", "s")
    shard_dataset(workspace, ShardOptions(test_frac=0))
    build_report(workspace, ReportOptions(title="before"))
    old_report = set(workspace.folder.walk("reports"))
    build_report(workspace)
    for path in (name := "latents/1111111111111111") + "/latents.json", f"{name}/train/a.tar":
        workspace.folder.write(path, b"current")
    workspace.set_pointer("latents", name)
    for path in GARBAGE:
        workspace.folder.write(path, json.dumps({"key": KEY}).encode())
    before = files(workspace)
    stages = workspace_rows(workspace)

    would = collect_garbage(workspace, stages, dry_run=True)
    assert files(workspace) == before
    freed = gc(workspace, stages)
    assert before - files(workspace) == set(GARBAGE) | old_report
    assert freed == would
    assert (freed.files, freed.in_use, freed.unknown) == (len(GARBAGE) + len(old_report), (), ())
    kinds = {path.split("/")[0] for path in files(workspace)}
    assert kinds == {"workspace.json", "heads", "done", "rows", "blobs", "datasets", "latents", "reports"}
    assert whole(workspace, stages)
    assert workspace.folder.exists(workspace.pointer("report")["path"])
    assert gc(workspace, stages).files == 0


def test_folders_that_became_empty_go_too(workspace, tmp_path):
    plan(workspace)
    workspace.folder.write("datasets/old/train/a.tar", b"old")
    workspace.folder.write(f"tmp/{LETTERS.name}-{KEY}/in/a.txt", b"old")
    gc(workspace)
    assert workspace.folder.names("datasets") == workspace.folder.names("tmp") == []


def test_verify_misses_a_published_report_and_its_media(workspace, tmp_path):
    finish(workspace, tmp_path, {"a": 1})
    page = build_report(workspace).path
    assert report_problems(workspace) == []
    (media,) = (path for path in workspace.folder.walk("reports") if path.endswith(".mp4"))
    workspace.folder.remove(media)
    assert [problem.path for problem in report_problems(workspace)] == [media]
    workspace.folder.remove(page)
    assert [problem.path for problem in report_problems(workspace)] == [page]


def test_stages_that_this_version_does_not_know_are_left_alone(workspace):
    plan(workspace)
    run_stage(workspace, LETTERS, LetterOptions())
    before = files(workspace)
    freed = gc(workspace, {"source": toy.SourceRow})
    assert (freed.files, freed.unknown) == (0, (LETTERS.name,))
    assert files(workspace) == before


def test_a_journal_of_other_options_goes_and_the_current_one_stays(workspace):
    plan(workspace)
    for suffix in ("?", "!"):
        LetterWorker.die_at = "v03"
        with pytest.raises(KeyboardInterrupt):
            run_stage(workspace, LETTERS, LetterOptions(suffix=suffix))
    before = files(workspace)
    gc(workspace)
    gone = before - files(workspace)
    assert sorted(path.split("/")[0] for path in gone) == ["blobs", "blobs", "blobs", "journal"]
    toy.forget()
    run_stage(workspace, LETTERS, LetterOptions(suffix="!"))
    assert LetterWorker.worked == KEYS[3:]


def test_rows_that_a_growing_plan_takes_over_stay_until_all_parts_are_there(workspace):
    plan(workspace, part_size=6)
    run_stage(workspace, LETTERS, LetterOptions())
    plan(workspace, part_size=3)
    run_stage(workspace, LETTERS, LetterOptions(), parts=[0])
    gc(workspace)
    toy.forget()
    run_stage(workspace, LETTERS, LetterOptions())
    assert LetterWorker.worked == []
    assert gc(workspace).files == 2  # rows and marker of the one large part


def test_heads_beyond_a_shrunken_plan_stay_until_its_parts_are_there(workspace):
    plan(workspace, part_size=3)
    run_stage(workspace, LETTERS, LetterOptions())
    plan(workspace, part_size=6)
    gc(workspace)
    toy.forget()
    run_stage(workspace, LETTERS, LetterOptions())
    assert LetterWorker.worked == []
    gc(workspace)
    assert workspace.head_indices(LETTERS.name) == [0]
    plan(workspace, part_size=3)
    assert whole(workspace, TOYS)


def test_beside_a_live_stage_its_fresh_files_and_those_it_reads_stay(workspace, tmp_path):
    plan(workspace)
    run_stage(workspace, LETTERS, LetterOptions())
    with held(workspace, DOUBLES.name, tmp_path / "doubles"):
        run_stage(workspace, LETTERS, LetterOptions(suffix="?"))  # what the child reads is not current any more
        before = files(workspace)
        freed = gc(workspace)
        assert files(workspace) == before
        assert freed.in_use == (DOUBLES.name, LETTERS.name)
    assert gc(workspace).files == 6 + 2  # the old letters, their rows and marker


def test_a_part_killed_beside_gc_goes_on_behind_what_its_journal_holds(workspace, tmp_path):
    plan(workspace)
    with held(workspace, LETTERS.name, tmp_path / "letters") as child:
        assert gc(workspace).in_use == ("source", LETTERS.name)
        child.kill()
        child.wait()
    LetterWorker.die_at = "v03"
    with pytest.raises(KeyboardInterrupt):
        run_stage(workspace, LETTERS, LetterOptions())
    before = files(workspace)
    freed = gc(workspace)
    assert (freed.in_use, files(workspace)) == ((), before)
    toy.forget()
    run_stage(workspace, LETTERS, LetterOptions())
    assert LetterWorker.worked == KEYS[3:]


def test_work_waits_for_a_gc_that_deletes_files_of_its_stage(workspace, tmp_path):
    plan(workspace)
    with stages_unused(workspace.folder, [LETTERS.name]) as busy:
        assert busy == []
        child = held(workspace, LETTERS.name, tmp_path / "letters", wait_s=2.0)
        with pytest.raises(AssertionError, match="did not appear"):
            child.__enter__()
    run_stage(workspace, LETTERS, LetterOptions())


def test_a_clip_that_is_gone_stops_its_reader_and_is_no_failed_item(workspace):
    plan(workspace)
    run_stage(workspace, LETTERS, LetterOptions())
    letter = next(row.letter for row in workspace.current_rows(LETTERS.name, LETTERS.row) if row.key == "v04")
    workspace.folder.remove(letter.path)
    with pytest.raises(StoreError, match=rf"{letter.path}: missing.*run stage {LETTERS.name} again"):
        run_stage(workspace, DOUBLES, DoubleOptions())
    run_stage(workspace, LETTERS, LetterOptions())
    toy.forget()
    assert run_stage(workspace, DOUBLES, DoubleOptions()).counts["ok"] == 6
    assert DoubleWorker.worked == KEYS[3:]  # the batch of three with v04; the one before is in the journal


def test_object_stores_keep_young_files():
    workspace = Workspace("memory://gc-young")
    plan(workspace)
    workspace.folder.write("reports/old/index.html", b"old")
    freed = gc(workspace)
    assert (freed.files, freed.young) == (0, 1)
    assert gc(workspace, min_age_s=0).files == 1
    assert files(workspace).isdisjoint({"reports/old/index.html"})


@pytest.mark.slow
def test_beside_every_stage_of_the_pipeline_nothing_it_needs_goes(workspace, tmp_path):
    make_world(tmp_path / "videos", 1, n_shots=2)
    plan_sources(workspace, SourceOptions(folder=str(tmp_path / "videos")))
    for name in ("ingest", "cut", "detect", "segment", "caption", "shard", "report"):
        with held(workspace, name, tmp_path / name, **({"test_frac": 0} if name == "shard" else {})):
            before = files(workspace)
            freed = gc(workspace, workspace_rows(workspace))
            assert files(workspace) == before, name
            assert set(freed.in_use) >= stage_and_inputs(name) & {*workspace_rows(workspace), "report"}, name
        assert whole(workspace, workspace_rows(workspace)), name
        if name != "report":
            assert "ok" in {row.status for row in workspace.current_rows(name, STAGES.get(name).row)}, name
        assert gc(workspace, workspace_rows(workspace)).files == 0


@pytest.mark.slow
def test_beside_encode_and_a_training_nothing_they_read_goes(workspace, tmp_path):
    dataset(workspace, tmp_path, {"a": 17, "b": 25})
    options = {"base": {"weights": "random:tiny-sincos", "dtype": "fp32"}, "batch_size": 2}
    with held(workspace, "encode", tmp_path / "encode", **options):
        before = files(workspace)
        assert set(gc(workspace, workspace_rows(workspace)).in_use) == {"encode", "shard"}
        assert files(workspace) == before
    first = workspace.pointer("latents")["path"]
    with held(workspace, "encode", tmp_path / "again", **options, max_windows=1):
        pass
    with folder_in_use(workspace.folder.at(first)):
        assert gc(workspace, workspace_rows(workspace)).in_use == (first,)
        assert LatentDataset(workspace.folder.at(first)).find_damage() == []
    gc(workspace, workspace_rows(workspace))
    assert workspace.folder.names("latents") == [workspace.pointer("latents")["path"].split("/")[1]]
    assert LatentDataset(current_latents(workspace)).find_damage() == []
    assert latents_problems(workspace, deep=True) == []
    (tar,) = (path for path in workspace.folder.walk("latents") if path.endswith(".tar"))
    workspace.folder.remove(tar)
    assert [problem.path for problem in latents_problems(workspace, deep=False)] == [tar]

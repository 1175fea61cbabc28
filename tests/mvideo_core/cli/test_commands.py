import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mvideo_core.base.errors import ConfigError
from mvideo_core.cli import main, pipeline
from mvideo_core.media.encode import write_mp4
from mvideo_core.store.lock import stages_in_use
from mvideo_core.store.workspace import Workspace
from tests.mvideo_core.engine.finished import finish


@pytest.fixture(scope="module")
def run():
    return lambda *words: CliRunner().invoke(main.app, [str(word) for word in words])


@pytest.fixture
def videos(tmp_path):
    import numpy as np

    folder = tmp_path / "videos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    still = rng.integers(0, 255, (48, 64, 3), np.uint8)
    write_mp4((np.roll(still, n, axis=1) for n in range(88)), folder / "a.mp4", fps=8)
    (folder / "b.mp4").write_bytes(b"not a video")
    return folder


def test_stages_one_by_one_and_their_status(run, tmp_path, videos):
    ws = tmp_path / "ws"
    assert "2 sources in 1 parts" in run("plan", "-w", ws, "--folder", videos).output
    done = run("stage", "ingest", "-w", ws, "-s", "run.max_failed_frac=0.5")
    assert done.output.startswith("ingest   1 ok, 0 filtered, 1 failed")
    done = run("stage", "cut", "-w", ws, "-s", "cut.width=64", "-s", "cut.height=48")
    assert done.output.startswith("cut      1 ok")
    states = {state["stage"]: state for state in json.loads(run("status", "-w", ws, "--json").output)}
    assert states["ingest"]["reasons"] == {"failed:MediaError": 1}
    assert states["cut"]["counts"]["ok"] == 1
    assert "ingest b (MediaError, 1 attempts)" in run("status", "-w", ws, "--failed").output
    assert run("retry-failed", "-w", ws).output == "1 items will be retried by the next run\n"
    assert "0 problems" in run("verify", "-w", ws).output


def test_verify_finds_a_missing_clip_and_says_so_with_its_exit_code(run, tmp_path):
    workspace = Workspace(str(tmp_path / "ws"))
    finish(workspace, tmp_path, {"a": 1})
    assert run("stage", "shard", "-w", tmp_path / "ws", "-s", "shard.test_frac=0").exit_code == 0
    workspace.folder.remove("blobs/cut/a_000000000.mp4")
    found = run("verify", "-w", tmp_path / "ws")
    assert found.exit_code == 1
    assert "blobs/cut/a_000000000.mp4: missing" in found.output


def test_a_dataset_can_be_looked_into(run, tmp_path):
    workspace = Workspace(str(tmp_path / "ws"))
    finish(workspace, tmp_path, {"a": 2})
    run("stage", "shard", "-w", tmp_path / "ws", "-s", "shard.test_frac=0")
    root = workspace.folder.at(workspace.pointer("dataset")["path"])
    assert run("dataset", "info", root).output.startswith("train  2 samples of 1 videos")
    assert run("dataset", "verify", root, "--deep").output.endswith("0 problems\n")
    done = run("dataset", "extract", root, "a_000000001", "--out", tmp_path / "one")
    assert done.output.startswith("A dog, take 1.")
    assert {path.suffix for path in (tmp_path / "one").iterdir()} == {".json", ".masks", ".mp4", ".txt", ".png"}


def test_a_report_of_unfinished_work_adds_up(run, tmp_path, videos):
    ws = tmp_path / "ws"
    run("plan", "-w", ws, "--folder", videos)
    run("stage", "ingest", "-w", ws, "-s", "run.max_failed_frac=1")
    done = run("stage", "report", "-w", ws)
    page = done.output.strip().removeprefix("report: ")
    assert "MediaError 1" in Path(page).read_text(encoding="utf-8")


def test_parts_are_numbers_and_ranges():
    assert pipeline.part_list("0,3-5") == [0, 3, 4, 5]
    assert pipeline.part_list("") is None
    with pytest.raises(ConfigError, match="numbers and ranges"):
        pipeline.part_list("a-b")
    with pytest.raises(ConfigError, match="got '7-3'"):
        pipeline.part_list("1,7-3")
    assert pipeline.part_list("3,1-3") == [1, 2, 3]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("stage", "cut", "--parts", "99"), "stage cut: no part 99; this workspace has part 0 only"),
        (("stage", "shard", "--parts", "99"), "--parts 99: stage shard handles all parts together"),
        (("stage", "report", "--parts", "0"), "--parts 0: stage report handles all parts together"),
    ],
)
def test_parts_that_are_not_there_are_refused(run, tmp_path, words, said):
    finish(Workspace(str(tmp_path / "ws")), tmp_path, {"a": 1})
    result = run(*words, "-w", tmp_path / "ws")
    assert isinstance(result.exception, ConfigError)
    assert said in str(result.exception)


def test_gc_says_what_it_left_alone_and_keeps_the_report(run, tmp_path):
    workspace = Workspace(str(tmp_path / "ws"))
    finish(workspace, tmp_path, {"a": 1})
    run("stage", "shard", "-w", tmp_path / "ws", "-s", "shard.test_frac=0")
    run("stage", "report", "-w", tmp_path / "ws")
    workspace.folder.write("blobs/cut/00/old.mp4", b"old")
    workspace.folder.write("blobs/shelf/00/a.bin", b"of another version")
    with stages_in_use(workspace.folder, ["cut"]):
        assert run("gc", "-w", tmp_path / "ws", "--delete").output.splitlines() == [
            "deleted: 0 files, 0.0 MB",
            "left alone, a live process works there: cut",
            "left alone, not a stage of this version: shelf",
        ]
    assert run("gc", "-w", tmp_path / "ws", "--delete").output.startswith("deleted: 1 files, 0.0 MB\n")
    assert workspace.folder.exists(workspace.pointer("report")["path"])
    assert run("verify", "-w", tmp_path / "ws").exit_code == 0
    workspace.folder.remove(workspace.pointer("report")["path"])
    found = run("verify", "-w", tmp_path / "ws")
    assert found.exit_code == 1
    assert "index.html: missing; run `mvideo stage report" in found.output


def test_a_plan_of_nothing_leaves_nothing(run, tmp_path):
    (tmp_path / "videos").mkdir()
    assert isinstance(run("plan", "-w", tmp_path / "ws", "--folder", tmp_path / "videos").exception, ConfigError)
    assert not (tmp_path / "ws").exists()


def test_settings_are_typed_and_wrong_ones_refused(run, tmp_path, videos):
    done = run("plan", "-w", tmp_path, "--folder", videos, "-s", "plan.part_size=0")
    assert isinstance(done.exception, ConfigError)
    assert "plan.part_size" in str(done.exception)
    done = run("plan", "-w", tmp_path, "--folder", videos, "-s", "nonsense")
    assert "expected name=value" in str(done.exception)
    done = run("plan", "-w", tmp_path)
    assert "exactly one of folder, hdvila, manifest" in str(done.exception)


def test_test_sets_are_built_from_a_finished_workspace(run, tmp_path):
    workspace = Workspace(str(tmp_path / "ws"))
    finish(workspace, tmp_path, {"a": 2, "b": 1})
    done = run("testset", "mask-to-video", "-w", tmp_path / "ws", "--out", tmp_path / "out")
    assert "0 of 500 samples" in done.output  # dogs are no unseen class
    assert json.loads((tmp_path / "out" / "testset.json").read_text())["left_out"] == {"too_short": 3}
    (tmp_path / "a.mp4").write_bytes(b"")
    listed = run("testset", "complexmotion-list", "--folder", tmp_path, "--out", tmp_path / "out")
    assert 'detect.classes=["person"]' in listed.output
    manifest = tmp_path / "out" / "manifest.jsonl"
    done = run("testset", "complexmotion", "-w", tmp_path / "ws", "--manifest", manifest, "--out", tmp_path / "out")
    assert "complexmotion: 0 of 200" in done.output


def test_vbench_prompts_need_the_suites_file_and_keep_its_order(run, tmp_path):
    listed = [{"prompt_en": f"prompt {n}", "dimension": ["overall_consistency"]} for n in range(3)]
    (tmp_path / "info.json").write_text(json.dumps(listed))
    done = run("testset", "vbench", "--full-info", tmp_path / "info.json", "--out", tmp_path)
    assert done.output.startswith("3 prompts")
    found = json.loads((tmp_path / "prompts.json").read_text())
    assert [one["prompt"] for one in found["prompts"]] == ["prompt 0", "prompt 1", "prompt 2"]
    missing = run("testset", "vbench", "--full-info", tmp_path / "no.json", "--out", tmp_path)
    assert "no such file; get it from" in str(missing.exception)


def test_weights_list_tells_sizes_and_what_is_missing(run, tmp_path, monkeypatch):
    monkeypatch.setenv("MVIDEO_WEIGHTS", str(tmp_path))
    lines = {line.split()[1]: line for line in run("weights", "list").output.splitlines()}
    assert " 694.2 MB  not here  Apache-2.0" in lines["groundingdino-swint-ogc"]
    assert " 156.0 MB  not here " in lines["sam2.1-hiera-tiny"]
    assert " ~13.8 GB  not here " in lines["cogvideox-2b"]
    assert " known at fetch  not here " in lines["qwen3-vl-4b"]
    assert "?" not in "".join(lines.values())
    assert float(lines["groundingdino-mini"].split()[3]) < 25  # as on disk
    assert " MB  here " in lines["groundingdino-mini"]


def test_options_weights_and_keys_are_checked_once_before_a_run(run, tmp_path, videos, monkeypatch):
    """Each stage's check and digests of its weights; the plan comes after, and asks servers alone again."""
    from mvideo_core.engine import STAGES

    seen, planned = [], []
    for name in pipeline.PART_STAGES:
        stage = STAGES.get(name)
        looked = lambda options, name=name, check=stage.check: (seen.append(name), check(options))  # noqa: E731
        monkeypatch.setitem(stage.__dict__, "check", looked)

    def stop(*_args):
        planned.extend(seen)
        raise ConfigError("planned")

    monkeypatch.setattr("mvideo_core.curation.stages.sources.plan_sources", stop)
    done = run("run", "-w", tmp_path / "ws", "--folder", videos)
    assert "planned" in str(done.exception)
    assert planned == list(pipeline.PART_STAGES)

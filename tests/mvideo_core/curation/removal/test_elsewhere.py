"""Trainings, generated videos and exports of forgotten sources, found and removed; the training continued without."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mvideo_core.base.errors import ConfigError, StoreError
from mvideo_core.base.options import merge
from mvideo_core.cogvideox.base import BaseOptions
from mvideo_core.curation.removal.elsewhere import look_elsewhere
from mvideo_core.curation.removal.forget import Removal
from mvideo_core.curation.removal.mentions import ContentIds
from mvideo_core.curation.stages.publish import dataset_root
from mvideo_core.curation.stages.publish_latents import current_latents
from mvideo_core.generation.options import GenerateOptions
from mvideo_core.generation.request import GenerateRequest, generate
from mvideo_core.shards.export import export_dataset
from mvideo_core.store.workspace import Workspace
from mvideo_core.training import main
from mvideo_core.training.checkpoint import ADAPTER, list_complete, weights_of
from mvideo_core.training.ledger import open_course
from mvideo_core.training.options import TrainOptions
from tests.mvideo_core.curation.removal.material import Material
from tests.mvideo_core.training.conftest import TINY

RUN: dict[str, Any] = {
    "steps": 3, "global_batch": 1, "micro_batch": 1, "data": {"order": "hashed", "holdout": 0},
    "checkpoints": {"every": 1},
}  # fmt: skip
BASE = BaseOptions(weights="random:tiny-sincos", dtype="fp32")


def options(workspace: Workspace, out: Path, **values: Any) -> TrainOptions:
    places = {"out": str(out), "data": {"latents": current_latents(workspace)}}
    return TrainOptions.parse(merge(merge(merge(TINY, RUN), places), values))


def video_with(adapter: Path | None, out: Path) -> None:
    request = GenerateRequest(
        prompt="a dog",
        base=BASE,
        adapter=str(adapter) if adapter else "none",
        options=GenerateOptions(steps=1, seconds=1.0),
    )
    generate(request, str(out))


@pytest.mark.slow
def test_what_was_made_elsewhere_goes_and_the_training_continues_as_if_it_had_never_been_there(tmp_path: Path) -> None:
    material = Material(tmp_path / "material", 3, shots=1)
    workspace, work = material.build("all"), tmp_path / "work"
    first = options(workspace, work / "run")
    course = open_course(first)
    videos = [course.dataset.videos[course.order.step(step)[0]] for step in range(3)]
    assert videos[0] != videos[1], "the order of an epoch"
    main.train(first)
    checkpoints = list_complete(work / "run" / "checkpoints")
    video_with(checkpoints[0] / ADAPTER, work / "videos" / "before")
    video_with(checkpoints[2] / ADAPTER, work / "videos" / "after")
    video_with(None, work / "videos" / "base")
    for kind in ("davis", "sa-v"):
        export_dataset(dataset_root(workspace), work / "exports" / kind, kind, "all")
    shutil.copytree(work / "exports" / "davis", tmp_path / "not searched")
    gone, certificate = videos[1], tmp_path / "certificate.json"
    seen = [step for step, video in enumerate(videos, 1) if video == gone]
    removal = Removal(workspace, [gone], str(certificate), [work])
    (use,) = removal.elsewhere.trainings
    assert [(one.key.startswith(gone), one.steps) for one in use.samples] == [(True, seen)]
    assert (use.clean, use.saw) == ("step-00000001", ["step-00000002", "step-00000003"])
    assert removal.elsewhere.videos == [str(work / "videos" / "after")]
    assert removal.elsewhere.exports == [str(work / "exports" / "davis"), str(work / "exports" / "sa-v")]
    assert all(path.is_dir() for path in checkpoints), "so far only a look"

    done = removal.apply(lambda _step: None)
    assert [path.name for path in list_complete(work / "run" / "checkpoints")] == ["step-00000001"]
    assert sorted(path.name for path in (work / "videos").iterdir()) == ["base", "before"]
    for kind in ("davis", "sa-v"):
        folder = work / "exports" / kind
        assert not [path for path in folder.rglob("*") if gone in path.name]
        export_dataset(dataset_root(workspace), tmp_path / "fresh" / kind, kind, "all")
        assert tree(folder) == tree(tmp_path / "fresh" / kind)
    (plan,) = done.retraining
    assert (plan.resumes_from, plan.differs_from, plan.exact) == ("step-00000001", 2, True)
    written = json.loads(certificate.read_text())
    assert written["elsewhere"]["trainings"][0]["samples"][0]["steps"] == seen
    assert written["retraining"][0]["command"].endswith("--allow data.latents")

    never = material.build("without", without=(int(gone.removeprefix("video")),))
    main.train(options(workspace, work / "run", allow=["data.latents"]))
    main.train(options(never, tmp_path / "never"))
    ends = [list_complete(run / "checkpoints")[-1] for run in (work / "run", tmp_path / "never")]
    one, other = (weights_of(path, ADAPTER) for path in ends)
    assert one.keys() == other.keys()
    assert all(one[name].equal(other[name]) for name in one)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--search .*/runs: no such folder"):
        look_elsewhere([tmp_path / "runs"], ContentIds({"video1"}))


def test_an_unfinished_export_is_found_and_a_damaged_note_is_refused(tmp_path: Path) -> None:
    ids = ContentIds({"video1"})
    request = json.dumps({"format": "npz", "split": "train", "dataset": "d"})
    for name, note in (("killed", ".export.jsonl"), ("whole", "export.json"), ("others", "export.json")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / note).write_text(request + ("\n{torn" if name == "killed" else ""))
        (folder / f"{'video2' if name == 'others' else 'video1'}_000000000.mp4").write_bytes(b"")
    assert look_elsewhere([tmp_path], ids).exports == [str(tmp_path / "killed"), str(tmp_path / "whole")]
    (tmp_path / "others" / "export.json").write_text("{torn")
    assert len(look_elsewhere([tmp_path], ids).exports) == 2
    (tmp_path / "whole" / "export.json").write_text("{torn")
    with pytest.raises(StoreError, match=r"whole/export\.json: damaged .*; delete its folder and export again"):
        look_elsewhere([tmp_path], ids)

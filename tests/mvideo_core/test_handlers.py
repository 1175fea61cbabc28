"""What an `except` does with an error that it was not written for: the error is told, with its own reason."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mvideo_core.base.errors import ConfigError, MediaError, ModelError, StoreError
from mvideo_core.base.options import problems_of
from mvideo_core.base.records import ClipRow
from mvideo_core.cogvideox.base import BaseOptions
from mvideo_core.curation.ingest.hdvila import parse_line
from mvideo_core.curation.removal.copies import look_of, timeline_of
from mvideo_core.curation.removal.elsewhere import _adapters
from mvideo_core.curation.scenes.clip_writer import ClipWriter, Encoding
from mvideo_core.curation.scenes.transnetv2 import _session
from mvideo_core.doctor.base import CheckContext
from mvideo_core.doctor.checks.disk import checkpoints, latents
from mvideo_core.editing.suggest import _shapes
from mvideo_core.evaluation.failed_videos import absence_of, note_failure
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.overwrite_check import check_replaces_nothing
from mvideo_core.evaluation.plan import plan_of
from mvideo_core.evaluation.suite import SuiteOptions
from mvideo_core.media.encode import write_mp4
from mvideo_core.miniworld.training.checkpoint import state_errors
from mvideo_core.perception.captioning.chat_client import due_status, is_paid_out
from mvideo_core.perception.captioning.clean import clean_answer
from mvideo_core.processes.sandbox import Limits
from mvideo_core.shards.dataset import read_info
from mvideo_core.shards.exports.lance import _import_lance
from mvideo_core.shards.files import DatasetFiles
from mvideo_core.store.decisions import DecisionFile
from mvideo_core.store.workspace import Workspace
from mvideo_core.training.distributed import RankLost, _peer_errors
from mvideo_core.training.ledger import TrainingUse
from mvideo_core.training.options import TrainOptions
from mvideo_core.weights.reading import explain_failures
from tests.mvideo_core.engine.finished import keep

DEEP = "[" * 5000 + "]" * 5000
"""JSON that Python's reader gives up on with a RecursionError."""
HUGE = "1" * 5000
"""A number that it refuses with a ValueError that is no JSONDecodeError."""


def test_a_damaged_note_of_a_failure_does_not_make_an_old_video_the_right_one(tmp_path: Path) -> None:
    video = tmp_path / "video.mp4"
    video.write_bytes(b"from an earlier request")
    note_failure(tmp_path, "a", MediaError("no masks"))
    (note := tmp_path / "failed.json").write_bytes(note.read_bytes()[:20])
    found = absence_of(str(video))
    assert found is not None
    assert found.status == "failed"
    assert f"{note}: damaged" in found.why
    assert "generate the video again" in found.why
    note.unlink()
    assert absence_of(str(video)) is None


def test_the_search_for_copies_names_the_clips_that_it_cannot_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    workspace = Workspace(str(tmp_path / "ws"))
    write_mp4([np.full((64, 96, 3), value, np.uint8) for value in range(40, 120)], tmp_path / "a.mp4", 8, crf=26)
    whole = (tmp_path / "a.mp4").read_bytes()
    clip = keep(workspace, whole[: len(whole) // 2], "blobs/cut/new/a.mp4")
    row = ClipRow(
        key="a_000000000", parent="a", clip=clip, fps=8.0, n_frames=80, width=96, height=64, start_s=0, end_s=10
    )
    assert look_of(workspace, row) is None
    timeline_of(workspace, [row])
    assert len(caplog.messages) == 2
    assert all("clip a_000000000 cannot be read" in one and "`mvideo verify`" in one for one in caplog.messages)


def test_an_adapter_whose_videos_cannot_be_found_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "checkpoints" / "step-00000002" / "adapter"
    folder.mkdir(parents=True)
    (folder / "mvideo_config.json").write_text("{")
    use = TrainingUse(run=str(tmp_path), steps=2, latents="", data="", saw=["step-00000002"])
    assert list(_adapters([use])) == []
    assert f"{folder}: videos made with this adapter are not found: " in caplog.text


def test_a_bug_in_a_thread_that_writes_clips_ends_the_work(tmp_path: Path) -> None:
    encoding = Encoding(width=32, height=16, fps=8, crf=30, preset="ultrafast", threads=1)
    frames = [memoryview(bytes(32 * 16 * 3 // 2))] * 4
    part: Any = (slice(None),) * 9  # more axes than a frame has
    with ClipWriter(encoding, Limits(wall_s=30), 1, part) as writer:
        writer.write(frames, tmp_path / "a.mp4")
        with pytest.raises(IndexError, match="too many indices"):
            writer.wait()


@pytest.mark.parametrize(
    ("load", "name", "words"),
    [
        (lambda: _session(__file__), "onnxruntime", r"transnetv2: onnxruntime cannot be imported \(libx"),
        (_import_lance, "lance", r"export to lance: libx\.so is missing; install it with: pip install"),
    ],
)
def test_a_package_that_is_there_and_broken_is_not_called_missing(
    load: Any, name: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{name}.py").write_text("raise ImportError('libx.so is missing')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(ModelError, match=words):
        load()


@pytest.mark.parametrize("text", [DEEP, HUGE], ids=["deep", "huge"])
def test_json_that_python_gives_up_on_is_an_answer_or_a_line_of_another_form(text: str) -> None:
    line = f'{{"video_id": {text}}}'
    with pytest.raises(ConfigError, match="list line 3: not JSON: "):
        parse_line(line, "list line 3")
    with pytest.raises(ConfigError, match="not JSON"):
        _shapes(text)
    assert due_status(line.encode()) == 500
    assert not is_paid_out(line.encode())
    assert "\n" not in str(clean_answer(text))


def test_a_lack_of_memory_is_not_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    for guard in (lambda: state_errors(path), lambda: explain_failures(path)):
        with pytest.raises(ModelError, match=r"state\.pt: not enough memory to load it"), guard():
            torch.empty(1 << 60, dtype=torch.uint8)
    with pytest.raises(ConfigError, match="of another size or training"), state_errors(path):
        torch.nn.Linear(2, 2).load_state_dict({})
    with pytest.raises(torch.OutOfMemoryError), _peer_errors():
        raise torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(RankLost, match="another process stopped responding"), _peer_errors():
        raise RuntimeError("Connection closed by peer")


def test_decisions_that_are_gone_are_refused(tmp_path: Path) -> None:
    workspace = Workspace(str(tmp_path / "ws"))
    workspace.ensure()
    place = tmp_path / "mine.jsonl"
    DecisionFile(workspace).choose(place)
    assert DecisionFile(workspace).read() == ()
    place.unlink()
    with pytest.raises(ConfigError, match=r"mine\.jsonl: the file of the review's decisions is missing; restore it"):
        DecisionFile(workspace).read()
    workspace.folder.write("heads/review.json", b"[]")
    with pytest.raises(StoreError, match=r"heads/review\.json is damaged; delete it, then name the file of the decis"):
        DecisionFile(workspace)


def test_doctor_tells_what_no_other_check_tells(tmp_path: Path) -> None:
    training = TrainOptions.parse(
        {"base": {"weights": "random:tiny-sincos", "dtype": "fp32"}, "lora": {"target_modules": ["nowhere"]}}, "test"
    )
    (found,) = checkpoints(CheckContext(training=training))
    assert found.status == "problem"
    assert "nowhere" in found.what
    workspace = Workspace(str(tmp_path))
    workspace.ensure()
    context = CheckContext(
        workspace=str(tmp_path), training=TrainOptions(base=BaseOptions(weights="random:tiny-sincos"))
    )
    assert list(latents(context)) == []
    workspace.set_pointer("dataset", "shards/a")
    workspace.folder.write("shards/a/dataset.json", b"{")
    (found,) = latents(context)
    assert found.status == "problem"
    assert "shards/a/dataset.json: not a description of a dataset" in found.what


def test_a_damaged_result_is_not_replaced_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    suite = SuiteOptions.parse({"metrics": [{"metric": "temporal_flickering"}]})
    plan = plan_of(suite, [EvalItem(id="a", video=str(tmp_path / "a.mp4"))])
    check_replaces_nothing(plan, tmp_path / "out")
    assert not caplog.messages
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "result.json").write_text("{}")
    check_replaces_nothing(plan, tmp_path / "out")
    (line,) = caplog.messages
    assert line.endswith("this run replaces it")
    assert "\n" not in line
    assert f"{tmp_path / 'out'}: not a result" in line


def test_a_description_of_another_form_is_one_line_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"name": 3}))
    with pytest.raises(StoreError) as caught:
        read_info(DatasetFiles(str(tmp_path)))
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("run stage shard again, or copy the dataset again")
    assert problems_of(ValueError("a\n b")) == "a b"

"""Phrases per object from masks and frames to the shards and the report, read by tarfile and json alone."""

import base64
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mvideo_core.base.records import CaptionRow
from mvideo_core.curation.stages.shard import shard_dataset
from mvideo_core.engine import STAGES
from mvideo_core.engine.loaded_models import _load
from mvideo_core.engine.run import RunOptions, run_stage
from mvideo_core.pages.data_report.build import build_report
from mvideo_core.pages.data_report.data import ReportOptions
from mvideo_core.perception.captioning import CaptionOptions
from mvideo_core.shards.dataset import MaskVideoDataset
from mvideo_core.shards.options import ShardOptions
from mvideo_core.store.workspace import Workspace
from tests.fixtures.chat_server import FAULTS, ChatServer, completion, question_of
from tests.mvideo_core.engine.finished import FRAMES, finish

CAPTION = STAGES.get("caption")
ASKED = "a red dog that jumps"


@pytest.fixture
def workspace(tmp_path):
    _load.cache_clear()
    made = Workspace(str(tmp_path / "ws"))
    finish(made, tmp_path, {"a": 3})
    return made


@pytest.fixture
def server():
    """Captions differ from clip to clip; `lines` answers questions about objects."""
    with ChatServer() as made:
        made.lines = lambda _body: json.dumps({"number": 1, "class": "dog", "color": "red", "phrase": ASKED})

        def answer(body):
            if "one line of JSON" not in question_of(body):
                return completion(f"Dog {len(made.requests)} runs.")
            reply = made.lines(body)
            return completion(reply) if isinstance(reply, str) else reply

        made.answer = answer
        yield made


def options(server, **changes):
    inner = {"base_url": server.url, "n_frames": 1, "max_retries": 0, "load_timeout_s": 2.0, "prompt": "Describe."}
    return CaptionOptions(captioner="openai_compatible", captioner_options=inner | changes, phrases=True)


def rows(workspace):
    return {row.key: row for row in workspace.current_rows("caption", CaptionRow)}


def json_of_shards(workspace):
    """The .json of every sample by key, and the .txt beside it."""
    root = Path(workspace.folder.at(workspace.pointer("dataset")["path"]))
    found = {}
    for path in sorted(root.rglob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar.getmembers():
                key, extension = member.name.split(".", 1)
                if extension in ("json", "txt"):
                    found.setdefault(key, {})[extension] = tar.extractfile(member).read().decode()
    return {key: json.loads(one["json"]) | {"txt": one["txt"]} for key, one in found.items()}


def test_measured_phrases_are_in_rows_tars_reader_and_report(workspace):
    run_stage(workspace, CAPTION, CaptionOptions(phrases=True))
    # 16 x 12 px of (200, 0, 30), whose center moves from 12 to 20 px of 48: by 8 px of a diagonal of 57.7
    expected = {"object_id": 0, "label": "dog", "color": "red", "action": "moves to the right", "place": "center",
                "phrase": "a red dog in the center that moves to the right", "reason": ""}  # fmt: skip
    assert [one.model_dump() for one in rows(workspace)["a_000000000"].phrases] == [expected]
    shard_dataset(workspace, ShardOptions(test_frac=0))
    samples = json_of_shards(workspace)
    assert samples["a_000000000"]["phrases"] == [expected]
    dataset = MaskVideoDataset(workspace.folder.at(workspace.pointer("dataset")["path"]))
    assert {key: dataset.sample(n).phrases()[0].color for n, key in enumerate(dataset.keys)} == {
        "a_000000000": "red", "a_000000001": "red", "a_000000002": "orange",
    }  # fmt: skip
    page = workspace.folder.read(build_report(workspace, ReportOptions()).path).decode()
    assert '<li><i style="background:#e69f00"></i>a red dog in the center that moves to the right</li>' in page


def test_without_the_option_nothing_changes(workspace):
    run_stage(workspace, CAPTION, CaptionOptions())
    assert all(row.phrases == [] for row in rows(workspace).values())
    shard_dataset(workspace, ShardOptions(test_frac=0))
    assert not any("phrases" in one for one in json_of_shards(workspace).values())
    dataset = MaskVideoDataset(workspace.folder.at(workspace.pointer("dataset")["path"]))
    assert dataset.sample(0).phrases() == {}
    page = workspace.folder.read(build_report(workspace, ReportOptions()).path).decode()
    assert 'class="phrases"' not in page


def picture(body):
    url = body["messages"][0]["content"][0]["image_url"]["url"]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB")).astype(int)


def test_a_server_gets_marked_frames_and_its_phrase_goes_to_the_object(workspace, server):
    run_stage(workspace, CAPTION, options(server, concurrency=1, jpeg_quality=100))
    assert {row.phrases[0].phrase for row in rows(workspace).values()} == {ASKED}
    assert {row.text.split()[0] for row in rows(workspace).values()} == {"Dog"}
    bodies = [body for _, _, body in server.requests]
    assert len(bodies) == 6
    plain, marked = (body for body in bodies[:2])
    assert question_of(plain) == "Describe."
    assert "1 (dog)." in question_of(marked)
    assert marked["max_tokens"] == plain["max_tokens"] == 256
    changed = np.abs(picture(marked) - picture(plain)).sum(axis=2) > 150
    t = (FRAMES - 1) // 2  # the only frame sent is the middle one
    near = np.zeros_like(changed)
    near[:, max(0, 4 + t - 18) : 20 + t + 18] = True
    assert changed.sum() > 60
    assert not (changed & ~near).any()
    shard_dataset(workspace, ShardOptions(test_frac=0))
    assert json_of_shards(workspace)["a_000000001"]["phrases"][0]["phrase"] == ASKED


def test_gaps_are_asked_for_again_and_then_the_run_is_yellow(workspace, server):
    server.lines = lambda _body: "A dog."
    (said,) = run_stage(workspace, CAPTION, options(server)).warnings
    assert said.startswith("3 of 3 objects have no phrase (no_json x3; warn_refused_frac 0.05)")
    assert len(server.requests) == 3 * 3
    assert {(row.status, row.phrases[0].phrase, row.phrases[0].reason) for row in rows(workspace).values()} == {
        ("ok", "", "no_json")
    }


def test_a_request_about_objects_that_fails_fails_that_clip(workspace, server):
    good, pictures = server.lines, []

    def lines(body):
        pictures.append(body["messages"][0]["content"][0])
        return FAULTS["500"] if pictures[-1] == pictures[0] else good(body)

    server.lines = lines
    run_stage(workspace, CAPTION, options(server, concurrency=1), RunOptions(max_failed_frac=0.5))
    assert sorted(row.status for row in rows(workspace).values()) == ["failed", "ok", "ok"]


def test_switching_the_option_captions_again_and_only_then(workspace):
    run_stage(workspace, CAPTION, CaptionOptions())
    assert run_stage(workspace, CAPTION, CaptionOptions(phrases=False)).parts_reused == 1
    assert run_stage(workspace, CAPTION, CaptionOptions(phrases=True)).parts_reused == 0
    assert run_stage(workspace, CAPTION, CaptionOptions(phrases=True)).parts_reused == 1

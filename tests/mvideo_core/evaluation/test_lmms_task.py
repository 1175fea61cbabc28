"""The task as lmms-eval loads and calls it: with a stand-in of its loader, and with lmms-eval if it is installed."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from mvideo_core.base.errors import ConfigError
from mvideo_core.cli.main import app
from mvideo_core.editing.mask_files import load_masks
from mvideo_core.evaluation.lmms_task import CONTROL, MIOU, TASK, process_results, write_task
from mvideo_core.evaluation.manifest import EvalItem, absolute_items, flatten_items, read_manifest, write_manifest
from mvideo_core.media.decode import read_gray
from tests.mvideo_core.evaluation.control.painted import paint_videos, write_set

SUITE = """
name: silhouettes
metrics:
  - {metric: control_response, options: {judge: silhouettes}}
  - {metric: mask_miou, options: {segmenter: sam2, segmenter_options: {weights: mini}}}
"""


class StandIn:
    """A task of lmms-eval: its YAML with functions (`utils.load_yaml_config`), called as the evaluator does."""

    def __init__(self, path: Path):
        class Loader(yaml.SafeLoader):
            pass

        def function(loader, node):
            module, _, name = loader.construct_scalar(node).rpartition(".")
            return getattr(importlib.import_module(module), name)

        Loader.add_constructor("!function", function)
        self.config = yaml.load(path.read_text(), Loader)
        assert self.config["dataset_path"] == "json"
        file = self.config["dataset_kwargs"]["data_files"][self.config["test_split"]]
        self.docs = [json.loads(line) for line in Path(file).read_text().splitlines()]

    def evaluate(self, answer):
        """Metric -> value, with `answer` of a doc as the model's text."""
        results = {}
        for doc in self.docs:
            assert Path(self.config["doc_to_visual"](doc)[0]).exists()
            assert self.config["doc_to_text"](doc, None) == doc["prompt"]
            for name, value in self.config["process_results"](doc, [answer(doc)]).items():
                results.setdefault(name, []).append(value)
        functions = {one["metric"]: one["aggregation"] for one in self.config["metric_list"]}
        return {name: functions[name](values) for name, values in results.items()}


@pytest.fixture
def painted(tmp_path):
    """Videos that follow their masks exactly, with silhouettes; edits shift and delay only."""
    manifest = write_set(tmp_path)
    paint_videos(manifest, lambda masks: masks, seen=True)
    items = [
        one.model_copy(update={"interventions": tuple(x for x in one.interventions if x.edit in ("shift", "delay"))})
        for one in absolute_items(read_manifest(manifest))
    ]
    (tmp_path / "suite.yaml").write_text(SUITE)
    return write_manifest(items, tmp_path / "two.jsonl")


def answers_of(manifest):
    return {one.id: one.video for one in flatten_items(absolute_items(read_manifest(manifest)))}


def test_a_model_that_follows_its_masks_and_one_that_answers_nothing(painted, tmp_path, caplog):
    path = write_task(str(painted), tmp_path / "task", str(tmp_path / "suite.yaml"))
    task, videos = StandIn(path), answers_of(painted)
    assert [doc["id"] for doc in task.docs] == ["0", "0+shift", "0+delay"]
    drawn = np.array(list(read_gray(task.docs[1]["control"])))
    masks = load_masks(task.docs[1]["masks"]).sequence.pixels().any(axis=1)
    assert np.array_equal(drawn, masks * np.uint8(255))
    found = task.evaluate(lambda doc: videos[doc["id"]])
    assert found[CONTROL] == pytest.approx(100.0, abs=2)
    assert 0 < found[MIOU] <= 100
    as_json = task.evaluate(lambda doc: json.dumps({"videos": [videos[doc["id"]]]}))
    assert as_json == found
    caplog.clear()
    assert task.evaluate(lambda doc: "I cannot make videos.") == {MIOU: None, CONTROL: None}
    assert "mvideo_mask_miou: the mean of 0 videos; 1 missing and 0 failed ones do not count" in caplog.text


@pytest.mark.parametrize(
    ("answer", "path"),
    [
        ('{"videos": ["/a.mp4", "/b.mp4"]}', "/a.mp4"), ('{"videos": "/a.mp4"}', "/a.mp4"),
        ('{"video": "/a.mp4"}', "/a.mp4"),
        ('{"videos": {"0": "/a.mp4"}}', ""), ('{"videos": []}', ""), ("{torn", ""), (" /a.mp4\n", "/a.mp4"),
    ],
)  # fmt: skip
def test_a_video_is_found_in_any_answer_or_missing(answer, path):
    doc = {"folder": "/f", "suite": "s", "id": "0", "metrics": [MIOU]}
    assert process_results(doc, [answer])[MIOU]["video"] == path


def test_items_without_edits_prompts_or_masks(painted, tmp_path):
    items = absolute_items(read_manifest(painted))
    plain = write_manifest([one.model_copy(update={"interventions": ()}) for one in items], tmp_path / "plain.jsonl")
    done = CliRunner().invoke(app, ["eval", "lmms-task", str(plain), "--out", str(tmp_path / "plain")])
    assert done.exit_code == 0, done.output
    assert f"--include_path {tmp_path / 'plain'} --tasks {TASK}" in done.output
    text = (tmp_path / "plain" / f"{TASK}.yaml").read_text()
    assert MIOU in text
    assert CONTROL not in text
    assert list(StandIn(tmp_path / "plain" / f"{TASK}.yaml").docs[0]["metrics"]) == [MIOU]
    for one, words in (
        (EvalItem(id="a", prompt="a dog"), "item a has no masks; both are needed"),
        (EvalItem(id="a", masks=items[0].masks), "item a has no prompt"),
    ):
        with pytest.raises(ConfigError, match=words):
            write_task(str(write_manifest([one], tmp_path / "bad.jsonl")), tmp_path / "bad")
    with pytest.raises(ConfigError, match="no metric control_response; use the suite `control`"):
        write_task(str(painted), tmp_path / "task", "mini")


def test_lmms_eval_loads_it(painted, tmp_path):
    tasks = pytest.importorskip("lmms_eval.tasks", reason="lmms-eval is not installed")
    write_task(str(painted), tmp_path / "task", str(tmp_path / "suite.yaml"))
    manager = tasks.TaskManager(include_path=str(tmp_path / "task"), include_defaults=False)
    task = tasks.get_task_dict([TASK], manager)[TASK]
    docs, videos = list(task.test_docs()), answers_of(painted)
    assert [task.doc_to_text(doc) for doc in docs] == ["prompt 0"] * 3
    assert all(Path(task.doc_to_visual(doc)[0]).exists() for doc in docs)
    found = [task.process_results(doc, [[videos[doc["id"]]]]) for doc in docs]
    assert task.aggregation()[CONTROL]([one[CONTROL] for one in found]) == pytest.approx(100.0, abs=2)
    assert task.higher_is_better() == {MIOU: True, CONTROL: True}

"""What a server refuses before it makes a run: it checks parameters against the schema that a deployment carries."""

from pathlib import Path
from typing import Any

import pytest
from prefect.utilities.schema_tools.validation import ValidationError, validate

from mvideo.flows.build_mask_dataset import build_mask_dataset
from mvideo.flows.evaluate_mvideo import evaluate_mvideo
from mvideo.flows.generate_video import generate_video
from mvideo.flows.reproduce_paper import reproduce_paper
from mvideo.flows.train_mvideo import train_mvideo
from mvideo_core.base.errors import ConfigError
from mvideo_core.engine import STAGES
from mvideo_core.perception.detection.options import DetectOptions

SCHEMA: dict[str, Any] = build_mask_dataset.parameters.model_dump()
GOOD = {"workspace": "ws", "source": {"folder": "videos"}}


def refusal(values: dict[str, Any], schema: dict[str, Any] = SCHEMA) -> str:
    """What the server says, "FIELD: REASON"; "" when it takes the values."""
    try:
        validate(values, schema, raise_on_error=True)
    except ValidationError as error:
        return str(error).removeprefix("Validation failed for field ").replace(". Failure reason:", ":")
    return ""


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"profile": "mvideo-5b"},
        {"profile": "somewhere/ours.yaml"},
        {"profile": ""},  # stage runs of engine workers carry all their options
        {"overrides": None, "detect": None},
        {
            "overrides": {
                "detect": {"box_threshold": 0.3, "detector_options": {"any": 1}},
                "plan": {"part_size": 8},
            }
        },
        {"detect": {"box_threshold": 0.3}},
        {"source": {"hdvila": "list.jsonl", "hdvila_videos": "videos", "folder": ""}},
        {"source": {"manifest": "list.csv"}},
    ],
)
def test_right_values_pass(more: dict[str, Any]) -> None:
    assert refusal(GOOD | more) == ""


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"profile": "mvideo-9b"}, "'profile': 'mvideo-9b' is not one of ['mini', 'mvideo-2b', "),
        (
            {"overrides": {"detekt": {}}},
            "'overrides': 'detekt' is not one of ['caption', 'clean', 'cut', ",
        ),
        (
            {"overrides": {"detect": {"box_threshold": 3}}},
            "'overrides.detect.box_threshold': 3 is greater",
        ),
        (
            {"overrides": {"segment": {"gate": {"x": 1}}}},
            "'overrides.segment.gate': 'x' is not one of [",
        ),
        ({"cut": {"min_shot": 3}}, "'cut': 'min_shot' is not one of ["),
        ({"engine": {"kin": "ray"}}, "'engine': 'kin' is not one of ["),
        (
            {"source": {"folder": "a", "manifest": "b.csv"}},
            "'source.manifest': 'b.csv' is expected to be",
        ),
        ({"source": {"folder": "a", "hdvila": "b", "hdvila_videos": "c"}}, "'source.hdvila': 'b' is"),
        (
            {"source": {"hdvila": "b", "hdvila_videos": "c", "manifest": "d"}},
            "'source.manifest': 'd' is",
        ),
        ({"source": {}}, "'source': 'folder' is a required property"),
        ({"source": {"folder": ""}}, "'source.folder': '' should be non-empty"),
    ],
)
def test_a_wrong_value_is_refused_with_its_field_and_what_is_allowed(more: dict[str, Any], words: str) -> None:
    assert refusal(GOOD | more).startswith(words)


def test_a_refused_key_comes_with_the_keys_of_its_own_level() -> None:
    for more in ({"overrides": {"detect": {"box_treshold": 0.3}}}, {"detect": {"box_treshold": 0.3}}):
        said = refusal(GOOD | more)
        assert "'box_treshold' is not one of" in said
        assert all(f"'{name}'" in said for name in DetectOptions.model_fields)
        assert "'segment'" not in said


@pytest.mark.parametrize(
    ("flow", "given", "field"),
    [
        (train_mvideo, {"overrides": {"optimizer": {"rate": {"peek": 1}}}}, "overrides.optimizer.rate"),
        (train_mvideo, {"profile": "huge"}, "profile"),
        (evaluate_mvideo, {"manifests": ["m"], "out": "o", "suite": "pape"}, "suite"),
        (
            evaluate_mvideo,
            {"manifests": ["m"], "out": "o", "overrides": {"intervals": {"n": 1}}},
            "overrides.intervals",
        ),
        (reproduce_paper, {"out": "o", "overrides": {"test": {}}}, "overrides"),
    ],
)
def test_the_other_flows_refuse_likewise(flow: Any, given: dict[str, Any], field: str) -> None:
    said = refusal(given, flow.parameters.model_dump())
    assert said.startswith(f"{field!r}: '")
    assert " is not one of [" in said


def test_a_generation_takes_one_source_of_masks_or_none() -> None:
    schema = generate_video.parameters.model_dump()
    for source in ({}, {"video": "a.mp4", "objects": ["cat"]}, {"sample": "set#key", "masks": ""}):
        assert refusal({"out": "o", "source": source}, schema) == ""
    two = {"out": "o", "source": {"video": "a.mp4", "sample": "set#key"}}
    assert refusal(two, schema) == "'source.sample': 'set#key' is expected to be empty"


def test_every_field_of_the_form_says_what_it_is() -> None:
    fields = SCHEMA["properties"]
    assert [name for name, field in fields.items() if not field.get("description")] == []
    for stage in ("cut", "detect", "segment", "caption", "shard"):
        title = STAGES.get(stage).title.rstrip(".")
        assert fields[stage]["description"].lower().startswith(title.lower())
    assert [one.get("enum") for one in fields["profile"]["anyOf"]] == [["mini", "mvideo-2b", "mvideo-5b"], None]


@pytest.mark.usefixtures("prefect_server")
def test_what_only_the_run_can_see_is_refused_in_a_line_and_leaves_no_workspace(tmp_path: Path) -> None:
    workspace, here = tmp_path / "ws", {"folder": str(tmp_path)}
    for values, words in (
        ({"source": {"folder": str(tmp_path / "nowhere")}}, "nowhere"),
        ({"source": {"manifest": str(tmp_path / "list.csv")}}, "list.csv"),
        ({"source": here, "profile": str(tmp_path / "none.yaml")}, "none.yaml"),
        (
            {"source": {"folder": str(tmp_path)}, "overrides": {"detect": {"box_treshold": 0.3}}},
            "allowed keys of detect: ",
        ),
    ):
        with pytest.raises(ConfigError, match=words):
            build_mask_dataset(str(workspace), **values)
        assert not workspace.exists(), words

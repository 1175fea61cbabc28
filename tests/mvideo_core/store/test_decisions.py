"""The file of a reviewer's decisions: what is read, what is refused and where, and what a write leaves alone."""

import json
import re

import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.store.decisions import DECISIONS, Decision, DecisionFile, parse_decisions
from mvideo_core.store.workspace import Workspace

CLIP, OTHER, MASKS = "a" * 64, "b" * 64, "0123456789abcdef"


def line(**values) -> str:
    return json.dumps({"clip": CLIP} | values)


def about(action: str, **values) -> str:
    return line(action=action, object=0, masks=MASKS, **values)


@pytest.fixture
def file(tmp_path) -> DecisionFile:
    workspace = Workspace(str(tmp_path / "ws"))
    workspace.ensure()
    return DecisionFile(workspace)


def test_every_action_is_read_in_order():
    text = "\n".join(
        [
            "# by hand",
            line(action="accept", who="Ann", when="2026-11-30"),
            "",
            about("relabel", label="dog"),
            about("box", frame=3, box_xyxy=[1, 2, 3.5, 4]),
            about("point", frame=4, point_xy=[1, 2]),
            about("reject"),
        ]
    )
    found = parse_decisions(text, "file")
    assert [one.decision.action for one in found] == ["accept", "relabel", "box", "point", "reject"]
    assert [one.where for one in found] == [f"file line {n}" for n in (2, 4, 5, 6, 7)]
    assert found[2].decision.box_xyxy == (1, 2, 3.5, 4)
    assert found[0].decision.content() == {"clip": CLIP, "action": "accept"}  # who and when change nothing


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("reject all", "not a JSON object"),
        ("[1]", "is not a JSON object"),
        ('{"clip": 1, "clip": 2}', "'clip' twice"),
        (line(action="acept"), "action: Input should be 'accept', 'reject'"),
        (line(action="accept", frames=3), "frames: Extra inputs are not permitted.*allowed keys: action, box_xyxy"),
        (json.dumps({"clip": "clip_1", "action": "accept"}), "clip: String should match.*seen 'clip_1'"),
        (about("relabel"), "relabel needs label"),
        (line(action="box", masks=MASKS, frame=1), "box needs box_xyxy, object"),
        (about("box", frame=1, box_xyxy=[5, 2, 3, 4]), "must have x0 < x1"),
        (about("box", frame=1, box_xyxy=[1, 2, float("nan"), 4]), "box_xyxy.*finite"),
        (about("accept", label="dog"), "accept has no label; delete it"),
        (line(action="reject", object=2), "object 2 needs masks"),
        (line(action="accept"), "decides the same as line 1; delete one"),
        (line(action="reject"), "decides the same as line 1"),
    ],
)
def test_a_line_that_is_no_decision_is_named_in_one_line(bad, words):
    text = f"{line(action='accept')}\n# comment\n{bad}\n"
    with pytest.raises(ConfigError) as caught:
        parse_decisions(text, "review/decisions.jsonl")
    assert re.match("review/decisions.jsonl line 3: ", str(caught.value))
    assert re.search(words, str(caught.value))
    assert "\n" not in str(caught.value)


def test_a_later_decision_replaces_the_one_about_the_same_and_nothing_else(file):
    by_hand = ["# first look", line(action="accept"), "", about("relabel", label="dog").replace(": ", ":  ")]
    file.workspace.folder.write(DECISIONS, "\r\n".join(by_hand).encode())
    file.put(Decision(clip=CLIP, action="reject"))
    file.put(Decision(clip=OTHER, action="accept"))
    lines = file.workspace.folder.read(DECISIONS).decode().split("\n")
    assert lines[:3] == [by_hand[0], by_hand[2], by_hand[3]]
    assert [json.loads(one) for one in lines[3:5]] == [
        {"clip": CLIP, "action": "reject"}, {"clip": OTHER, "action": "accept"}
    ]  # fmt: skip
    assert file.take_back(CLIP)
    assert [one.decision.action for one in file.read()] == ["relabel", "accept"]
    assert file.take_back(CLIP)
    assert not file.take_back(CLIP)
    assert file.workspace.folder.read(DECISIONS).decode().startswith("# first look\n\n")


def test_a_damaged_file_is_never_overwritten(file):
    file.workspace.folder.write(DECISIONS, b"{broken\n")
    with pytest.raises(ConfigError, match="line 1: not a JSON object"):
        file.put(Decision(clip=CLIP, action="reject"))
    assert file.workspace.folder.read(DECISIONS) == b"{broken\n"
    file.workspace.folder.write(DECISIONS, b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8 at byte 0"):
        file.read()


def test_another_place_is_remembered_and_its_loss_is_named(file, tmp_path):
    place = tmp_path / "mine" / "decisions.jsonl"
    with pytest.raises(ConfigError, match=r"mine/decisions\.jsonl: the folder"):
        file.choose(place)
    assert DecisionFile(file.workspace).path.endswith(DECISIONS)
    place.parent.mkdir()
    file.choose(place)
    file.put(Decision(clip=CLIP, action="reject"))
    again = DecisionFile(Workspace(file.workspace.url))
    assert [one.where for one in again.read()] == [f"{place} line 1"]
    assert not file.workspace.folder.exists(DECISIONS)
    place.unlink()
    place.parent.rmdir()
    with pytest.raises(ConfigError, match="name another file with `mvideo review --decisions`"):
        again.read()

"""Shapes from words through a chat server on loopback, which answers by hand."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from mvideo_core.base.errors import ConfigError, ModelError
from mvideo_core.cli.main import app
from mvideo_core.editing.draw import CanvasOptions, draw, parse_shapes, read_shapes
from mvideo_core.editing.suggest import examples, server_of, suggest
from mvideo_core.masks.measure import areas
from tests.fixtures.chat_server import ChatServer, Reply, completion
from tests.mvideo_core.editing.drawn import boxes

CANVAS = CanvasOptions(height_px=48, width_px=72)
BALL = {"shapes": [{"ellipse": {"label": "ball", "path": [["0%", 0.2, 0.5], ["100%", 0.8, 0.5]]}}]}


def answers(*texts: str | Reply) -> ChatServer:
    """A server that gives these answers in turn."""
    left = list(texts)

    def reply(body) -> Reply:
        text = left.pop(0)
        return text if isinstance(text, Reply) else completion(text)

    return ChatServer(reply)


def ask(server: ChatServer, words: str = "a ball rolls to the right"):
    return suggest(words, CANVAS, server_of({"base_url": server.url, "max_retries": 0}))


@pytest.mark.parametrize("number", range(10))
def test_the_examples_can_be_drawn_and_show_what_they_say(number: int):
    example = examples()[number]
    clip = draw(parse_shapes(example["shapes"]), CANVAS)
    assert (areas(clip.sequence) > 0).sum(axis=0).min() >= 5, example["prompt"]


def test_ten_examples_one_of_them_a_ball_that_bounces_twice():
    assert len(examples()) == 10
    clip = draw(parse_shapes(examples()[0]["shapes"]), CANVAS)
    tops = [box[1] for box in boxes(clip)]
    highest = [n for n in range(1, 32) if tops[n] < tops[n - 1] and tops[n] <= tops[n + 1]]
    assert len(highest) == 2
    assert boxes(clip)[-1][0] > boxes(clip)[0][0] + 40


def test_an_answer_becomes_masks_and_the_request_holds_examples_and_asks_for_json():
    with answers(json.dumps(BALL)) as server:
        made = ask(server)
        _, _, body = server.requests[-1]
    assert made.clip.labels == ("ball",)
    assert made.shapes == BALL["shapes"]
    assert body["response_format"] == {"type": "json_object"}
    assert [message["role"] for message in body["messages"]] == ["system", *["user", "assistant"] * 10, "user"]
    assert body["messages"][-1]["content"] == "a ball rolls to the right"
    assert "width_frac" in body["messages"][0]["content"]


def test_an_answer_that_cannot_be_drawn_goes_back_with_the_reason():
    wrong = json.dumps({"shapes": [{"circle": {}}]})
    with answers(wrong, f"```json\n{json.dumps(BALL)}\n```") as server:
        assert ask(server).clip.labels == ("ball",)
        _, _, body = server.requests[-1]
    assert "no shape called 'circle'" in body["messages"][-1]["content"]
    with answers("I cannot do that.", '{"shapes": []}') as server, pytest.raises(ModelError) as refused:
        ask(server)
    assert 'in 2 tries; last problem: expected a JSON object with a list under "shapes"' in str(refused.value)


def test_no_server_no_words_and_an_error_are_one_reason():
    with answers() as server:
        url = server.url
    with pytest.raises(ModelError, match=r"127\.0\.0\.1"):
        suggest("a ball", CANVAS, server_of({"base_url": url, "load_timeout_s": 0.2, "max_retries": 0}))
    with pytest.raises(ConfigError, match="say what moves and how"):
        suggest("  ", CANVAS, server_of({}))


def test_the_command_saves_shapes_to_edit_and_a_sheet(tmp_path: Path):
    out = tmp_path / "ball.yaml"
    with answers(json.dumps(BALL)) as server:
        command = ["masks", "suggest", "a ball\nrolls", str(out), "--size", "48x72", "-s", f"base_url={server.url}"]
        done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert out.read_text().startswith("# a ball rolls\n")
    assert yaml.safe_load(out.read_text()) == BALL
    assert draw(read_shapes(out), CANVAS).labels == ("ball",)
    assert out.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"

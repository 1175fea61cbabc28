import pytest

from mvideo_core.captioning import CAPTIONERS, CaptionInput, CaptionOptions, caption_rows, load_captioner
from mvideo_core.errors import ConfigError, MediaError


class Scripted:
    """A captioner with known answers, to see what becomes of them."""

    model_name, prompt_sha256, needs_frames = "scripted", "0" * 64, 0

    def __init__(self, answers):
        self.answers = answers

    def caption(self, inputs):
        return self.answers


def clips(n):
    return [CaptionInput(key=f"v_{i}", width=8, height=8, fps=8.0) for i in range(n)]


def test_each_answer_becomes_the_right_row():
    answers = ["A dog runs. It stops.", MediaError("v_1: refused"), ""]
    rows = caption_rows(Scripted(answers), clips(3), CaptionOptions(max_tokens=8))
    assert [row.status for row in rows] == ["ok", "failed", "filtered"]
    assert (rows[0].text, rows[0].n_words) == ("A dog runs.", 3)
    assert (rows[1].error, rows[1].message, rows[1].attempts) == ("MediaError", "v_1: refused", 1)
    assert (rows[2].reason, rows[2].value, rows[2].threshold) == ("caption_too_short", 0, 1)
    assert {row.model for row in rows} == {"scripted"}
    assert [row.key for row in rows] == ["v_0", "v_1", "v_2"]


def test_the_default_captioner_needs_no_weights():
    options = CaptionOptions()
    rows = caption_rows(load_captioner(options), clips(1), options)
    assert rows[0].text == "A scene without tracked objects."
    assert len(rows[0].prompt_sha256) == 64


def test_all_three_are_registered():
    assert CAPTIONERS.names() == ["motion", "openai_compatible", "transformers_vlm"]


def test_unknown_names_and_keys_are_config_errors():
    with pytest.raises(ConfigError, match="known: motion, openai_compatible, transformers_vlm"):
        CaptionOptions.parse({"captioner": "vila"})
    with pytest.raises(ConfigError, match="options of captioner motion"):
        load_captioner(CaptionOptions(captioner_options={"speed": 1}))

import pytest

from mvideo_core.base.errors import ConfigError, MediaError
from mvideo_core.perception.captioning import (
    CAPTIONERS,
    Answer,
    CaptionInput,
    CaptionOptions,
    caption_rows,
    load_captioner,
)
from mvideo_core.perception.captioning.options import content_of
from mvideo_core.perception.captioning.phrases import GRAMMAR


class Scripted:
    """A captioner with known answers, to see what becomes of them."""

    model_name, prompt_sha256, needs_frames, batch_clips = "scripted", "0" * 64, 0, 1

    def __init__(self, answers):
        self.answers = answers

    def question(self, clip):
        return "Describe the video in one paragraph of plain English."

    def caption(self, inputs):
        return enumerate(Answer(one) if isinstance(one, str) else one for one in self.answers)


def rows_of(captioner, inputs, options):
    return [row for _, row in caption_rows(captioner, inputs, options)]


def clips(n):
    return [CaptionInput(key=f"v_{i}", width=8, height=8, fps=8.0) for i in range(n)]


def test_each_answer_becomes_the_right_row():
    answers = ["A dog runs. It stops.", MediaError("v_1: refused"), ""]
    rows = rows_of(Scripted(answers), clips(3), CaptionOptions(max_tokens=8))
    assert [row.status for row in rows] == ["ok", "failed", "filtered"]
    assert (rows[0].text, rows[0].n_words) == ("A dog runs.", 3)
    assert (rows[1].error, rows[1].message, rows[1].attempts) == ("MediaError", "v_1: refused", 1)
    assert (rows[2].reason, rows[2].value, rows[2].threshold) == ("caption_empty", 0, 1)
    assert {row.model for row in rows} == {"scripted"}
    assert [row.key for row in rows] == ["v_0", "v_1", "v_2"]


def test_the_default_captioner_needs_no_weights():
    options = CaptionOptions()
    rows = rows_of(load_captioner(options), clips(1), options)
    assert rows[0].text == "A scene without tracked objects."
    assert len(rows[0].prompt_sha256) == 64


def test_all_three_are_registered():
    assert CAPTIONERS.names() == ["motion", "openai_compatible", "transformers_vlm"]


def test_unknown_names_and_keys_are_config_errors():
    with pytest.raises(ConfigError, match="known: motion, openai_compatible, transformers_vlm"):
        CaptionOptions.parse({"captioner": "vila"})
    with pytest.raises(ConfigError, match="options of captioner motion"):
        CaptionOptions(captioner_options={"speed": 1})


def test_a_row_says_what_was_removed_and_keeps_a_refused_answer():
    answers = [
        "**Caption:** A dog runs.",
        Answer("I'm sorry, I can't view videos.\ud83d", model="vlm-2"),
        Answer("", refusal="I will not"),
        "Too short",
    ]
    rows = rows_of(Scripted(answers), clips(4), CaptionOptions(min_words=3))
    assert (rows[0].status, rows[0].text, rows[0].cleaned) == ("ok", "A dog runs.", ["markdown", "wrapper"])
    assert (rows[1].reason, rows[1].text, rows[1].model) == ("caption_refused", "", "vlm-2")
    assert rows[1].answer == "I'm sorry, I can't view videos."
    assert (rows[2].reason, rows[2].answer) == ("caption_refused", "I will not")
    assert (rows[3].reason, rows[3].value, rows[3].threshold) == ("caption_too_short", 2, 3)


def test_every_option_of_the_captioner_is_shown_with_its_default():
    shown = CaptionOptions(captioner="openai_compatible", captioner_options={"n_frames": 4}).captioner_options
    assert (shown["n_frames"], shown["base_url"], shown["api_key_env"]) == (4, "http://127.0.0.1:8000/v1", "")


def test_the_key_holds_what_decides_the_text_and_nothing_else():
    def content(**inner):
        return content_of(CaptionOptions(captioner="openai_compatible", captioner_options=inner))

    base = content()
    how = {"base_url": "https://b/v1", "api_key_env": "K", "ca_file": "/x.pem", "concurrency": 64, "timeout_s": 9,
           "max_retries": 1, "load_timeout_s": 1}  # fmt: skip
    assert content(**how) == base
    what = {"model": "m", "prompt": "Tell.", "name_objects": True, "n_frames": 4, "max_side_px": 64, "jpeg_quality": 5,
            "temperature": None, "seed": 1, "max_tokens": None, "extra_body": {"top_k": 1}}  # fmt: skip
    for name, value in what.items():
        assert content(**{name: value}) != base, name
    assert set(how) | set(what) == set(CAPTIONERS.get("openai_compatible").Options.model_fields)
    assert content_of(CaptionOptions(warn_equal_frac=0.5, warn_refused_frac=0.5)) == content_of(CaptionOptions())
    assert "phrases" not in content_of(CaptionOptions())  # keys of earlier versions stay valid
    assert content_of(CaptionOptions(phrases=True)) == content_of(CaptionOptions()) | {"phrases": GRAMMAR}

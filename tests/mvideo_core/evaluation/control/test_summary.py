"""S_m between chance and ceiling, and numbers of systems, from values given by hand."""

import pytest

from mvideo_core.evaluation.control.summary import control_markdown, normalize_miou, summarize_control
from tests.mvideo_core.evaluation.results import made

JUDGE = {"segmenter_options": {"weights": "sam2.1-hiera-large"}}
METRICS = [
    {"metric": "mask_miou", "options": JUDGE},
    {"metric": "mask_miou", "as": "chance", "options": {**JUDGE, "pairing": "shuffled"}},
    {"metric": "mask_miou", "as": "ceiling", "options": {**JUDGE, "subject": "source"}},
]


def test_s_m_is_put_between_shuffled_masks_and_the_source_video(tmp_path):
    values = {
        "mask_miou": [0.5, 0.6, 0.4, 0.5, 0.5, 0.5, 0.9],
        "chance": [0.1, 0.2, 0.0, 0.1, 0.1, 0.1, None],
        "ceiling": [0.9, 1.0, 0.8, 0.9, 0.9, 0.9, 0.9],
    }
    loaded = made(tmp_path, {"ours": values}, metrics=METRICS)
    (found,) = normalize_miou(loaded)
    # The last item has no chance level. Of the others each is half way: 0.4 of 0.8.
    assert (found.metric, found.n, found.n_prompts) == ("mask_miou", 6, 6)
    assert found.parts["normalized"].value == pytest.approx(0.5)
    assert (found.parts["normalized"].low, found.parts["normalized"].high) == (pytest.approx(0.5), pytest.approx(0.5))
    assert found.parts["own"].value == pytest.approx(0.5)
    assert found.parts["own"].low < 0.5 < found.parts["own"].high
    text = control_markdown(loaded)
    head = (
        "| System | Metric | n | prompts | missing | failed | normalized | mIoU | shuffled masks | source video | own "
    )
    assert head in text
    assert "| ours* | mask_miou | 6 | 6 | 0 | 0 | 0.500 [0.500, 0.500] | 0.500 [0.4" in text
    assert "## Control" not in text
    assert summarize_control(loaded) == ()
    assert (tmp_path / "result.json").is_file()


def test_controls_of_another_judge_do_not_count(tmp_path):
    other = [METRICS[0], {**METRICS[1], "options": {"pairing": "shuffled"}, "as": "mini_chance"}, METRICS[2]]
    values = {"mask_miou": [0.5], "mini_chance": [0.1], "ceiling": [0.9]}
    loaded = made(tmp_path, {"ours": values}, metrics=other)
    assert normalize_miou(loaded) == ()
    assert control_markdown(loaded) == ""


def test_a_ceiling_below_chance_gives_nothing(tmp_path):
    values = {"mask_miou": [0.5], "chance": [0.6], "ceiling": [0.4]}
    (found,) = normalize_miou(made(tmp_path, {"ours": values}, metrics=METRICS))
    assert "normalized" not in found.parts


def test_systems_are_summarized_over_shared_items_and_marked_where_some_are_lost(tmp_path):
    """A system without its hard item led the table: own means, no counts, no mark."""
    controls = {"chance": [0.0] * 7, "ceiling": [1.0] * 7}
    values = {
        "whole": {"mask_miou": [0.8] * 6 + [0.1], **controls},
        "lost": {"mask_miou": [0.7] * 6 + [None], "chance": [0.0] * 6 + [None], "ceiling": [1.0] * 6 + [None]},
    }
    loaded = made(tmp_path, values, metrics=METRICS)
    whole, lost = normalize_miou(loaded)
    assert (whole.parts["normalized"].value, whole.n, whole.marked) == (pytest.approx(0.8), 6, False)
    assert (whole.own.value, whole.own.n) == (pytest.approx(4.9 / 7), 7)
    assert (lost.parts["normalized"].value, lost.n, lost.n_missing, lost.marked) == (pytest.approx(0.7), 6, 1, True)
    text = control_markdown(loaded)
    assert "| whole | mask_miou | 6 | 6 | 0 | 0 | 0.800 [0.800, 0.800] |" in text
    assert "| 1.000 [1.000, 1.000] | 0.700 (7) |" in text
    assert "| lost* | mask_miou | 6 | 6 | 1 | 0 | 0.700 [0.700, 0.700] |" in text

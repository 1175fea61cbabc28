"""What a result says of its files, against PyAV reading the same files."""

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mvideo_core.evaluation.figures import metric_titles
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.plan import EvalPlan
from mvideo_core.evaluation.result import metric_facts
from mvideo_core.evaluation.run import run_suite
from mvideo_core.evaluation.suite import SuiteOptions, prepare
from mvideo_core.evaluation.tables import make_table
from mvideo_core.evaluation.video_facts import VideoFacts, describe, facts_of, kinds
from mvideo_core.media.encode import write_mp4
from mvideo_core.weights.catalog import find


def a_video(path: Path, frames: int, height: int, width: int, fps: float = 8.0) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_mp4((np.full((height, width, 3), 40 + t, np.uint8) for t in range(frames)), path, fps)
    return str(path)


@pytest.mark.parametrize(
    ("frames", "height", "width", "fps"), [(18, 64, 96, 8.0), (49, 96, 64, 24.0), (1, 32, 32, 8.0)]
)
def test_facts_are_those_of_another_reader(tmp_path: Path, frames: int, height: int, width: int, fps: float) -> None:
    path = a_video(tmp_path / "a.mp4", frames, height, width, fps)
    with av.open(path) as container:
        stream = container.streams.video[0]
        seen = [(frame.height, frame.width) for frame in container.decode(stream)]
        rate = stream.average_rate
    found = facts_of(EvalItem(id="a", video=path))
    assert found is not None
    assert (found.frames, Fraction(found.fps), {(found.height_px, found.width_px)}) == (len(seen), rate, set(seen))
    assert found.seconds == (len(seen) - 1) / float(rate or 1)


def test_what_is_missing_or_broken_has_no_facts(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    for video in ("", str(tmp_path / "gone.mp4"), str(tmp_path / "text.mp4")):
        assert facts_of(EvalItem(id="a", video=video)) is None


def test_kinds_are_counted() -> None:
    one = VideoFacts(frames=97, fps=8, width_px=720, height_px=480)
    other = one.model_copy(update={"frames": 18, "width_px": 360, "height_px": 240})
    assert describe(kinds([one, one])) == "12 s x 480 x 720, 8 fps"
    assert describe(kinds([other, one, one])) == "2 of 12 s x 480 x 720, 8 fps; 1 of 2.1 s x 240 x 360, 8 fps"
    assert describe(()) == ""


@pytest.mark.parametrize(
    ("decides", "told"),
    [
        (
            {"options": {"scheduler": "ddim", "steps": 50, "guidance": 6.0}},
            "ddim, 50 steps, guidance 6, constant guidance",
        ),
        (
            {
                "options": {
                    "scheduler": "dpm",
                    "spacing": "trailing",
                    "steps": 50,
                    "guidance": 6,
                    "dynamic_guidance": True,
                }
            },
            "dpm, trailing timesteps, 50 steps, guidance 6, dynamic guidance",
        ),
        (
            {"system": {"pipeline": "WanVACEPipeline", "scheduler": "", "steps": 30, "guidance": 5.0}},
            "WanVACEPipeline's own sampler, 30 steps, guidance 5, constant guidance",
        ),
        ({"prompt": "of another program"}, ""),
    ],
)
def test_sampling_is_read_from_provenance(tmp_path: Path, decides: dict[str, object], told: str) -> None:
    path = a_video(tmp_path / "video.mp4", 9, 32, 32)
    (tmp_path / "provenance.json").write_text(json.dumps({"decides": decides}))
    found = facts_of(EvalItem(id="a", video=path))
    assert found is not None
    assert found.sampling == told


def test_three_small_short_videos_by_the_mini_judge_are_not_the_papers_row(tmp_path: Path) -> None:
    """Declared mvideo-5b and 12 s; measured 2.1 s x 240 x 360 under the mini SAM2, which is called so."""
    items = tuple(
        EvalItem(
            id=f"i{n}", system="mvideo-5b", test_set="mask-to-video", seconds=12,
            video=a_video(tmp_path / f"{n}.mp4", 18, 240, 360), prompt=f"p{n}",
        )
        for n in range(3)
    )  # fmt: skip
    suite = SuiteOptions.parse({"metrics": [{"metric": "temporal_flickering"}, {"metric": "mask_miou"}]})
    result = run_suite(EvalPlan(suite, items), tmp_path / "out")
    assert list(result.metrics) == ["temporal_flickering", "mini_mask_miou"]
    table = make_table("3", [("r", result)])
    papers, ours = table.rows[:2], table.rows[2:]
    assert [row.source for row in papers] == ["", ""]
    assert [(row.model, row.video) for row in ours] == [("mvideo-5b", "2.1 s x 240 x 360, 8 fps")]
    assert "mask_miou" not in ours[0].ours
    assert "r: mvideo-5b, mask-to-video: the manifest declares 12 s; the table uses the files' length" in table.notes
    assert metric_titles(result.metrics)["mini_mask_miou"] == "S_m (mini)"  # in every table, plot and page


@pytest.mark.parametrize("weights", ["mini", "path"])
def test_a_mini_judge_is_called_mini_whatever_its_folder_is_called(tmp_path: Path, weights: str) -> None:
    if weights == "path":
        (tmp_path / "sam2.1-hiera-large").symlink_to(find("mini", "segmenter"))
        weights = str(tmp_path / "sam2.1-hiera-large")
    chosen = {"metric": "mask_miou", "options": {"segmenter_options": {"weights": weights}}}
    assert [one.name for one in prepare(SuiteOptions.parse({"metrics": [chosen]}))] == ["mini_mask_miou"]
    named = SuiteOptions.parse({"metrics": [{**chosen, "as": "mini_s_m"}]})
    assert [one.name for one in prepare(named)] == ["mini_s_m"]


def test_mini_is_a_word_of_the_name_and_marks_every_metric_with_such_a_judge() -> None:
    """A judge of "gemini" passed for named, and a public one under that name for a mini one."""
    large = {"segmenter_options": {"weights": "sam2.1-hiera-large"}}
    suite = SuiteOptions.parse(
        {
            "metrics": [
                {"metric": "mask_miou", "as": "gemini"},
                {"metric": "mask_miou", "as": "gemini_large", "options": large},
                {"metric": "mask_drift"},
                {"metric": "control_response"},
            ]
        }
    )
    titles = metric_titles(metric_facts(EvalPlan(suite, ()), {}))
    assert titles == {
        "mini_gemini": "S_m (mini)",
        "gemini_large": "S_m (sam2.1-hiera-large)",
        "mini_mask_drift": "mask drift (mini)",
        "mini_control_response": "control response (mini)",
    }


def test_a_judge_that_the_suite_declares_otherwise_is_named_by_its_weights(tmp_path: Path) -> None:
    values = {"metrics": [{"metric": "mask_miou"}], "choices": {"segmenter": "sam2.1-hiera-large"}}
    plan = EvalPlan(SuiteOptions.parse(values), (EvalItem(id="a"),))
    assert run_suite(plan, tmp_path).choices["segmenter"] == (
        "a mini SAM2, according to the weights of mini_mask_miou; the suite declares: sam2.1-hiera-large"
    )

import pytest

from mvideo_core.base.errors import ConfigError, ModelError
from mvideo_core.base.options import merge
from mvideo_core.curation.pipeline import PART_STAGES, PROFILES, load_profile, preflight, stage_rows
from mvideo_core.engine import STAGES


@pytest.mark.parametrize("path", sorted(PROFILES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_profile_loads_and_reads_back(path, tmp_path):
    import yaml

    options = load_profile(path.stem)
    written = tmp_path / "full.yaml"
    written.write_text(yaml.safe_dump(options.model_dump(mode="json")))
    assert load_profile(str(written)) == options


def test_the_paper_profiles_keep_the_papers_numbers():
    cut = load_profile("mvideo-5b").cut
    assert (cut.width, cut.height, cut.fps, cut.min_shot_s) == (720, 480, 8, 8)
    assert (cut.min_frames, cut.max_frames) == (65, 97)
    assert len(load_profile("mvideo-5b").detect.phrases()) == 80


def test_overrides_win_over_the_profile_key_by_key():
    options = load_profile("mini", {"cut": {"min_shot_s": 4}, "shard": {"test_frac": 0.5}})
    assert (options.cut.min_shot_s, options.cut.width) == (4, 384)
    assert merge({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}) == {"a": {"b": 3, "c": 2}}


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"no profile 'maxi'.*mini"):
        load_profile("maxi")
    with pytest.raises(ConfigError, match="allowed keys: caption, clean, cut"):
        load_profile("mini", {"cutt": {}})


def test_missing_weights_stop_a_run_before_it_starts(monkeypatch, tmp_path):
    monkeypatch.setenv("MVIDEO_WEIGHTS", str(tmp_path))
    with pytest.raises(ModelError, match=r"(?s)groundingdino.*mvideo weights fetch"):
        preflight(load_profile("mvideo-2b"))


def test_every_stage_of_the_pipeline_is_registered_with_its_upstream_before_it():
    order = ["source", *PART_STAGES]
    for name in PART_STAGES:
        assert all(order.index(up) < order.index(name) for up in STAGES.get(name).reads)
    assert list(stage_rows()) == [*order, "samples", "shard"]


@pytest.mark.parametrize("segmenter", ["sam3", "edgetam"])
def test_weights_of_another_segmenter_are_refused_before_the_run(segmenter):
    """`--set segment.segmenter=sam3` keeps the profile's weights, those of the mini SAM2."""
    options = load_profile("mini")
    segment = options.segment.model_copy(update={"segmenter": segmenter})
    with pytest.raises(ModelError, match=rf"needs '{segmenter}_video'.*mvideo weights list"):
        preflight(options.model_copy(update={"segment": segment}))

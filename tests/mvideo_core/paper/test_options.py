import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.paper.options import PROFILES, PaperOptions, load_profile
from mvideo_core.paper.videos import VideoJob, jobs


@pytest.mark.parametrize("name", sorted(path.stem for path in PROFILES.glob("*.yaml")))
def test_profiles_are_complete(name):
    assert jobs(load_profile(name))


def test_the_model_of_the_tables_must_be_trained():
    with pytest.raises(ConfigError, match="must include alpha"):
        PaperOptions.parse({"alphas": [0.0, 0.5], "alpha": 1.0})
    with pytest.raises(ConfigError, match="table 4 needs 0"):
        PaperOptions.parse({"alphas": [1.0], "alpha": 1.0})
    assert PaperOptions.parse({"alphas": [1.0], "alpha": 1.0, "tables": ["2"]}).alphas == (1.0,)


def test_tables_share_the_videos_they_have_in_common():
    """Table 2 wants 3 clips, table 4 two, table 5 one to four: four lengths of one model, not seven."""
    every = jobs(PaperOptions())
    main = [job for job in every if job.system == "mvideo-alpha-1" and job.test_set == "prompts"]
    assert sorted(job.n_clips for job in main) == [1, 2, 3, 4]
    assert VideoJob("prompts", "mvideo-alpha-0", 0.0, 2) in every
    assert VideoJob("prompts", "base", None, 1) in every
    assert len(every) == 4 + 1 + 1 + 6  # lengths, the other alpha, the base, two mask sets of three systems
    assert len(jobs(PaperOptions(tables=("3",), test_sets=("mask-to-video",)))) == 3

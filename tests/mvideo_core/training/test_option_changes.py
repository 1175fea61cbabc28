"""What may differ when a run is resumed, and what a refusal says."""

import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.training.option_changes import changes, check_allow, flatten, read_course
from mvideo_core.training.options import TrainOptions

THEN = {"optimizer.rate.peak": 1e20, "optimizer.eps": 1e-8, "seed": 0, "lora.rank": 4}


def test_a_difference_is_refused_in_one_line_with_both_values_and_the_remedy() -> None:
    with pytest.raises(ConfigError) as refused:
        changes("run/step-4", 4, THEN, THEN | {"optimizer.rate.peak": 1e-3, "seed": 7}, ["optimizer"])
    assert str(refused.value) == (
        "run/step-4 was trained with other options: seed: 0 then, 7 now. Restore them, use another `out`, or change "
        "them on purpose from step 4 on with `--allow seed`"
    )


def test_an_allowed_difference_comes_back_as_a_change() -> None:
    (change,) = changes("run", 4, THEN, THEN | {"optimizer.rate.peak": 1e-3}, ["optimizer.rate.peak"])
    assert (change.step, change.name, change.before, change.after) == (4, "optimizer.rate.peak", 1e20, 1e-3)
    assert change.words() == "optimizer.rate.peak 1e+20 -> 0.001 after step 4"
    assert changes("run", 4, THEN, dict(THEN), []) == []


def test_a_group_allows_what_is_in_it_and_no_name_that_only_begins_alike() -> None:
    now = THEN | {"optimizer.rate.peak": 1e-3, "optimizer.eps": 1e-6}
    assert [one.name for one in changes("run", 4, THEN, now, ["optimizer"])] == ["optimizer.eps", "optimizer.rate.peak"]
    with pytest.raises(ConfigError, match=r"optimizer\.eps: 1e-08 then, 1e-06 now"):
        changes("run", 4, THEN, now, ["optimizer.rate", "optimizer.e"])


def test_what_the_checkpoint_is_made_of_cannot_be_allowed() -> None:
    with pytest.raises(ConfigError, match=r"lora\.rank: 4 then, 8 now\. lora\.rank cannot change within a run, the "):
        changes("run", 4, THEN, THEN | {"lora.rank": 8}, ["lora.rank", "lora"])
    with pytest.raises(ConfigError, match=r"--allow lora\.rank: it cannot change"):
        check_allow(["lora.rank"], list(THEN))
    with pytest.raises(
        ConfigError, match=r"--allow optimizer\.lr: no option.*: optimizer\.eps, optimizer\.rate\.peak, "
    ):
        check_allow(["optimizer.lr"], list(THEN))
    check_allow(["optimizer", "seed"], list(THEN))


def test_a_checkpoint_of_an_earlier_version_is_read_with_the_defaults_of_what_it_did_not_know() -> None:
    """It nested its groups, and called two options by their last name."""
    old = {"optimizer": {"rate": {"peak": 1e-3}}, "holdout": 3, "precision": "fp32", "base": {"weights": "mini"}}
    read = read_course(old, flatten(TrainOptions().course()))
    assert (read["optimizer.rate.peak"], read["data.holdout"], read["execution.precision"]) == (1e-3, 3, "fp32")
    assert read["data.exclude"] == []
    assert read["base.weights"] == "mini"
    assert not {"holdout", "precision"} & read.keys()


def test_noise_on_the_history_by_timestep_is_a_difference_that_can_be_allowed() -> None:
    now = flatten(TrainOptions().course())
    old = {name: value for name, value in now.items() if name != "draws.history_sigma"} | {"draws.history_noise": 100}
    with pytest.raises(
        ConfigError,
        match=r"options: draws\.history_sigma: timesteps up to 100 then, 0\.34 now\..*--allow draws\.history_s",
    ):
        changes("run", 4, read_course(old, now), now, [])
    assert len(changes("run", 4, read_course(old, now), now, ["draws.history_sigma"])) == 1
    clean = now | {"draws.history_sigma": 0.0}
    assert changes("run", 4, read_course(old | {"draws.history_noise": 0}, now), clean, []) == []

"""Systems in one table sample the same way, and what does not fit a pipeline is refused."""

from typing import Any

import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.evaluation.systems import DiffusersSystem, load_system

SHARED = ("steps", "guidance", "dynamic_guidance", "scheduler", "spacing", "negative_prompt", "execution")


def sampling(name: str) -> dict[str, Any]:
    """How a shipped system samples."""
    system = load_system(name)
    chosen = system.diffusers or (system.mvideo and system.mvideo.options)
    assert chosen is not None
    return {field: getattr(chosen, field) for field in SHARED}


@pytest.mark.parametrize(
    ("ours", "baseline"),
    [
        ("mvideo-5b", "cogvideox-5b"),
        ("mvideo-5b", "fun-control"),
        ("mvideo-2b", "cogvideox-2b"),
        ("mvideo-2b", "mvideo-2b-no-consistency"),
    ],
)
def test_systems_of_a_table_share_sampler_steps_guidance_and_spacing(ours: str, baseline: str) -> None:
    assert sampling(ours) == sampling(baseline)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"pipeline": "WanVACEPipeline", "control": "outline", "scheduler": "dpm"}, "WanVACEPipeline has its own"),
        ({"pipeline": "CogVideoXPipeline", "spacing": "trailing"}, "spacing needs a scheduler: ddim or dpm"),
    ],
)
def test_sampling_that_a_pipeline_does_not_have_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        DiffusersSystem.parse({"weights": "-", **values})

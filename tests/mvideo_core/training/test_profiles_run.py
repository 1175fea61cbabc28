"""Every training profile that is shipped, run to the end at a tiny size with all its switches as they are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mvideo_core.cogvideox.adapter import load_adapter
from mvideo_core.cogvideox.base import random_base
from mvideo_core.training.callbacks.metrics import read_metrics
from mvideo_core.training.checkpoint import list_complete
from mvideo_core.training.launch import launch
from mvideo_core.training.options import PROFILES, TrainOptions, load_profile
from tests.fixtures.drawn_latents import draw_latents

NAMES = sorted(path.stem for path in PROFILES.glob("*.yaml"))
BASES = {name: "random:tiny-rope" if "5b" in name else "random:tiny-sincos" for name in NAMES}
STEPS, EVERY = 14, 7


@pytest.fixture(scope="module")
def latents_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Folder of latents for a base, drawn once."""
    made: dict[str, str] = {}

    def latents(weights: str) -> str:
        size = weights.removeprefix("random:")
        if size not in made:
            made[size] = str(draw_latents(tmp_path_factory.mktemp("latents") / size, size))
        return made[size]

    return latents


def shrunk(name: str, out: Path, latents: str, processes: int = 1) -> TrainOptions:
    """The profile with less of everything that is a size: model, data, steps, processes."""
    changes: dict[str, Any] = {
        "out": str(out),
        "steps": STEPS,
        "global_batch": 2 * processes,
        "micro_batch": 1,
        "base": {"weights": BASES[name]},
        "data": {"latents": latents, "holdout": 2},
        "lora": {"rank": 4, "alpha": 4},
        "validation": {"every": EVERY},
        "samples": {"every": EVERY, "count": 2, "inference_steps": 2},
        "checkpoints": {"every": EVERY},
        "metrics": {"every": 1},
        "launch": {"processes": processes, "nodes": 1, "threads": 1},
        "distributed": {"device": "cpu"},
    }
    return load_profile(name, changes)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "processes"), [*((name, 1) for name in NAMES), ("mvideo-2b", 2)])
def test_a_profile_trains_validates_shows_saves_and_loads(
    name: str, processes: int, latents_of: Callable[[str], str], tmp_path: Path
) -> None:
    options = shrunk(name, tmp_path / "run", latents_of(BASES[name]), processes)
    untouched = ("execution", "ema", "consistency", "optimizer", "draws")
    assert all(getattr(options, group) == getattr(load_profile(name), group) for group in untouched)
    report = launch(options)
    assert report.step == STEPS
    lines = read_metrics(options.out)
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    assert [line["step"] for line in lines if "val/loss_diffusion" in line] == [EVERY, STEPS]
    assert len(list((tmp_path / "run" / "samples").glob("*/*.mp4"))) == 4
    said = "".join(path.read_text() for path in (tmp_path / "run" / "launch").glob("*.log"))
    if options.execution.compile:
        assert said.count("torch.compile: 6 graphs in") == processes
        assert "after the warm-up" not in said
        assert "were planned" not in said
    newest = list_complete(tmp_path / "run" / "checkpoints")[-1]
    for adapter in ["adapter", *(["adapter_ema"] if options.ema.decay else [])]:
        base = random_base(BASES[name].removeprefix("random:"), parts=("transformer",))
        assert load_adapter(base.transformer, newest / adapter) == base.format

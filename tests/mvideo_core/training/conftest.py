"""Latents drawn once for the package, and the options of a run that takes a second."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mvideo_core.base.options import merge
from mvideo_core.training.options import TrainOptions

TINY: dict[str, Any] = {
    "steps": 4,
    "global_batch": 4,
    "micro_batch": 2,
    "base": {"weights": "random:tiny-sincos", "dtype": "fp32"},
    "data": {"holdout": 1, "threads": 1},
    "lora": {"rank": 4, "alpha": 4},
    "optimizer": {"rate": {"peak": 1e-3, "warmup_steps": 0}},
    "execution": {"precision": "fp32"},
    "distributed": {"device": "cpu"},
    "validation": {"every": 0},
    "metrics": {"every": 1},
    "checkpoints": {"every": 2, "keep": 0},
    "launch": {"processes": 1, "threads": 1},
}


@pytest.fixture(scope="package")
def latents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips at the tiny size."""
    import torch

    from tests.fixtures.drawn_latents import draw_latents

    torch.set_num_threads(1)
    return draw_latents(tmp_path_factory.mktemp("latents") / "tiny")


@pytest.fixture
def tiny(latents: Path, tmp_path: Path) -> Callable[..., TrainOptions]:
    """Options of a run in a folder of this test, with values over `TINY`."""

    def make(run: str = "run", **values: Any) -> TrainOptions:
        places = {"out": str(tmp_path / run), "data": {"latents": str(latents)}}
        return TrainOptions.parse(merge(merge(TINY, places), values))

    return make

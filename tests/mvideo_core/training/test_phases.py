"""What is shown of a training before its first line of metrics."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mvideo_core.training import main, phases
from mvideo_core.training.callbacks.metrics import read_metrics
from mvideo_core.training.launch import launch
from mvideo_core.training.options import TrainOptions
from mvideo_core.training.phases import PHASES, PhaseClock

Make = Callable[..., TrainOptions]


@pytest.mark.slow
def test_a_launch_says_what_it_does_until_the_first_metrics(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics come at step 3 first: until then steps are phases. Its start takes seconds and is repeated."""
    monkeypatch.setattr(phases, "AGAIN_S", 0.2)
    options = tiny(metrics={"every": 3}, steps=6)
    shown: list[str] = []
    launch(options, lambda line: shown.append(f"metrics of step {line['step']}"), on_phase=shown.append)
    aged = [words for words in shown if re.search(r" \(\d+ s\)$", words)]
    assert any(words.startswith("starting the training process (") for words in aged)
    fresh = [words for words in shown if words not in aged]
    assert re.fullmatch(r"a checkpoint of this run takes 0\.\d\d MB; kept: all", fresh.pop(6))
    assert fresh == [
        "starting the training process",
        "checking the base random:tiny-sincos against the run folder",
        "loading the base random:tiny-sincos",
        "adding the adapters",
        "moving the base to cpu",
        f"checking the latents {options.data.latents}",
        "step 1 of 6",
        "step 2 of 6",
        "step 3 of 6",
        "metrics of step 3",
        "metrics of step 6",
    ]
    log = next((Path(options.out) / "launch").glob("*.log")).read_text()
    assert re.search(r"^\d\d:\d\d:\d\d INFO loading the base random:tiny-sincos$", log, re.MULTILINE)


def test_a_resumed_run_says_what_it_loads_and_which_step_is_next(tiny: Make) -> None:
    options = tiny(steps=4)
    main.train(options.model_copy(update={"steps": 2}))
    (Path(options.out) / PHASES).unlink()
    main.train(options)
    said = (Path(options.out) / PHASES).read_text().splitlines()
    assert said[-3::2] == ['{"phase": "loading step-00000002"}', '{"phase": "step 3 of 4"}']
    assert [line["step"] for line in read_metrics(options.out)] == [1, 2, 3, 4]


def test_the_clock_shows_a_phase_at_once_and_again_after_ten_seconds() -> None:
    shown: list[str] = []
    now = [100.0]
    clock = PhaseClock(shown.append, lambda: now[0])
    clock.begin("loading")
    for now[0] in (109.0, 110.0, 111.0, 121.5):
        clock.tick()
    clock.begin("")
    now[0] = 200.0
    clock.tick()
    assert shown == ["loading", "loading (10 s)", "loading (22 s)"]


def test_compiling_is_a_phase_for_every_part(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from mvideo_core.training.callbacks.warm_up import WarmUp

    said: list[str] = []
    options = tiny(execution={"compile": True, "precision": "fp32"}, validation={"every": 1, "bins": 1})
    trainer, close = main.build(options, main.World(0, 0, 1, _cpu()), said.append)
    (warm_up,) = (one for one in trainer.callbacks if isinstance(one, WarmUp))
    monkeypatch.setattr(WarmUp, "_train", lambda self, history: None)
    monkeypatch.setattr(warm_up.validation, "warm_up", lambda world: None)
    monkeypatch.setattr(warm_up.videos, "warm_up", lambda world: None)
    warm_up.on_start(trainer)
    close()
    parts = [words for words in said if words.startswith("compiling")]
    assert re.fullmatch(r"compiling, part 1 of 5: \d+ graphs in all", parts[0])
    assert len(parts) == 5  # three histories, validation, sample videos


def _cpu() -> Any:
    import torch

    return torch.device("cpu")

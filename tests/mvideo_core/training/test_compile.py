"""Training with compiled blocks: the graphs are few, known beforehand, and all there before the first step."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mvideo_core.cogvideox import compiled
from mvideo_core.cogvideox.compiled import CompiledGraphs
from mvideo_core.training import main
from mvideo_core.training.callbacks.metrics import read_metrics
from mvideo_core.training.callbacks.warm_up import Graph, plan_graphs
from mvideo_core.training.checkpoint import list_complete
from mvideo_core.training.draws import DrawOptions, draw_step, histories
from mvideo_core.training.options import TrainOptions, load_profile
from tests.fixtures.drawn_latents import draw_latents
from tests.mvideo_core.training.test_draws import FLAT

Make = Callable[..., TrainOptions]

SHIPPED: dict[str, Any] = {
    "steps": 6,
    "global_batch": 2,
    "micro_batch": 1,
    "lora": {"target_modules": ["to_q"]},
    "ema": {"decay": 0.9},
    "execution": {"precision": "bf16", "attention": "cudnn", "compile": True},
    "validation": {"every": 3, "bins": 2},
    "samples": {"every": 3, "count": 1, "inference_steps": 2},
    "checkpoints": {"every": 3},
}
"""What the shipped profiles of the large models do, over six steps of one process."""


class Watched:
    """The graphs of every model compiled meanwhile, made by a backend that is quick to compile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, backend: str):
        self.all: list[CompiledGraphs] = []
        monkeypatch.setattr(compiled, "BACKEND", backend)
        take = CompiledGraphs.take

        def watched(graphs: CompiledGraphs, transformer: Any) -> None:
            self.all.append(graphs)
            take(graphs, transformer)

        monkeypatch.setattr(CompiledGraphs, "take", watched)
        torch._dynamo.reset()

    @property
    def one(self) -> CompiledGraphs:
        (graphs,) = self.all
        return graphs


@pytest.fixture(scope="module")
def latents_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    made: dict[str, str] = {}

    def latents(size: str) -> str:
        if size not in made:
            made[size] = str(draw_latents(tmp_path_factory.mktemp("latents") / size, size))
        return made[size]

    return latents


def weights(options: TrainOptions, name: str) -> dict[str, torch.Tensor]:
    return load_file(list_complete(Path(options.out) / "checkpoints")[-1] / name)


def both_ways(
    tiny: Make, size: str, latents: str, checkpointing: str, **more: Any
) -> tuple[TrainOptions, TrainOptions]:
    """Options of the same run compiled and not."""
    values = SHIPPED | {"base": {"weights": f"random:{size}", "dtype": "fp32"}, "data": {"latents": latents}} | more
    runs = []
    for name, on in (("compiled", True), ("plain", False)):
        execution = values["execution"] | {"gradient_checkpointing": checkpointing, "compile": on}
        runs.append(tiny(name, **(values | {"execution": execution})))
    return runs[0], runs[1]


def check_same(one: TrainOptions, other: TrainOptions, rel: float) -> None:
    """Losses of every step and validation, and the names and values of what was saved."""
    lines = [read_metrics(run.out) for run in (one, other)]
    assert len(lines[0]) == len(lines[1]) == one.steps
    for mine, theirs in zip(*lines, strict=True):
        for name in ("train/loss", *(key for key in theirs if key.startswith("val/"))):
            assert mine[name] == pytest.approx(theirs[name], rel=rel, abs=rel / 10), name
    for name in ("adapter/pytorch_lora_weights.safetensors", "adapter_ema/mvideo_conditioning.safetensors"):
        mine, theirs = weights(one, name), weights(other, name)
        assert mine.keys() == theirs.keys()
        for key in mine:
            # Adam moves every weight by up to the rate a step, whatever the size of its gradient.
            assert (mine[key] - theirs[key]).abs().max() <= 2 * one.steps * one.optimizer.rate.peak * rel * 10, key


# Six steps draw all three histories; see test_these_steps_draw_every_history.
CASES = [
    ("tiny-sincos", "none"),
    ("tiny-rope", "none"),
    ("tiny-rope", "full"),
    ("tiny-rope", "block_skip:2"),
    ("tiny-sincos", "full"),
    ("tiny-sincos", "block_skip:2"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("size", "checkpointing"), CASES)
def test_six_graphs_are_compiled_before_step_1_and_none_after(
    size: str,
    checkpointing: str,
    tiny: Make,
    latents_of: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Student with each of three histories, teacher, validation, samples: six. EMA and the mask change no graph."""
    watched = Watched(monkeypatch, "eager")
    on, off = both_ways(tiny, size, latents_of(size), checkpointing)
    with caplog.at_level(logging.INFO, logger="mvideo_core.training"):
        main.train(on)
    assert len(watched.one.made) == len(set(watched.one.made)) == 6
    assert watched.one.late == []
    told = [record.getMessage() for record in caplog.records if "torch.compile" in record.getMessage()]
    assert told[0] == "torch.compile: 6 graphs to compile before step 1"
    assert "torch.compile: 6 graphs in" in told[-1]
    assert len(list((Path(on.out) / "samples").glob("*/*.mp4"))) == 2
    main.train(off)
    check_same(on, off, 1e-6)


def test_these_steps_draw_every_history() -> None:
    drawn = {draw_step(DrawOptions(), FLAT, 0, step, 2).history for step in range(SHIPPED["steps"])}
    assert drawn == {"none", "appearance", "both"} == set(histories(DrawOptions()))


def test_planned_graphs_are_all_that_training_needs_and_any_other_is_warned_of_and_kept(
    tiny: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from tests.mvideo_core.training.test_training import ALONE

    watched = Watched(monkeypatch, "eager")
    off = {"validation": {"every": 0}, "samples": {"every": 0}, "draws": {"history_none": 1.0}}
    trainer, close = main.build(tiny(**(SHIPPED | off)), ALONE)
    for callback in trainer.callbacks:
        callback.on_start(trainer)
    assert len(watched.one.made) == 2
    trainer.fit()
    assert (len(watched.one.made), watched.one.late) == (2, [])
    with torch.no_grad():
        x = torch.zeros(3, 3, 16, 4, 8)
        trainer.objective.transformer(x, torch.zeros(3, 16, 32), torch.zeros(3, dtype=torch.long))
    close()
    assert watched.one.late == ["batch 3, 16 text + 24 video tokens (0 clean ones), gradients off"]
    assert "graph 3 was compiled after the warm-up, for batch 3" in caplog.text


def test_planned_graphs_by_hand() -> None:
    """The shipped 2b profile: three histories, teacher, validation of one sample, sample videos of two branches."""
    student = [Graph("student", 1, history, True) for history in ("none", "appearance", "both")]
    teacher = [Graph("teacher", 1, "none", False)]
    evaluation = [Graph("student", 1, "both", False), Graph("student", 2, "both", False)]
    profile = load_profile("mvideo-2b")
    assert plan_graphs(profile, True, {"both"}) == student + teacher + evaluation
    assert plan_graphs(profile, False, set()) == student + teacher
    # With larger micro-batches the teacher of validation has a shape of its own.
    bigger = load_profile("mvideo-2b", {"micro_batch": 3})
    assert len(plan_graphs(bigger, True, {"both"})) == 7
    first_clips = load_profile("mvideo-2b", {"draws": {"history_none": 1.0}, "consistency": {"alpha": 0.0}})
    assert plan_graphs(first_clips, True, {"none"}) == [
        Graph("student", 1, "none", True), Graph("student", 1, "none", False), Graph("student", 2, "none", False),
    ]  # fmt: skip


VARIANTS: dict[str, dict[str, Any]] = {
    "larger micro-batch": {"micro_batch": 2},
    "extra forward, never a first clip": {
        "consistency": {"prediction": "extra_forward"},
        "draws": {"history_none": 0.0, "history_sigma": 0.0},
    },
    "dropout": {"lora": {"dropout": 0.1}},
    "no guidance, samples as first clips": {"samples": {"guidance_scale": 1.0, "history": False}},
    "no teacher": {"consistency": {"alpha": 0.0}},
    "taught on dropped samples": {"consistency": {"prediction": "dropped"}, "draws": {"mask": 0.5}},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_other_options_compile_what_is_planned_for_them(
    name: str, tiny: Make, latents_of: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(monkeypatch, "eager")
    values: dict[str, Any] = dict(SHIPPED)
    for group, change in VARIANTS[name].items():
        values[group] = values.get(group, {}) | change if isinstance(change, dict) else change
    options = tiny(base={"weights": "random:tiny-rope"}, **(values | {"data": {"latents": latents_of("tiny-rope")}}))
    main.train(options)
    shown: set[Any] = {"both" if options.samples.history else "none"}
    assert len(watched.one.made) == len(plan_graphs(options, True, shown))
    assert watched.one.late == []


@pytest.mark.slow
@pytest.mark.parametrize(("size", "precision", "rel"), [("tiny-rope", "bf16", 2e-2), ("tiny-sincos", "fp32", 1e-4)])
def test_compiled_code_gives_the_numbers_of_plain_code(
    size: str,
    precision: str,
    rel: float,
    tiny: Make,
    latents_of: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """inductor's C++ against torch's own kernels, over six steps."""
    watched = Watched(monkeypatch, "inductor")
    execution = SHIPPED["execution"] | {"precision": precision}
    on, off = both_ways(tiny, size, latents_of(size), "none", steps=6, execution=execution)
    main.train(on)
    assert (len(watched.one.made), watched.one.late) == (6, [])
    main.train(off)
    check_same(on, off, rel)

"""Runs resumed with other options, other weights, and after steps that were not finite."""

import json
import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from mvideo_core.base.errors import ConfigError, TrainError
from mvideo_core.cogvideox.adapter_header import read_header
from mvideo_core.cogvideox.base import BaseOptions, random_base, save_base
from mvideo_core.training import main
from mvideo_core.training.callbacks.base import Callback
from mvideo_core.training.callbacks.metrics import read_metrics
from mvideo_core.training.checkpoint import list_complete, read_state
from mvideo_core.training.distributed import World
from mvideo_core.training.estimate.memory import checkpoint_bytes
from mvideo_core.training.latents.identity import base_identity
from mvideo_core.training.options import TrainOptions

Make = Callable[..., TrainOptions]
ALONE = World(0, 0, 1, torch.device("cpu"))
TRANSFORMER = Path("transformer") / "diffusion_pytorch_model.safetensors"
WILD = {"optimizer": {"rate": {"peak": 1e20}, "clip_norm": 0}, "checkpoints": {"every": 1}, "steps": 6}


def rate(peak: float) -> dict[str, Any]:
    return {"rate": {"peak": peak}}


def newest(options: TrainOptions) -> Path:
    return list_complete(Path(options.out) / "checkpoints")[-1]


def test_a_rate_changed_on_purpose_is_in_state_metrics_report_and_curves(tiny: Make) -> None:
    main.train(tiny(steps=2))
    with pytest.raises(ConfigError, match=r"rate\.peak: 0\.001 then, 0\.0005 now.*`--allow optimizer\.rate\.peak`$"):
        main.train(tiny(optimizer=rate(5e-4)))
    options = tiny(optimizer=rate(5e-4), allow=["optimizer.rate.peak"], metrics={"every": 4}, steps=6)
    main.train(options)
    change = {"step": 2, "name": "optimizer.rate.peak", "before": 1e-3, "after": 5e-4}
    lines = read_metrics(options.out)
    assert {line["step"]: line["train/rate"] for line in lines} == {1: 1e-3, 2: 1e-3, 3: 5e-4, 4: 5e-4, 6: 5e-4}
    assert [line.get("changed") for line in lines] == [None, None, [change], None, None]
    state = read_state(newest(options))
    assert [one.model_dump() for one in state.changes] == [change]
    assert state.course["optimizer.rate.peak"] == 5e-4
    assert json.loads((Path(options.out) / "report.json").read_text())["changes"] == [change]
    svg = ET.fromstring((Path(options.out) / "curves.svg").read_text())
    marks = [text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert "optimizer.rate.peak 0.001 -> 0.0005 after step 2" in marks
    main.train(tiny(optimizer=rate(5e-4), steps=8, metrics={"every": 4}))  # once changed, it needs no leave
    assert len(read_state(newest(options)).changes) == 1


def test_weights_are_compared_by_content_not_by_name(tiny: Make, latents: Path, tmp_path: Path) -> None:
    """The same under another path passes; one number of one tensor exchanged in the same folder does not."""
    save_base(random_base("tiny-sincos"), tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    data = of_base(latents, tmp_path / "one", tmp_path / "latents")
    common: dict[str, Any] = {"data": {"latents": str(data)}}
    main.train(tiny(steps=2, base={"weights": str(tmp_path / "one")}, **common))
    main.train(tiny(steps=4, base={"weights": str(tmp_path / "two")}, **common))
    tensors = load_file(tmp_path / "two" / TRANSFORMER)
    tensors["proj_out.weight"][0, 0] += 1e-3
    save_file(tensors, tmp_path / "two" / TRANSFORMER, {"format": "pt"})
    exchanged = tiny(steps=6, base={"weights": str(tmp_path / "two")}, **common)
    with pytest.raises(
        ConfigError, match=r"base\.weights: sha256:\w{12} then, sha256:\w{12} now.*--allow base\.weights"
    ):
        main.train(exchanged)
    main.train(exchanged.model_copy(update={"allow": ("base.weights",)}))
    assert [one.name for one in read_state(newest(exchanged)).changes] == ["base.weights"]


def of_base(latents: Path, base: Path, out: Path) -> Path:
    """The latents as if encoded with a base's VAE and text encoder."""
    shutil.copytree(latents, out)
    info = json.loads((out / "latents.json").read_text())
    info["identity"] = base_identity(BaseOptions(weights=str(base), dtype="fp32")).model_dump(mode="json")
    (out / "latents.json").write_text(json.dumps(info))
    return out


def test_other_latents_can_be_allowed(tiny: Make, latents: Path, tmp_path: Path) -> None:
    from tests.fixtures.drawn_latents import draw_latents

    main.train(tiny(steps=2))
    other = {"latents": str(draw_latents(tmp_path / "other", seed=1))}
    with pytest.raises(ConfigError, match=r"data\.latents: sha256:\w+ then, .*--allow data\.latents"):
        main.train(tiny(data=other))
    main.train(tiny(data=other, allow=["data.latents"]))


def test_a_rate_that_blows_the_weights_up_leaves_a_run_that_a_sane_one_continues(tiny: Make) -> None:
    """The weights after the first step of 1e20 are finite; every prediction with them is not."""
    options = tiny(**WILD)
    with pytest.raises(TrainError) as stopped:
        main.train(options)
    said = str(stopped.value)
    assert "step 1: loss nan" in said
    assert "non-finite tensor: the prediction of sample clip" in said
    assert "the largest trained weight is 1e+20" in said
    assert said.endswith(
        "step-00000001 has these weights and was set aside as nonfinite-step-00000001; the run will resume from step 0"
    )
    main.train(tiny(**WILD | {"optimizer": rate(1e-3)}, allow=["optimizer.rate.peak"]))
    assert json.loads((Path(options.out) / "report.json").read_text())["finished"]
    assert read_state(newest(options)).step == 6


def test_the_run_falls_back_to_the_checkpoint_before_the_wild_step(tiny: Make) -> None:
    main.train(tiny(steps=2))
    wild = tiny(**WILD, allow=["optimizer"])
    with pytest.raises(
        TrainError, match=r"set aside as nonfinite-step-00000003; the run will resume from step-00000002"
    ):
        main.train(wild)
    main.train(tiny(steps=3, optimizer=rate(5e-4), allow=["optimizer.rate.peak"]))
    assert [one.words() for one in read_state(newest(wild)).changes] == [
        "optimizer.rate.peak 0.001 -> 0.0005 after step 2"
    ]


def test_a_checkpoint_that_is_not_finite_is_set_aside_when_the_run_starts(tiny: Make, caplog: Any) -> None:
    main.train(tiny())
    older, damaged = list_complete(Path(tiny().out) / "checkpoints")
    file = damaged / "adapter" / "mvideo_conditioning.safetensors"
    tensors = load_file(file)
    tensors["mask_proj.weight"].view(-1)[-1] = float("inf")
    save_file(tensors, file, read_header(file))
    state = json.loads((damaged / "state.json").read_text())
    (damaged / "state.json").write_text(
        json.dumps(state | {"sha256": {}, "own_digest": ""})
    )  # as written before there were digests
    trainer, close = main.build(tiny(), ALONE)
    close()
    assert trainer.step == 2
    assert f"{damaged}: mask_proj.weight is not finite; set aside as nonfinite-step-00000004" in caplog.text
    assert list_complete(older.parent) == [older]


@pytest.mark.parametrize(
    "name",
    ["adapter/pytorch_lora_weights.safetensors", "optimizer.safetensors", "adapter/mvideo_config.json", "state.json"],
)
def test_a_checkpoint_damaged_at_the_same_length_is_set_aside_and_the_one_before_is_taken(
    tiny: Make, caplog: Any, name: str
) -> None:
    main.train(tiny())
    older, damaged = list_complete(Path(tiny().out) / "checkpoints")
    content = bytearray((damaged / name).read_bytes())
    place = content.index(b'"sha256"') + 40 if name == "state.json" else len(content) - 20
    content[place] ^= 1
    (damaged / name).write_bytes(content)
    trainer, close = main.build(tiny(), ALONE)
    close()
    assert trainer.step == 2
    assert list_complete(older.parent) == [older]
    said = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(said) == 1
    assert re.fullmatch(
        f"{damaged}: [a-z_./]+ has changed since it was written; set aside as damaged-step-00000004, resuming from "
        "step-00000002",
        said[0],
    )
    assert f" {name} has changed" in said[0]


def test_a_checkpoint_cut_short_is_passed_over_and_named(tiny: Make, caplog: Any) -> None:
    main.train(tiny())
    damaged = newest(tiny())
    with (damaged / "optimizer.safetensors").open("r+b") as stream:
        stream.truncate(100)
    trainer, close = main.build(tiny(), ALONE)
    close()
    assert trainer.step == 2
    assert f"{damaged}: state.json unreadable, or a file missing or truncated; skipped" in caplog.text


def test_weights_that_are_not_finite_are_not_written(tiny: Make) -> None:
    options = tiny(checkpoints={"every": 1})
    trainer, close = main.build(options, ALONE)
    trainer.callbacks.insert(0, Overflow())
    with pytest.raises(TrainError, match=r"step 2: exp_avg_sq of mask_proj\.weight is not finite, so no checkpoint"):
        trainer.fit()
    close()
    assert [path.name for path in (Path(options.out) / "checkpoints").iterdir()] == ["step-00000001"]


class Overflow(Callback):
    """As if the second update had overflowed."""

    def on_step(self, trainer: Any, metrics: dict[str, Any]) -> None:
        if trainer.step == 2:
            trainer.optimizer.state[trainer.parameters["mask_proj.weight"]]["exp_avg_sq"].view(-1)[0] = float("inf")


def poison(trainer: Any, steps: set[int]) -> None:
    """The loss of these steps is not finite, though their inputs are."""
    loss = trainer.objective.loss

    def poisoned(batch: Any) -> Any:
        losses = loss(batch)
        return losses._replace(total=losses.total * float("nan")) if trainer.step in steps else losses

    trainer.objective.loss = poisoned


def test_skipped_steps_change_nothing_are_counted_and_are_in_the_metrics(tiny: Make) -> None:
    """Steps 1, 2 and 4 of 6 (from 0) are not finite, two in a row may be: Adam has made three updates in the end."""
    options = tiny(steps=6, skip_nonfinite=2, optimizer={"rate": {"shape": "cosine"}}, metrics={"every": 100})
    trainer, close = main.build(options, ALONE)
    poison(trainer, {1, 2, 4})
    before: dict[int, torch.Tensor] = {}
    parameter = trainer.parameters["mask_proj.weight"]
    step = trainer.train_step

    def watched() -> dict[str, Any]:
        before[trainer.step] = parameter.detach().clone()
        return step()

    trainer.train_step = watched
    trainer.fit()
    close()
    moved = [not torch.equal(before[n], before[n + 1]) for n in range(5)]
    assert moved == [True, False, False, True, False]
    assert trainer.optimizer.state[parameter]["step"] == 3
    state = read_state(newest(options))
    assert (state.step, state.skipped, state.skipped_in_a_row) == (6, 3, 0)
    lines = read_metrics(options.out)
    assert [(line["step"], line.get("train/skipped"), "skipped" in line) for line in lines] == [
        (2, 1, True), (3, 2, True), (5, 3, True), (6, 3, False),
    ]  # fmt: skip
    assert "train/loss" not in lines[0]
    assert "NaN" not in (Path(options.out) / "metrics.jsonl").read_text()
    assert lines[1]["train/rate"] == pytest.approx(1e-3 * 0.75)  # half of (1 + cos(pi * 2 / 6))
    assert main.write_report(options.out).skipped == 3


def test_one_more_in_a_row_than_may_be_skipped_stops_the_run(tiny: Make) -> None:
    trainer, close = main.build(tiny(steps=6, skip_nonfinite=2), ALONE)
    poison(trainer, {1, 3, 4, 5})
    with pytest.raises(TrainError, match=r"step 5: .*This is number 3 in a row, skip_nonfinite is 2"):
        trainer.fit()
    close()


def test_the_gradient_that_is_not_finite_is_named(tiny: Make) -> None:
    trainer, close = main.build(tiny(), ALONE)
    trainer.parameters["mask_proj.weight"].register_hook(lambda grad: grad * float("inf"))
    with pytest.raises(TrainError, match=r"loss \d.*non-finite tensor: gradient of mask_proj\.weight of sample clip"):
        trainer.train_step()
    close()


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_at_step_0_the_weights_are_suspected(quantize: str, tiny: Make) -> None:
    trainer, close = main.build(tiny(execution={"quantize": quantize}), ALONE)
    weight = trainer.objective.transformer.proj_out.weight
    with torch.no_grad():
        weight.view(-1)[0] = float("nan")
    with pytest.raises(
        TrainError, match=r"the teacher's prediction of sample.*proj_out\.weight is not finite: copy the"
    ):
        trainer.train_step()
    with torch.no_grad():
        weight.view(-1)[0] = 3e38
    with pytest.raises(TrainError, match=r"no step has changed these weights, so the base weights are suspected"):
        trainer.train_step()
    close()


def test_excluded_clips_are_neither_trained_on_nor_held_out(tiny: Make) -> None:
    main.train(tiny(steps=2))
    with pytest.raises(ConfigError, match=r"data\.exclude: clip999: no such clip"):
        main.train(tiny(data={"exclude": ["clip999"]}, allow=["data.exclude"]))
    with pytest.raises(ConfigError, match=r"--allow data\.exclude"):
        main.train(tiny(data={"exclude": ["clip001"]}))
    trainer, close = main.build(tiny(data={"exclude": ["clip001"]}, allow=["data.exclude"]), ALONE)
    seen = {key for step in range(4) for batch in trainer.feed.step(step) for key in batch.keys}
    close()
    assert "clip001" not in seen
    assert len(seen) == 4  # of six clips one is held out, one excluded


def tensor_bytes(folder: Path) -> dict[str, int]:
    """Bytes of the tensors of each file below a folder."""
    return {
        str(file.relative_to(folder)): sum(one.nbytes for one in load_file(file).values())
        for file in folder.rglob("*.safetensors")
    }


def test_a_checkpoint_holds_each_tensor_once_and_takes_what_the_estimate_says(tiny: Make) -> None:
    options = tiny(ema={"decay": 0.9})
    trainer, close = main.build(options, ALONE)
    close()
    main.train(options)
    n_trained = sum(one.numel() for one in trainer.parameters.values())
    counters = 4 * len(trainer.parameters)  # Adam's step of each parameter
    for folder in list_complete(Path(options.out) / "checkpoints"):
        assert sum(tensor_bytes(folder).values()) == checkpoint_bytes(options, n_trained) + counters


def test_a_checkpoint_of_layout_1_resumes_to_the_same_adapters(tiny: Make) -> None:
    """It kept weights and mean a second time, by the parameters' names."""
    options = tiny(ema={"decay": 0.9})
    main.train(options)
    half, whole = list_complete(Path(options.out) / "checkpoints")
    expected = {name: (whole / name).read_bytes() for name in tensor_bytes(whole)}
    trainer, close = main.build(options, ALONE)
    close()
    for adapter, name in (("adapter", "trainable"), ("adapter_ema", "ema")):
        lora = load_file(half / adapter / "pytorch_lora_weights.safetensors")
        tensors = {
            key.removeprefix("transformer.").replace(".weight", ".default.weight"): value for key, value in lora.items()
        } | load_file(half / adapter / "mvideo_conditioning.safetensors")
        assert tensors.keys() == trainer.parameters.keys()
        save_file(tensors, half / f"{name}.safetensors")
        save_file({key: one.zero_() for key, one in lora.items()}, half / adapter / "pytorch_lora_weights.safetensors")
    old = json.loads((half / "state.json").read_text()) | {"layout": 1, "files": {}, "sha256": {}, "own_digest": ""}
    old["files"] = {"optimizer.safetensors": (half / "optimizer.safetensors").stat().st_size}
    (half / "state.json").write_text(json.dumps(old))
    shutil.rmtree(whole)
    main.train(options)
    again = list_complete(Path(options.out) / "checkpoints")[-1]
    assert read_state(again).layout == 2
    assert {name: (again / name).read_bytes() for name in tensor_bytes(again)} == expected

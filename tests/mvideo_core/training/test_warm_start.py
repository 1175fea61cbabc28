"""Runs that start from an adapter."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from mvideo_core.base.errors import ConfigError, ModelError
from mvideo_core.cogvideox.base import random_base, save_base
from mvideo_core.training import main
from mvideo_core.training.checkpoint import list_complete, read_state
from mvideo_core.training.distributed import World
from mvideo_core.training.options import TrainOptions
from tests.mvideo_core.training.test_resuming import of_base

Make = Callable[..., TrainOptions]
ALONE = World(0, 0, 1, torch.device("cpu"))
LORA = "pytorch_lora_weights.safetensors"


@pytest.fixture
def adapter(tiny: Make) -> Path:
    """Of two steps of another run."""
    options = tiny("first", steps=2, draws={"history_none": 0.0})
    main.train(options)
    return list_complete(Path(options.out) / "checkpoints")[-1] / "adapter"


def values_of(adapter: Path) -> dict[str, torch.Tensor]:
    """An adapter's tensors by peft's names."""
    names = {name: name.removeprefix("transformer.") for name in load_file(adapter / LORA)}
    for kind in "AB":
        names = {name: own.replace(f"lora_{kind}.", f"lora_{kind}.default.") for name, own in names.items()}
    lora = {names[name]: value for name, value in load_file(adapter / LORA).items()}
    return lora | load_file(adapter / "mvideo_conditioning.safetensors")


def parameters(options: TrainOptions) -> dict[str, torch.Tensor]:
    """What the first step of a run begins with."""
    trainer, close = main.build(options, ALONE)
    close()
    assert trainer.step == 0
    assert not trainer.optimizer.state
    return {name: p.detach().clone() for name, p in trainer.parameters.items()}


def test_our_adapter_gives_every_trained_value_and_a_fresh_optimizer(tiny: Make, adapter: Path) -> None:
    trained = values_of(adapter)
    for given in (adapter, adapter.parent):  # its own folder, or the checkpoint's
        begun = parameters(tiny("second", init_adapter=str(given)))
        assert begun.keys() == trained.keys()
        assert all(torch.equal(begun[name], trained[name]) for name in trained)
        assert begun["segment_embed"].any()


def test_a_plain_lora_starts_with_zero_conditioning(tiny: Make, adapter: Path, tmp_path: Path) -> None:
    """Written as diffusers' training script does: no metadata, so alpha is the rank."""
    plain = tmp_path / "plain.safetensors"
    save_file(load_file(adapter / LORA), plain)
    trained = values_of(adapter)
    begun = parameters(tiny("second", init_adapter=str(plain)))
    for name, value in begun.items():
        assert torch.equal(value, trained[name]) if ".lora_" in name else not value.any(), name
    with pytest.raises(
        ConfigError, match=r"alpha 4 over rank 4 \(not in the file.*--set lora\.rank=4 --set lora\.alpha=4"
    ):
        parameters(tiny("third", init_adapter=str(plain), lora={"alpha": 2}))


def test_rank_and_targets_are_checked_with_the_setting_that_fits(tiny: Make, adapter: Path) -> None:
    with pytest.raises(ConfigError, match=r"rank 4, lora\.rank is 8; use `--set lora\.rank=4`"):
        parameters(tiny("second", init_adapter=str(adapter), lora={"rank": 8, "alpha": 8}))
    fewer = tiny("second", init_adapter=str(adapter), lora={"target_modules": ["to_q"]})
    with pytest.raises(
        ConfigError, match=r"its targets are attn1\.to_k.*--set lora\.target_modules=\[attn1\.to_k,attn1\.to_out"
    ):
        parameters(fewer)
    named = {"target_modules": ["attn1.to_k", "attn1.to_out.0", "attn1.to_q", "attn1.to_v"]}
    assert parameters(tiny("second", init_adapter=str(adapter), lora=named))


def test_what_is_incomplete_or_of_another_model_is_refused(tiny: Make, adapter: Path, tmp_path: Path) -> None:
    def refused(values: dict[str, torch.Tensor], match: str) -> None:
        save_file(values, tmp_path / "bad.safetensors")
        with pytest.raises(ModelError, match=match):
            parameters(tiny("second", init_adapter=str(tmp_path / "bad.safetensors")))

    good = load_file(adapter / LORA)
    first = sorted(good)[0]
    refused(
        {name: value for name, value in good.items() if name != first}, "1 tensors missing, e.g. transformer_blocks"
    )
    refused(
        good | {"transformer.transformer_blocks.7.attn1.to_q.lora_A.weight": good[first].clone()},
        "1 belong to no layer",
    )
    refused(good | {first: torch.zeros(4, 3)}, r"has shape \(4, 3\), the model's is \(4, \d+\); it belongs to another")
    refused(good | {first: good[first] * float("nan")}, "is not finite; use another adapter")
    (tmp_path / "bad.safetensors").write_text("<html>")
    with pytest.raises(ModelError, match=r"bad\.safetensors: not a safetensors file"):
        parameters(tiny("second", init_adapter=str(tmp_path / "bad.safetensors")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"no pytorch_lora_weights\.safetensors here or in adapter/"):
        parameters(tiny("second", init_adapter=str(tmp_path / "empty")))
    with pytest.raises(ConfigError, match="/nowhere: no such file or folder"):
        parameters(tiny("second", init_adapter="/nowhere"))
    (adapter / "mvideo_config.json").unlink()
    with pytest.raises(
        ModelError, match=r"mvideo_config\.json is missing; .*mvideo_conditioning\.safetensors are there"
    ):
        parameters(tiny("second", init_adapter=str(adapter)))


def test_an_adapter_over_other_base_weights_is_refused_unless_allowed(
    tiny: Make, latents: Path, tmp_path: Path
) -> None:
    for seed in (0, 1):
        save_base(random_base("tiny-sincos", seed), tmp_path / f"base{seed}")
    first, other = (
        {"base": {"weights": str(tmp_path / f"base{seed}")},
         "data": {"latents": str(of_base(latents, tmp_path / f"base{seed}", tmp_path / f"latents{seed}"))}}
        for seed in (0, 1)
    )  # fmt: skip
    main.train(tiny("first", steps=1, **first))
    adapter = str(tmp_path / "first" / "checkpoints" / "step-00000001" / "adapter")
    assert parameters(tiny("second", init_adapter=adapter, **first))
    with pytest.raises(ModelError, match=r"trained with different base weights .* pass --allow init_adapter\.base"):
        parameters(tiny("third", init_adapter=adapter, **other))
    assert parameters(tiny("third", init_adapter=adapter, allow=["init_adapter.base"], **other))


def test_the_adapter_is_part_of_the_runs_identity_by_its_content(tiny: Make, adapter: Path, tmp_path: Path) -> None:
    main.train(tiny("second", steps=2, init_adapter=str(adapter)))
    moved = tmp_path / "moved"
    adapter.rename(moved)
    main.train(tiny("second", steps=4, init_adapter=str(moved)))
    for other in ({}, {"init_adapter": str(changed(moved, tmp_path / "other"))}):
        with pytest.raises(
            ConfigError, match=r"init_adapter: sha256:\w+ then, (none|sha256:\w+) now.*--allow init_adapter"
        ):
            main.train(tiny("second", steps=6, **other))
    main.train(tiny("second", steps=6, allow=["init_adapter"]))
    state = read_state(list_complete(tmp_path / "second" / "checkpoints")[-1])
    assert [one.name for one in state.changes] == ["init_adapter"]


def changed(adapter: Path, to: Path) -> Path:
    """The same adapter but for one number, metadata kept."""
    to.mkdir()
    for path in adapter.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    values = load_file(to / LORA)
    with safe_open(to / LORA, "pt") as file:
        metadata: dict[str, Any] = file.metadata()
    values[sorted(values)[0]][0, 0] += 1e-3
    save_file(values, to / LORA, metadata)
    assert json.loads(metadata["lora_adapter_metadata"])["transformer.r"] == 4
    return to

"""A whole training of the real classes at a tiny size, in this process."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mvideo_core.base.errors import ConfigError, ModelError, StoreError, TrainError
from mvideo_core.cogvideox.adapter_header import read_header
from mvideo_core.training import main
from mvideo_core.training.callbacks.metrics import read_metrics
from mvideo_core.training.checkpoint import list_complete
from mvideo_core.training.distributed import World
from mvideo_core.training.options import TrainOptions

Make = Callable[..., TrainOptions]
ALONE = World(0, 0, 1, torch.device("cpu"))


def weights(options: TrainOptions) -> dict[str, torch.Tensor]:
    """All tensors of the newest complete checkpoint, by file and name."""
    newest = list_complete(Path(options.out) / "checkpoints")[-1]
    files = newest.rglob("*.safetensors")
    return {f"{file.relative_to(newest)} {key}": one for file in files for key, one in load_file(file).items()}


def same_bits(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_stop_and_resume_equals_straight_through_bit_for_bit(tiny: Make) -> None:
    """With EMA and dropout in the adapters, and validation after every step."""
    more = {"ema": {"decay": 0.9}, "lora": {"dropout": 0.2}, "validation": {"every": 1, "bins": 2}}
    straight, broken = tiny("straight", **more), tiny("broken", **more)
    main.train(straight)
    main.train(broken.model_copy(update={"steps": 2}))
    assert not same_bits(weights(straight), weights(broken))
    main.train(broken)
    files = {key.split()[0].split("/")[0] for key in weights(broken)}
    assert files == {"adapter", "adapter_ema", "optimizer.safetensors"}
    assert same_bits(weights(straight), weights(broken))
    lines = [[drop_times(line) for line in read_metrics(run.out)[2:]] for run in (straight, broken)]
    assert lines[0] == lines[1]
    assert [line["step"] for line in read_metrics(broken.out)] == [1, 2, 3, 4]


def test_the_files_of_an_adapter_say_what_it_was_trained_on(tiny: Make) -> None:
    options = tiny("card", card={"title": "Kites", "license": "MIT"}, seed=3, ema={"decay": 0.9})
    main.train(options.model_copy(update={"steps": 2}))
    newest = list_complete(Path(options.out) / "checkpoints")[-1]
    state = json.loads((newest / "state.json").read_text())
    for folder in ("adapter", "adapter_ema"):
        header = read_header(newest / folder / "pytorch_lora_weights.safetensors")
        assert header["mvideo.data_sha256"] == state["data"] != ""
        assert (header["modelspec.title"], header["modelspec.license"]) == ("Kites", "MIT")
        assert (header["ss_steps"], header["ss_seed"]) == ("2", "3")
        conditioning = read_header(newest / folder / "mvideo_conditioning.safetensors")
        assert conditioning["mvideo.data_sha256"] == state["data"]


def drop_times(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if not name.startswith(("perf/", "mem/"))}


def test_micro_batches_equal_one_batch_to_fp32_rounding(tiny: Make) -> None:
    """Four of one sample against one of four; after one step, before Adam can amplify rounding of tiny gradients."""
    gradients = []
    for micro in (1, 4):
        trainer, close = main.build(tiny(f"micro{micro}", micro_batch=micro), ALONE)
        trainer.train_step()
        gradients.append(torch.cat([p.grad.flatten() for p in trainer.parameters.values()]))
        close()
    assert gradients[0].norm() > 0.01
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("size", ["tiny-sincos", "tiny-rope", "tiny-fine"])
def test_only_adapters_and_conditioning_change_and_the_teacher_agrees_at_step_0(
    size: str, tiny: Make, tmp_path: Path
) -> None:
    from tests.fixtures.drawn_latents import draw_latents

    latents = draw_latents(tmp_path / "latents", size)
    first_clip = {"base": {"weights": f"random:{size}"}, "draws": {"history_none": 1.0}}
    trainer, close = main.build(tiny(**first_clip, data={"latents": str(latents)}), ALONE)
    model = trainer.objective.transformer
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    losses = [trainer.train_step()["train/loss_consistency"] for _ in range(3)]
    close()
    assert losses[0] == 0.0
    assert losses[2] > 0.0
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {name for name in before if "lora_" in name} | {"mask_proj.weight"}
    assert set(trainer.parameters) == changed | {"segment_embed"}


def test_history_trains_the_segment_offsets(tiny: Make) -> None:
    trainer, close = main.build(tiny(draws={"history_none": 0.0}), ALONE)
    trainer.train_step()
    close()
    assert trainer.parameters["segment_embed"].abs().max() > 0


def test_a_nan_stops_the_run_names_the_sample_and_leaves_the_weights(tiny: Make) -> None:
    trainer, close = main.build(tiny(), ALONE)
    trainer.train_step()
    loss = trainer.objective.loss

    def poisoned(batch: Any) -> Any:
        batch.x0_BFCHW[0, 0, 0, 0, 0] = float("nan")
        return loss(batch)

    trainer.objective.loss = poisoned
    before = {name: p.detach().clone() for name, p in trainer.parameters.items()}
    with pytest.raises(TrainError, match=r"step 1: loss nan.*non-finite tensor: latents of sample clip\d+ \(rank 0\)"):
        trainer.fit()
    close()
    assert same_bits(before, {name: p.detach() for name, p in trainer.parameters.items()})


def test_target_modules_that_match_nothing_are_found_before_any_data_is_read(tiny: Make) -> None:
    options = tiny(lora={"target_modules": ["to_queue"]}, data={"latents": "/nowhere"})
    with pytest.raises(ConfigError, match=r"target_modules: 'to_queue' matches no linear layer"):
        main.train(options)


def test_latents_of_another_model_are_refused(tiny: Make) -> None:
    with pytest.raises(ConfigError, match="made with other settings than the model to be trained: vae"):
        main.train(tiny(base={"weights": "random:tiny-rope"}))


def test_resuming_with_other_options_or_another_world_is_refused(tiny: Make) -> None:
    main.train(tiny(steps=2))
    with pytest.raises(ConfigError, match=r"lora\.rank: 4 then, 8 now"):
        main.train(tiny(lora={"rank": 8}))
    with pytest.raises(ConfigError, match=r"global_batch: 4 then, 8 now"):
        main.train(tiny(global_batch=8))
    with pytest.raises(ConfigError, match=r"4 is not a multiple of 3 processes x micro_batch 2 = 6.*\[1, 2\]"):
        main.check(tiny(), world_size=3)


def test_damaged_and_half_written_checkpoints_are_passed_over(tiny: Make) -> None:
    options = tiny()
    main.train(options)
    folder = Path(options.out) / "checkpoints"
    older, newest = list_complete(folder)
    with (newest / "optimizer.safetensors").open("r+b") as stream:
        stream.truncate(100)
    (folder / ".step-00000009.part").mkdir()
    (folder / "step-00000011").mkdir()
    assert list_complete(folder) == [older]
    state = json.loads((older / "state.json").read_text())
    assert (state["step"], state["samples_seen"]) == (2, 8)
    (older / "state.json").write_text("{}")
    assert list_complete(folder) == []


def test_sample_videos_show_sample_mask_and_what_was_made(tiny: Make) -> None:
    """Clips of 9 frames of 32 x 64: three side by side are 32 x 192. The masks in the middle are black and white."""
    from mvideo_core.media.decode import read_clip

    options = tiny(steps=1, samples={"every": 1, "count": 1, "inference_steps": 2}, ema={"decay": 0.5})
    main.train(options)
    (path,) = (Path(options.out) / "samples" / "step-00000001").glob("*.mp4")
    frames = read_clip(path)
    assert frames.shape == (9, 32, 192, 3)
    extreme = ((frames < 40) | (frames > 215)).all(axis=3).mean(axis=(0, 1))
    assert extreme[72:120].mean() > 0.95
    assert max(extreme[8:56].mean(), extreme[136:184].mean()) < 0.5
    adapter = Path(options.out) / "checkpoints" / "step-00000001" / "adapter_ema"
    assert (adapter / "pytorch_lora_weights.safetensors").exists()


def test_a_second_training_in_the_same_folder_is_refused_while_the_first_lives(tiny: Make) -> None:
    from mvideo_core.base.locks import sole_owner

    options = tiny()
    held = sole_owner(Path(options.out), "training", "`out`")
    with held, pytest.raises(StoreError, match=rf"live training \(process {os.getpid()}\)"):
        main.train(options)


def test_a_missing_tracker_is_found_first(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)  # Python's own way to say that there is no such module
    with pytest.raises(ModelError, match="wandb is requested but not installed; run `pip install wandb`"):
        main.check(tiny(metrics={"wandb_project": "p"}), world_size=1)

"""Training over an int8 base, for real at a tiny size on a CPU."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import CogVideoXPipeline
from safetensors.torch import load_file

from mvideo_core.base.errors import ConfigError
from mvideo_core.cogvideox.base import random_base
from mvideo_core.cogvideox.fun_control import plain
from mvideo_core.training import main
from mvideo_core.training.callbacks.metrics import read_metrics
from mvideo_core.training.checkpoint import list_complete
from mvideo_core.training.distributed import World
from mvideo_core.training.options import TrainOptions

pytest.importorskip("torchao")
Make = Callable[..., TrainOptions]
ALONE = World(0, 0, 1, torch.device("cpu"))
INT8 = {"execution": {"quantize": "int8"}}


def losses(options: TrainOptions) -> list[float]:
    return [line["train/loss"] for line in read_metrics(options.out)]


def adapter(options: TrainOptions) -> Path:
    return list_complete(Path(options.out) / "checkpoints")[-1] / "adapter"


def test_the_loss_is_that_of_the_full_base_to_a_percent_and_resuming_gives_the_same_bits(tiny: Make) -> None:
    full, straight, broken = tiny("full"), tiny("straight", **INT8), tiny("broken", **INT8)
    main.train(full)
    main.train(straight)
    main.train(broken.model_copy(update={"steps": 2}))
    main.train(broken)
    assert losses(straight) == pytest.approx(losses(full), rel=0.01)
    assert losses(straight) != losses(full)
    one, other = (load_file(adapter(run) / "pytorch_lora_weights.safetensors") for run in (straight, broken))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    with pytest.raises(ConfigError, match=r"execution.quantize: int8 then, none now"):
        main.train(tiny("straight", steps=6))


def test_the_adapter_loads_into_plain_diffusers_over_the_full_base(tiny: Make) -> None:
    run = tiny(**INT8, steps=2)
    main.train(run)
    base = random_base("tiny-sincos")
    assert base.transformer is not None
    pipeline = CogVideoXPipeline(
        tokenizer=base.tokenizer,
        text_encoder=base.text_encoder,
        vae=base.vae,
        transformer=plain(base.transformer),
        scheduler=base.scheduler,
    )
    x, text, t = torch.randn(1, 3, 16, 4, 8), torch.randn(1, 16, 32), torch.tensor([500])
    with torch.no_grad():
        before = pipeline.transformer(x, text, t, return_dict=False)[0]
        pipeline.load_lora_weights(str(adapter(run)))
        after = pipeline.transformer(x, text, t, return_dict=False)[0]
    assert (after - before).abs().max() > 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", ["none", "full"])
def test_compiled_blocks_give_the_gradient_of_eager_ones(tiny: Make, checkpointing: str) -> None:
    gradients = []
    for compiled in (False, True):
        execution: dict[str, Any] = {"quantize": "int8", "gradient_checkpointing": checkpointing, "compile": compiled}
        trainer, close = main.build(tiny(f"compile-{compiled}", execution=execution), ALONE)
        trainer.train_step()
        gradients.append(torch.cat([p.grad.flatten() for p in trainer.parameters.values() if p.grad is not None]))
        close()
    assert gradients[0].norm() > 0.01
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-5)

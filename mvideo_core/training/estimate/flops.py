"""FLOPs of a training step, counted by torch on the meta device: matrix products and attention, 2 per multiply-add."""

from typing import TYPE_CHECKING, Any

from mvideo_core.training.estimate.shape import ModelShape, empty_inputs, model_shape, on_meta

if TYPE_CHECKING:
    from mvideo_core.training.options import TrainOptions


def count_flops(options: "TrainOptions", batch: int = 1) -> dict[str, float]:
    """FLOPs of teacher, student forward, backward and their sum "step", without recomputation.

    All blocks are equal, so models with one and two blocks determine the count for any number.
    """
    shape = model_shape(options)
    one, two = (_count(options, shape, layers, batch) for layers in (1, 2))
    more = shape.config["num_layers"] - 1
    flops = {name: one[name] + more * (two[name] - one[name]) for name in one}
    return flops | {"step": sum(flops.values())}


def _count(options: "TrainOptions", shape: ModelShape, layers: int, batch: int) -> dict[str, float]:
    import torch
    from torch import nn
    from torch.utils.flop_counter import FlopCounterMode

    from mvideo_core.cogvideox.teacher import teacher_view

    flops: dict[str, float] = {}
    model: Any = on_meta(options, shape.config, layers)
    nn.Module.to(model, torch.float32)
    with torch.device("meta"):
        given = empty_inputs(shape, batch, torch.float32)
        with FlopCounterMode(display=False) as counter, teacher_view(model):
            model(given.x, given.text, given.timestep, return_dict=False)
        flops["teacher"] = counter.get_total_flops()
        with FlopCounterMode(display=False) as counter:
            out = model(given.x, given.text, given.timestep, conditions=given.conditions, return_dict=False)[0]
        flops["forward"] = counter.get_total_flops()
        with FlopCounterMode(display=False) as counter:
            out.sum().backward()
        flops["backward"] = counter.get_total_flops()
    return flops

"""GPU memory of one training process, and size of a checkpoint. Docs and tests state how far it was verified."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from mvideo_core.base.records import Record
from mvideo_core.training.estimate.shape import Inputs, ModelShape, empty_inputs, model_shape, on_meta

if TYPE_CHECKING:
    from torch import nn

    from mvideo_core.training.options import TrainOptions

CONTEXT_BYTES = 800 << 20
"""Assumed: CUDA context, cuBLAS and cuDNN handles."""
FRAGMENTATION = 0.05
"""Assumed: extra fraction that the caching allocator holds beyond the allocated memory."""
FP32, SCALE = 4, 4


class Memory(Record):
    """Bytes at the peak of a training step, by purpose.

    Attributes:
        n_frozen, n_trained: parameters.
        trained: parameters, gradients, Adam's two moments, and the running mean (EMA) if it is on; fp32.
        activations: all live tensors at the peak of forward and backward, counted.
        per_block: how much of that each block adds, on average over those recomputed and those not.
        workspace: fp32 accumulator of the attention's backward kernel; two dequantized copies of the largest weight.
        samples: peak while sample videos are generated, besides `trained` and `context`; 0: no sample videos.
    """

    n_frozen: int
    n_trained: int
    frozen: int
    trained: int
    activations: int
    per_block: int
    workspace: int
    context: int = CONTEXT_BYTES
    samples: int = 0

    @property
    def step(self) -> int:
        """Peak of a step, without fragmentation."""
        return self.frozen + self.trained + self.activations + self.workspace

    @property
    def total(self) -> int:
        """Free memory that the GPU needs."""
        fullest = max(self.step, self.samples + self.trained if self.samples else 0)
        return int(fullest * (1 + FRAGMENTATION)) + self.context


def estimate_memory(options: "TrainOptions") -> Memory:
    """Peak of one process of this training run on a GPU; takes a few seconds of CPU time.

    Raises:
        ConfigError, ModelError: no such base model.
    """
    shape = model_shape(options)
    model = on_meta(options, shape.config)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    copies = 4 + (options.ema.decay > 0)
    frozen = _frozen_bytes(options, model)
    activations = count_activations(options, shape)
    return Memory(
        n_frozen=sum(p.numel() for p in model.parameters() if not p.requires_grad),
        n_trained=trained,
        frozen=frozen,
        trained=FP32 * copies * trained,
        activations=activations.total,
        per_block=activations.per_block,
        workspace=_workspace(options, shape, model),
        samples=_sample_bytes(options, shape, frozen) if options.samples.every else 0,
    )


class Activations(NamedTuple):
    """Bytes at the peak of forward and backward, and how much of them each block adds."""

    total: int
    per_block: int


def count_activations(options: "TrainOptions", shape: ModelShape | None = None) -> Activations:
    """Peak of all tensors that forward and backward of one micro-batch allocate, counted on fake tensors.

    All blocks are equal, so the peak grows by the same amount with every period of `gradient_checkpointing`: two small
    numbers of blocks determine it for any number.
    """
    shape = shape or model_shape(options)
    layers, choice = shape.config["num_layers"], options.execution.gradient_checkpointing
    period = int(choice.partition(":")[2] or 1)
    rest = layers % period
    few, more = rest + 2 * period, rest + 3 * period
    low, high = (peak_of_step(options, shape, n) for n in (few, more))
    whole = peak_of_step(options, shape, layers) if layers <= more else low + (high - low) * ((layers - few) // period)
    return Activations(whole, (high - low) // period)


def peak_of_step(options: "TrainOptions", shape: ModelShape, layers: int) -> int:
    """Peak bytes of forward and backward with that many blocks."""
    import torch

    from mvideo_core.training.estimate.live import LiveBytes, fake_mode, fake_tensors
    from mvideo_core.training.execution import input_dtype

    model = on_meta(options, shape.config, layers)
    model.set_gradient_checkpointing(options.execution.gradient_checkpointing)
    dtype = input_dtype(options.execution)
    with fake_mode():
        fake_tensors(model)
        given = empty_inputs(shape, options.micro_batch, dtype)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.grad = torch.zeros_like(parameter)  # the trainer's buffer: part of `trained`
        with LiveBytes() as live:
            live.outside([*model.parameters(), *model.buffers(), given])
            loss: Any = sum(_predictions(options, model, given, dtype))
            loss.backward()
    return live.peak


def checkpoint_bytes(options: "TrainOptions", n_trained: int) -> int:
    """Size of one checkpoint: weights, Adam's two moments, and EMA if it is on, fp32."""
    return FP32 * n_trained * (3 + (options.ema.decay > 0))


def most_checkpoints(options: "TrainOptions") -> int:
    """Maximum number of checkpoints on disk: those kept, plus the one being written."""
    made = options.steps // options.checkpoints.every + 1
    return min(made, options.checkpoints.keep + 1) if options.checkpoints.keep else made


def _predictions(options: "TrainOptions", model: Any, given: Inputs, dtype: Any) -> "Iterator[Any]":
    """Losses of the student's forward passes, as computed by the objective."""
    import torch

    twice = options.consistency.alpha > 0 and options.consistency.prediction == "extra_forward"
    for conditions in [given.conditions, None][: 1 + twice]:
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype != torch.float32):
            out = model(given.x, given.text, given.timestep, conditions=conditions, return_dict=False)[0]
        yield out.float().square().mean()


def _frozen_bytes(options: "TrainOptions", model: "nn.Module") -> int:
    eight = options.execution.quantize != "none"
    total = 0
    for name, one in model.named_parameters():
        if one.requires_grad:
            continue
        in_eight = eight and one.ndim == 2 and re.match(r"transformer_blocks\..*weight$", name)
        total += one.numel() + SCALE * len(one) if in_eight else one.numel() * one.element_size()
    return total + sum(buffer.numel() * buffer.element_size() for buffer in model.buffers())


def _workspace(options: "TrainOptions", shape: ModelShape, model: Any) -> int:
    shapes = shape.latents
    target, motion = ((frames, h, w) for frames, _, h, w in (shapes["target"], shapes["motion"]))
    dim = model.config.num_attention_heads * model.config.attention_head_dim
    accumulator = FP32 * options.micro_batch * model.token_count(target, motion) * dim
    if options.execution.quantize == "none":
        return accumulator
    largest = max(p.numel() * p.element_size() for p in model.parameters() if not p.requires_grad and p.ndim == 2)
    return accumulator + 2 * largest


def _sample_bytes(options: "TrainOptions", shape: ModelShape, frozen: int) -> int:
    """Peak while generating sample videos: transformer with both guidance branches, and the VAE; together or in
    turns.
    """
    import torch

    from mvideo_core.cogvideox.base import torch_dtype
    from mvideo_core.training.estimate.vae import vae_bytes

    two = options.model_copy(update={"micro_batch": 2 if options.samples.guidance_scale != 1 else 1})
    with torch.no_grad():
        sampling = frozen + _sampling_peak(two, shape)
    weights, decoding = vae_bytes(shape, torch_dtype(options.base.dtype))
    if options.samples.offload:
        return max(sampling, weights + decoding)
    return max(sampling + weights, frozen + weights + decoding)


def _sampling_peak(options: "TrainOptions", shape: ModelShape) -> int:
    """Without gradients, the peak is that of one block, regardless of their number."""
    import torch

    from mvideo_core.training.estimate.live import LiveBytes, fake_mode, fake_tensors
    from mvideo_core.training.execution import input_dtype

    model = on_meta(options, shape.config, 2).eval()
    dtype = input_dtype(options.execution)
    with fake_mode():
        fake_tensors(model)
        given = empty_inputs(shape, options.micro_batch, dtype)
        with LiveBytes() as live, torch.autocast("cpu", torch.bfloat16, enabled=dtype != torch.float32):
            live.outside([*model.parameters(), *model.buffers()])
            model(given.x, given.text, given.timestep, conditions=given.conditions, return_dict=False)
    return live.peak

"""`L = L_d + alpha * L_c` (paper, equation 2): v-prediction error, and distance from the base model's prediction.

`L_d` is the mean squared error of the predicted velocity `sqrt(a) noise - sqrt(1-a) x0`. `L_c` is the mean squared
error between a prediction of the trained model and that of the base model, which has no adapters, mask or history.
`consistency.prediction` selects which prediction of the trained model is used:

| Value | `L_c` applies to |
|---|---|
| `conditioned` (default) | the prediction with mask and history, as in the paper; masks have less effect |
| `dropped` | first-clip samples with a dropped mask, which get the whole weight of `L_c`; other steps have none |
| `extra_forward` | a second prediction without conditions, at the cost of a forward and backward pass |

Noise, targets and losses are fp32, because the schedule's small coefficients vanish in bf16. Both losses are means over
all elements of the velocity. For CogVideoX, this equals the loss of the usual training scripts: the x0 error weighted
by 1 / (1 - alpha_bar).

Shape letters: B batch, F latent frames, C channels, H, W; G: slots of the global batch.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import Field

from mvideo_core.base.options import Options

if TYPE_CHECKING:
    import torch

    from mvideo_core.cogvideox.schedule import Schedule
    from mvideo_core.training.batches import Batch
    from mvideo_core.training.draws import StepDraws


Observer = Callable[[str, str, "torch.Tensor | None"], None]


class ConsistencyOptions(Options):
    """The consistency loss L_c (paper, section 3.4)."""

    alpha: float = Field(default=1.0, ge=0, description="weight of L_c; the paper's value is 1.0; 0: no teacher")
    prediction: Literal["conditioned", "dropped", "extra_forward"] = Field(
        default="conditioned",
        description="which prediction is compared with the teacher's: conditioned, with mask and history (the paper's "
        "wording); dropped, only samples whose conditions were dropped; extra_forward, a second prediction without "
        "conditions, at the cost of a second forward and backward pass",
    )
    every: int = Field(default=1, ge=1, description="steps between teacher runs; L_c is then multiplied by this number")


class Losses(NamedTuple):
    """What `loss` returns: `total` to differentiate, detached means for the metrics."""

    total: "torch.Tensor"
    parts: dict[str, "torch.Tensor"]


class SampleLosses(NamedTuple):
    """Losses of each sample, fp32; consistency_B is None if no teacher ran."""

    diffusion_B: "torch.Tensor"
    consistency_B: "torch.Tensor | None"


class MVideoObjective:
    """The loss of MVideo on a micro-batch.

    Args:
        transformer: MVideoTransformer3DModel with adapters.
        schedule: its noise schedule.
        options: consistency loss.
        dtype: of the model's inputs, and of autocast if it is not fp32.
    """

    parts = ("diffusion", "consistency")

    def __init__(
        self, transformer: Any, schedule: "Schedule", options: ConsistencyOptions, dtype: "torch.dtype | None" = None
    ):
        import torch

        self.transformer, self.schedule, self.options = transformer, schedule, options
        self.dtype = dtype or torch.float32
        self._observe: Observer = _ignore

    @property
    def device(self) -> "torch.device":
        """Where the model is."""
        return next(self.transformer.parameters()).device

    def loss(self, batch: "Batch") -> Losses:
        """Total loss and its parts, means over the micro-batch; its random draws depend only on `batch.seed`."""
        import torch

        torch.manual_seed(batch.seed)
        one = self.sample_losses(batch)
        diffusion, consistency = one.diffusion_B.mean(), one.diffusion_B.new_zeros(())
        if one.consistency_B is not None:
            consistency = (batch.consistency_B.to(one.diffusion_B.device) * one.consistency_B).mean()
        total = diffusion + self.options.alpha * consistency
        return Losses(total, {"diffusion": diffusion.detach(), "consistency": consistency.detach()})

    def inputs(self, batch: "Batch") -> "list[tuple[str, torch.Tensor | None]]":
        """The tensors from the latents, described in words, batch first."""
        return [
            ("latents", batch.x0_BFCHW),
            ("text embedding", batch.text_BLC),
            ("mask latents", batch.mask_BFCHW),
            ("latents of the previous clip's last frame", batch.appearance_BFCHW),
            ("latents of the previous clip", batch.motion_BFCHW),
        ]

    def weights(self) -> "Iterator[tuple[str, torch.Tensor]]":
        """Every parameter by name, frozen and trained; quantized ones dequantized."""
        import torch

        for name, parameter in self.transformer.named_parameters():
            plain = type(parameter.data) is torch.Tensor
            yield name, parameter if plain else parameter.dequantize()

    @contextlib.contextmanager
    def watch(self, observe: "Observer") -> "Iterator[None]":
        """Inside the block, `observe(place, words, tensor)` receives predictions and losses as computed (`ORDER`)."""
        self._observe = observe
        try:
            yield
        finally:
            self._observe = _ignore

    def sample_losses(self, batch: "Batch") -> SampleLosses:
        """L_d and L_c of every sample, before the weights of `batch.consistency_B`."""
        level_B = batch.timestep_B  # stays on the CPU, with the schedule's tables: no wait for the GPU
        batch = batch.to(self.device)
        x_t = self.schedule.noisy(batch.x0_BFCHW, batch.noise_BFCHW, level_B)
        target = self.schedule.velocity(batch.x0_BFCHW, batch.noise_BFCHW, level_B)
        # The teacher runs first: its activations are freed before the student's are kept.
        taught = self.teach(x_t, batch) if batch.with_teacher and self.options.alpha > 0 else None
        self._observe("teacher", "the teacher's prediction", taught)
        student = self.predict(x_t, batch, conditioned=True)
        self._observe("prediction", "the prediction", student)
        diffusion_B = squared_error(student, target, batch.weight_BFHW)
        self._observe("loss", "the loss", diffusion_B)
        if taught is None:
            return SampleLosses(diffusion_B, None)
        if self.options.prediction == "extra_forward":
            student = self.predict(x_t, batch, conditioned=False)
            self._observe("prediction", "the prediction without conditions", student)
        consistency_B = squared_error(student, taught)
        self._observe("loss", "the consistency loss", consistency_B)
        return SampleLosses(diffusion_B, consistency_B)

    def teach(self, x_t: "torch.Tensor", batch: "Batch") -> "torch.Tensor":
        """The base model's velocity: same noisy latents, text and timestep; no adapters, no mask, no history."""
        import torch

        from mvideo_core.cogvideox.teacher import teacher_view

        with torch.no_grad(), teacher_view(self.transformer):
            return self.predict(x_t, batch, conditioned=False)

    def predict(self, x_t: "torch.Tensor", batch: "Batch", conditioned: bool) -> "torch.Tensor":
        """The model's velocity in fp32."""
        import torch

        from mvideo_core.cogvideox.conditions import Conditions

        conditions = None
        if conditioned:
            clean = (batch.mask_BFCHW, batch.appearance_BFCHW, batch.motion_BFCHW)
            mask, appearance, motion = (None if one is None else one.to(self.dtype) for one in clean)
            conditions = Conditions(
                mask_BFCHW=mask, appearance_BFCHW=appearance, motion_BFCHW=motion, timestep_B=batch.history_timestep_B
            )
        mixed = self.dtype != torch.float32
        with torch.autocast(x_t.device.type, dtype=self.dtype if mixed else torch.bfloat16, enabled=mixed):
            out = self.transformer(
                x_t.to(self.dtype), batch.text_BLC.to(self.dtype), batch.timestep_B, conditions=conditions,
                return_dict=False,
            )  # fmt: skip
        return out[0].float()


def _ignore(place: str, words: str, tensor: "torch.Tensor | None") -> None:
    """Default: nothing is observed."""


def consistency_weights(options: ConsistencyOptions, drawn: "StepDraws") -> "torch.Tensor":
    """Weight of each slot's L_c, (G,) fp32; mean 1 over the global batch, times `every` on steps with a teacher run.

    With prediction = "dropped" the samples without conditions share the whole weight; a step without such samples has
    zeros.
    """
    import torch

    ones_G = torch.ones(len(drawn.timestep_G))
    if options.alpha == 0 or drawn.step % options.every:
        return 0 * ones_G
    if options.prediction != "dropped":
        return options.every * ones_G
    bare_G = drawn.bare_G.float()
    return options.every * len(bare_G) * bare_G / bare_G.sum().clamp(min=1)


def squared_error(
    predicted: "torch.Tensor", target: "torch.Tensor", weight_BFHW: "torch.Tensor | None" = None
) -> "torch.Tensor":
    """Mean squared error of each sample, (B,), fp32.

    Args:
        weight_BFHW: of each cell of (B, F, C, H, W), mean 1 in every sample; None: equal weights.
    """
    squared = (predicted.float() - target.float()).square()
    if weight_BFHW is not None:
        squared = squared * weight_BFHW[:, :, None]
    return squared.flatten(1).mean(1)

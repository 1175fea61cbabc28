"""Why a step was not finite: the first non-finite tensor in the order of computation, and its likely cause.

The step's micro-batches are run again with their own seeds, and each tensor is checked as it is computed: inputs, the
teacher's prediction, the model's, the loss, then each parameter's gradient.

Shape letters: B: batch.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch

    from mvideo_core.training.loop import Trainer

INPUTS, GRADIENT = "inputs", "gradient"
ORDER = (INPUTS, "teacher", "prediction", "loss", GRADIENT)
"""Stages, in the order of computation."""


class Finding(NamedTuple):
    """The first non-finite tensor of a micro-batch.

    Attributes:
        place: one of `ORDER`.
        what: the tensor in words.
        keys: samples with non-finite values; for a gradient, all of the micro-batch.
    """

    place: str
    what: str
    keys: tuple[str, ...]


class Diagnosis(NamedTuple):
    """The joint finding of all ranks.

    Attributes:
        text: one or two sentences, including what to do.
        weights_suspected: every micro-batch failed on finite inputs, so the weights are bad.
    """

    text: str
    weights_suspected: bool


def diagnose(trainer: "Trainer", batches: Sequence[Any]) -> Diagnosis:
    """Find the first non-finite tensor; call it on all ranks together, before the weights are changed."""
    mine = [examine(trainer, batch) for batch in batches]
    findings = trainer.world.gather(mine)
    found = [(ORDER.index(one.place), rank, one) for rank, ones in enumerate(findings) for one in ones if one]
    if not found:
        return Diagnosis(
            "Recomputed, every tensor is finite, so a kernel or the hardware is suspected. Start the run again",
            False,
        )
    _, rank, first = min(found, key=lambda one: one[:2])
    everywhere = first.place != INPUTS and len(found) == sum(map(len, findings))
    keys = ", ".join(first.keys[:3]) + (f" and {len(first.keys) - 3} more" if len(first.keys) > 3 else "")
    text = f"The first non-finite tensor: {first.what} of sample {keys} (rank {rank}). "
    return Diagnosis(text + _remedy(trainer, first, everywhere), everywhere)


def examine(trainer: "Trainer", batch: Any) -> Finding | None:
    """Run one micro-batch again; leaves its gradient in the gradient buffer."""
    keys = tuple(getattr(batch, "keys", ()))
    found: list[Finding] = []

    def look(place: str, what: str, tensor: "torch.Tensor | None") -> None:
        if tensor is not None and not found and (bad := _bad_rows(tensor)):
            found.append(Finding(place, what, tuple(keys[row] for row in bad if row < len(keys))))

    for what, tensor in trainer.objective.inputs(batch):
        look(INPUTS, what, tensor)
    for parameter in trainer.parameters.values():
        if parameter.grad is not None:
            parameter.grad.zero_()
    with trainer.objective.watch(look):
        losses = trainer.objective.loss(batch)
    (losses.total / trainer.n_micro).backward()
    if not found:
        name = _largest_gradient(trainer)
        return Finding(GRADIENT, name, keys) if name else None
    return found[0]


def first_not_finite(tensors: "Iterator[tuple[str, torch.Tensor]]") -> str:
    """Name of the first tensor with a non-finite value; "" if all are finite."""
    return next((name for name, tensor in tensors if not bool(tensor.detach().isfinite().all())), "")


def _bad_rows(tensor: "torch.Tensor") -> list[int]:
    bad_B = ~tensor.detach().isfinite().flatten(1).all(1) if tensor.ndim > 1 else ~tensor.detach().isfinite()
    return [int(row) for row in bad_B.nonzero().flatten().tolist()]


def _largest_gradient(trainer: "Trainer") -> str:
    """The first gradient that is not finite or whose square overflows, last parameter first, as they are computed."""
    gradients = [(name, p.grad) for name, p in trainer.parameters.items() if p.grad is not None]
    name = first_not_finite(iter(reversed(gradients)))
    if name:
        return f"gradient of {name}"
    over = next((name for name, grad in gradients if not bool(grad.norm().isfinite())), "")
    return f"norm of the gradient of {over}" if over else ""


def _remedy(trainer: "Trainer", first: Finding, everywhere: bool) -> str:
    if first.place == INPUTS:
        keys = ",".join(first.keys)
        return (
            "The latents are damaged: encode these clips again, or exclude them with "
            f"`--set data.exclude=[{keys}] --allow data.exclude`"
        )
    frozen = first_not_finite(trainer.objective.weights())
    if frozen:
        return f"The weight {frozen} is not finite: copy the base weights again (`mvideo weights check`)"
    if first.place == "teacher" or trainer.step == 0:
        return (
            "The inputs are finite and no step has changed these weights, so the base weights"
            + (" or the first adapter" if first.place != "teacher" else "")
            + " are suspected: check them (`mvideo weights check`), and check that they support this precision"
        )
    largest, value = max(
        ((name, float(p.detach().abs().max())) for name, p in trainer.parameters.items()), key=lambda one: one[1]
    )
    why = f"the largest trained weight is {value:.3g} ({largest})"
    lower = "`--set optimizer.rate.peak=... --allow optimizer.rate.peak`"
    if everywhere:
        return f"The inputs are finite and every sample fails; {why}, so the rate is suspected: lower it with {lower}"
    return (
        f"The inputs are finite and other samples pass; {why}. Skip such steps with `--set skip_nonfinite=3`, exclude "
        f"the sample with `--set data.exclude=[{first.keys[0] if first.keys else ''}] --allow data.exclude`, or "
        f"lower the rate with {lower}"
    )

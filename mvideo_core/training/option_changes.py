"""When a run resumes, the options that determine its weights are compared with those of its checkpoint.

* The LoRA's rank, alpha and targets, and the global batch, cannot change within a run.
* These change only with `--allow`, which takes an option or a group such as `optimizer`: `base`, `lora`, `draws`,
  `mask_loss`, `consistency`, `optimizer`, `ema`, `seed`, the latents, `data.holdout`, `data.exclude`, `data.order`,
  `init_adapter`, `execution.precision`, `execution.quantize`, and `steps` with a cosine learning rate.
* Everything else may change, such as the number of processes and `micro_batch` (their product must divide the global
  batch), `skip_nonfinite`, speed options, validation, samples, metrics and checkpoints.

Base weights, latents and the adapter a run starts from are compared by the digest of their content, not by name. An
allowed difference is recorded in the checkpoints, in metrics.jsonl and in the report.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import Field

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options

DATA = "data.latents"
BASE = "base.weights"
_SHAPES = "the checkpoint's tensors have this shape"
FIXED = {
    "lora.rank": _SHAPES,
    "lora.target_modules": _SHAPES,
    "lora.alpha": "the trained adapters are scaled by it",
    "global_batch": "the position in the data is counted in it",
}
"""Options that no run can change, and why."""
RENAMED = {"holdout": "data.holdout", "precision": "execution.precision"}
"""Names from checkpoints of earlier versions."""
HISTORY_TIMESTEPS = "draws.history_noise"
"""Option of earlier versions: the history's noise, which depended on the base's schedule."""
SHOWN_DIGITS = 12


class Change(Options):
    """An option that was deliberately changed during a run."""

    step: int = Field(description="optimizer steps done before the change")
    name: str = Field(description="the option, e.g. optimizer.rate.peak")
    before: Any = Field(description="value up to that step")
    after: Any = Field(description="value after that step")

    def words(self) -> str:
        """ "optimizer.rate.peak 1e+20 -> 0.001 after step 4"."""
        return f"{self.name} {_format_value(self.before)} -> {_format_value(self.after)} after step {self.step}"


def flatten(values: dict[str, Any], place: str = "") -> dict[str, Any]:
    """Flatten nested mappings into one, with names joined by dots."""
    return dict(_flatten(values, place))


def changes(where: str, step: int, before: dict[str, Any], now: dict[str, Any], allow: Sequence[str]) -> list[Change]:
    """The differences between two courses, all of them allowed.

    Args:
        where: the checkpoint, for the message.
        step: optimizer steps done there.
        before, now: flat courses (name -> value). A name that only one of them has counts as None in the other.
        allow: names of options, or of groups of them ("optimizer", "optimizer.rate").

    Raises:
        ConfigError: names every difference that is not allowed, with both values and what to do.
    """
    found = [
        Change(step=step, name=name, before=before.get(name), after=now.get(name))
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]
    refused = [one for one in found if one.name in FIXED or not is_allowed(one.name, allow)]
    if not refused:
        return found
    differences = ", ".join(
        f"{one.name}: {_format_value(one.before)} then, {_format_value(one.after)} now" for one in refused
    )
    fixed = [one.name for one in refused if one.name in FIXED]
    if fixed:
        why = "; ".join(f"{name} cannot change within a run, {FIXED[name]}" for name in fixed)
        raise ConfigError(
            f"{where} was trained with other options: {differences}. {why}: restore it, or use another `out`"
        )
    flags = " ".join(f"--allow {one.name}" for one in refused)
    raise ConfigError(
        f"{where} was trained with other options: {differences}. Restore them, use another `out`, or change them "
        f"on purpose from step {step} on with `{flags}`"
    )


def is_allowed(name: str, allow: Sequence[str]) -> bool:
    """Whether `allow` names an option, directly or by its group."""
    return any(name == one or name.startswith(f"{one}.") for one in allow)


def check_allow(allow: Sequence[str], names: Sequence[str]) -> None:
    """Reject names that are not options.

    Args:
        names: the options that determine the resulting weights.

    Raises:
        ConfigError: a name that does not exist, or an option that cannot change.
    """
    for one in allow:
        if one in FIXED:
            raise ConfigError(f"--allow {one}: it cannot change within a run, {FIXED[one]}; use another `out` folder")
        if not any(is_allowed(name, [one]) for name in names):
            free = ", ".join(name for name in sorted(names) if name not in FIXED)
            raise ConfigError(f"--allow {one}: no option that a run depends on has this name; allowed: {free}")


def read_course(course: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """The flat course of a checkpoint, whichever version wrote it; an option that it lacks had its default."""
    read = defaults | {RENAMED.get(name, name): value for name, value in flatten(course).items()}
    if (largest := read.pop(HISTORY_TIMESTEPS, None)) is not None:
        read["draws.history_sigma"] = f"timesteps up to {largest}" if largest else 0.0
    return read


def _flatten(values: dict[str, Any], place: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{place}{key}.")
        else:
            yield f"{place}{key}", value


def _format_value(value: Any) -> str:
    if value is None or value == "":
        return "none"
    text = str(value)
    if text.startswith("sha256:"):
        return text[: len("sha256:") + SHOWN_DIGITS]
    return text

"""mvideo train run | stop | report | estimate | profiles: LoRA training on cached latents."""

import time
from pathlib import Path
from typing import Any

import typer
import yaml

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import merge
from mvideo_core.cli.settings import local_only, print_profiles, read_values
from mvideo_core.doctor import CheckContext, require
from mvideo_core.training.callbacks.metrics import loss_words
from mvideo_core.training.callbacks.stopping import STOP
from mvideo_core.training.launch import launch
from mvideo_core.training.option_changes import Change
from mvideo_core.training.options import PROFILES, load_profile
from mvideo_core.training.report import last_line, write_report

train_app = typer.Typer(no_args_is_help=True, help="LoRA training of MVideo on cached latents, 1 to N GPUs.")
RUN = typer.Argument(help="Run folder.", callback=local_only)
PROFILE = typer.Option("mini", "--profile", "-p", help="Name of a training profile (`mvideo train profiles`) or YAML.")
OPTIONS = typer.Option("", "--options", "-o", help="YAML file that overrides the profile.")
SET = typer.Option([], "--set", "-s", help="Override a profile value, e.g. --set optimizer.clip_norm=0.5.")
LATENTS = typer.Option("", "--latents", help="Folder of the latents; same as --set data.latents=...")
WORKSPACE = typer.Option("", "--workspace", "-w", help="Workspace whose current latents (`mvideo encode`) to train on.")


INIT_ADAPTER = typer.Option(
    "", "--init-adapter", help="Adapter to start from: a training output folder, or a plain CogVideoX LoRA."
)
ALLOW = typer.Option(
    [], "--allow", help="Option allowed to differ from the checkpoint's, e.g. optimizer.rate.peak. Repeatable."
)


def add_to(app: typer.Typer) -> None:
    """Add the command group `train` to `app`."""
    app.add_typer(train_app, name="train")


@train_app.command()
def run(
    out: str = RUN,
    latents: str = LATENTS,
    workspace: str = WORKSPACE,
    profile: str = PROFILE,
    options: str = OPTIONS,
    set_: list[str] = SET,
    init_adapter: str = INIT_ADAPTER,
    allow: list[str] = ALLOW,
    every_s: float = typer.Option(10.0, "--every-s", help="Minimum seconds between two progress lines."),
) -> None:
    """Train in child processes. If stopped or killed, rerun the command to resume from the newest checkpoint."""
    if workspace and latents:
        raise ConfigError("--workspace and --latents both set the latents; give only one")
    flags = {
        "out": out,
        "data": {"latents": latents or _find_current(workspace)},
        "init_adapter": init_adapter,
        "allow": allow,
    }
    chosen = load_profile(profile, merge(read_values(options, set_), _flags_in_use(flags)))
    require("train", CheckContext(workspace=workspace, training=chosen))
    report = launch(chosen, _Progress(every_s).print_line, on_phase=typer.echo)
    typer.echo(last_line(report))


@train_app.command()
def stop(out: str = RUN) -> None:
    """Ask a training run to save and stop after the current step."""
    if not Path(out).is_dir():
        raise ConfigError(f"{out}: no such run folder")
    (Path(out) / STOP).touch()
    typer.echo(f"{out}: stop requested")


@train_app.command()
def report(out: str = RUN) -> None:
    """Write report.json and curves.svg of a run, finished or not, and print the last line of its metrics."""
    if not Path(out).is_dir():
        raise ConfigError(f"{out}: no such run folder")
    typer.echo(last_line(write_report(out)))


@train_app.command()
def estimate(
    profile: str = PROFILE,
    options: str = OPTIONS,
    set_: list[str] = SET,
    gpu: str = typer.Option("h100", "--gpu", help="GPU model: h200, h100, a100, l40s, a6000, rtx4090, ..."),
    mfu: float = typer.Option(0.35, "--mfu", min=0.01, max=1, help="Fraction of the GPU's peak that is reached."),
    price: float = typer.Option(0.0, "--price", min=0, help="Price of a GPU hour, in any currency."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Estimate GPU memory, hours and disk of a training run, without weights or a GPU."""
    from mvideo_core.training.estimate.run import estimate as estimated
    from mvideo_core.training.estimate.run import lines

    chosen = load_profile(profile, read_values(options, set_))
    made = estimated(chosen, gpu, mfu)
    if as_json:
        typer.echo(made.model_dump_json(indent=1))
        return
    typer.echo(f"{profile}: {chosen.base.weights}, {chosen.steps:,} steps of {chosen.global_batch}")
    for line in lines(chosen, made):
        typer.echo(line)
    if price:
        typer.echo(f"cost: {made.gpu_hours * price:,.0f} at {price:g} per GPU hour")


@train_app.command()
def profiles(show: str = typer.Argument("", help="Print every option of this profile, including defaults.")) -> None:
    """List the training profiles, or print one in full as YAML."""
    if show:
        typer.echo(yaml.safe_dump(load_profile(show).model_dump(mode="json"), sort_keys=False))
        return
    print_profiles(PROFILES)


class _Progress:
    """Prints the first and last step, validations, and otherwise one line every few seconds."""

    def __init__(self, every_s: float):
        self.every_s, self._last_s = every_s, 0.0

    def print_line(self, line: dict[str, Any]) -> None:
        validated = "val/loss_diffusion" in line
        if (
            not validated
            and "changed" not in line
            and line["step"] < line["steps"]
            and time.monotonic() - self._last_s < self.every_s
        ):
            return
        self._last_s = time.monotonic()
        speed = line.get("perf/samples_per_s", 0.0)
        text = f"step {line['step']}/{line['steps']}  {loss_words(line)}  {speed:.2f} samples/s"
        typer.echo(text + (f"  validation {line['val/loss_diffusion']:.4f}" if validated else ""))
        for change in line.get("changed", ()):
            typer.echo(f"  changed on purpose: {Change.parse(change).words()}")


def _find_current(workspace: str) -> str:
    """The latents last published in a workspace; "" if there are none."""
    if not workspace:
        return ""
    from mvideo_core.curation.stages.publish_latents import current_latents
    from mvideo_core.store.workspace import Workspace

    return current_latents(Workspace.open_existing(workspace))


def _flags_in_use(flags: dict[str, Any]) -> dict[str, Any]:
    """The flags that were used, including nested ones."""
    inner = {name: _flags_in_use(value) if isinstance(value, dict) else value for name, value in flags.items()}
    return {name: value for name, value in inner.items() if value}

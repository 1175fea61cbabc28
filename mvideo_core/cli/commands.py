"""The commands of `mvideo` by name and help line. A command's imports happen only when it is used."""

import importlib
import importlib.metadata
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup

POINTS = "mvideo.commands"
"""Entry points in this group are Typer apps of other packages; each adds one group of commands."""


class Entry(NamedTuple):
    """One line of `mvideo --help`: the command's module in `mvideo_core.cli`, and what the command does."""

    module: str
    help: str


COMMANDS = {
    "doctor": Entry(
        "doctor", "Find what will fail on this machine, in a run or in training, with a next step for each."
    ),
    "run": Entry("pipeline", "Raw videos to mask shards and a report. Rerun after a stop or kill to resume."),
    "plan": Entry("pipeline", "List the sources and group them into parts; opens no video."),
    "stage": Entry("pipeline", "Run one stage from its upstream stages' rows on disk."),
    "profiles": Entry("pipeline", "List the run profiles, or print one in full as YAML."),
    "status": Entry("status", "Show what is done, stage by stage, and why items were dropped."),
    "verify": Entry("workspace", "Check every file listed in the markers; exit code 1 if one is missing."),
    "retry-failed": Entry("workspace", "Make the next run retry failed items."),
    "gc": Entry("workspace", "Delete rows, clips, masks, datasets and latents that nothing current refers to."),
    "forget": Entry("forget", "List or remove everything that was derived from a source, with a certificate."),
    "review": Entry(
        "review", "Look at masks, starting where a correction helps most, and correct them in the browser."
    ),
    "download": Entry("dataset", "Fetch listed videos with your own command, one at a time."),
    "encode": Entry("encode", "Encode the current dataset for training: VAE latents and text embeddings."),
    "generate": Entry("generate", "Generate a video of any length from a prompt and masks."),
    "reproduce": Entry(
        "paper", "Run the paper's experiments: datasets, training runs, videos, scores, tables, figures."
    ),
    "accuracy": Entry("accuracy", "Compare a workspace with the ground truth of its mini world."),
    "dataset": Entry("dataset", "A finished dataset: summary, verification, one sample."),
    "train": Entry("train", "LoRA training of MVideo on cached latents, 1 to N GPUs."),
    "adapter": Entry("adapter", "Trained adapters for other programs: export, and show a file's header."),
    "masks": Entry("masks", "Mask sequences, the model's motion condition: extract, edit, combine, resample, preview."),
    "studio": Entry("studio", "Edit mask sequences in the browser: paths, scale, zoom, slope, time, layers."),
    "eval": Entry("eval", "Score videos with VBench's dimensions and mask IoU, and tabulate the scores."),
    "testset": Entry("testset", "Test sets: Mask-to-Video, ComplexMotion, VBench prompts."),
    "weights": Entry("weights", "Weights: list, check, fetch and convert models."),
    "world": Entry("world", "Synthetic videos with known cuts, boxes and masks."),
}
"""In the order of `mvideo --help`. For a new command, add a function `add_to(app)` in its module and a line here."""


class LazyGroup(TyperGroup):
    """A group whose help comes from COMMANDS; a module is imported when one of its commands is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, entry points last."""
        return [*COMMANDS, *_points()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A placeholder with the help line of a command; None if there is no such command."""
        if cmd_name in COMMANDS:
            return typer.core.TyperCommand(cmd_name, help=COMMANDS[cmd_name].help)
        return load(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The real command for the arguments; an unknown name is answered with similar names."""
        command = load(args[0]) if args else None
        if command is not None:
            return args[0], command, args[1:]
        self.commands = dict.fromkeys(self.list_commands(ctx))  # type: ignore[assignment] # what the answer is chosen from
        return super().resolve_command(ctx, args)


def load(name: str) -> Any:
    """The command or group called `name`, with its module imported; None if there is none."""
    app = typer.Typer(add_completion=False)
    app.callback()(lambda: None)  # so that a module with one command is a group, too
    if name in COMMANDS:
        importlib.import_module(f"mvideo_core.cli.{COMMANDS[name].module}").add_to(app)
    elif name in (points := _points()):
        app.add_typer(points[name].load(), name=name)
    else:
        return None
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return group.commands[name]


def _points() -> dict[str, importlib.metadata.EntryPoint]:
    return {point.name: point for point in importlib.metadata.entry_points(group=POINTS)}

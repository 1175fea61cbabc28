"""The commands of `mvideo` by name and help line. What a command imports is imported when it is used."""

import importlib
import importlib.metadata
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup

POINTS = "mvideo.commands"
"""Entry points of this group are Typer apps of other packages; each adds one group of commands."""


class Entry(NamedTuple):
    """One line of `mvideo --help`: the module of `mvideo_core.cli` that has the command, and what the command does."""

    module: str
    help: str


INDEX = {
    "doctor": Entry(
        "doctor", "What will fail on this machine, and in a run or training on it, with a next step for each."
    ),
    "run": Entry("pipeline", "Raw videos to mask shards and a report. Stopped or killed, the same command resumes."),
    "plan": Entry("pipeline", "List the sources and group them into parts; opens no video."),
    "stage": Entry("pipeline", "One stage from its upstream's rows on disk."),
    "profiles": Entry("pipeline", "List the run profiles, or print one in full as YAML."),
    "status": Entry("workspace", "What is done, stage by stage, and why items were dropped."),
    "verify": Entry("workspace", "Check every file that the markers name; exit code 1 when one is missing."),
    "retry-failed": Entry("workspace", "Make the next run try failed items again."),
    "gc": Entry("workspace", "Delete rows, clips, masks, datasets and latents that no current part points to."),
    "download": Entry("dataset", "Fetch listed videos with a command of yours, one at a time."),
    "encode": Entry("encode", "Encode the current dataset for training: VAE latents and text embeddings."),
    "generate": Entry("generate", "A prompt and masks to a video of any length."),
    "reproduce": Entry("paper", "The paper's experiments: datasets, trainings, videos, scores, tables, figures."),
    "accuracy": Entry("accuracy", "A workspace against the truth of the mini world it was made from."),
    "dataset": Entry("dataset", "A finished dataset: what is in it, is it whole, one sample out."),
    "train": Entry("train", "LoRA training of MVideo on cached latents, 1 to N GPUs."),
    "adapter": Entry("adapter", "Trained adapters for other programs: export, and what a file says about itself."),
    "masks": Entry("masks", "Mask sequences, the model's motion condition: extract, edit, combine, resample, look at."),
    "eval": Entry("eval", "Score videos with VBench's dimensions and mask IoU, and tabulate them."),
    "testset": Entry("testset", "Test sets: Mask-to-Video, ComplexMotion, VBench prompts."),
    "weights": Entry("weights", "Weights: what there is, where it comes from, whether it is here."),
    "world": Entry("world", "Drawn videos whose cuts, boxes and masks are known."),
}
"""In the order of `mvideo --help`. A new command: a function `add_to(app)` in its module, and a line here."""


class LazyGroup(TyperGroup):
    """A group whose help is made from INDEX; a module is imported when one of its commands is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, those of entry points last."""
        return [*INDEX, *_points()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A stand-in with the help line of a command; None when there is no such command."""
        if cmd_name in INDEX:
            return typer.core.TyperCommand(cmd_name, help=INDEX[cmd_name].help)
        return load(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The real command that the words ask for; a word that is none is answered with names like it."""
        command = load(args[0]) if args else None
        if command is not None:
            return args[0], command, args[1:]
        self.commands = dict.fromkeys(self.list_commands(ctx))  # type: ignore[assignment] # what the answer is chosen from
        return super().resolve_command(ctx, args)


def load(name: str) -> Any:
    """The command or group called `name`, its module imported; None when there is none."""
    app = typer.Typer(add_completion=False)
    app.callback()(lambda: None)  # so that a module with one command is a group, too
    if name in INDEX:
        importlib.import_module(f"mvideo_core.cli.{INDEX[name].module}").add_to(app)
    elif name in (points := _points()):
        app.add_typer(points[name].load(), name=name)
    else:
        return None
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return group.commands[name]


def _points() -> dict[str, importlib.metadata.EntryPoint]:
    return {point.name: point for point in importlib.metadata.entry_points(group=POINTS)}

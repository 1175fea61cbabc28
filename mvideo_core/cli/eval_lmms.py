"""mvideo eval lmms-task: a test set for lmms-eval."""

from pathlib import Path

import typer

from mvideo_core.cli.settings import local_only


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("lmms-task")(lmms_task)


def lmms_task(
    manifest: str = typer.Argument(help="Manifest (.jsonl) whose items have prompts and masks."),
    out: str = typer.Option(..., "--out", help="Folder of the task.", callback=local_only),
    suite: str = typer.Option("control", "--suite", help="Metrics: a suite of `mvideo eval ls`, or a YAML file."),
) -> None:
    """Write a task for lmms-eval: mask mIoU, and the control score for manifests of `mvideo eval interventions`.

    A model gets each prompt and its masks as a video, and answers with the path of its own video.
    """
    from mvideo_core.evaluation.lmms_task import TASK, write_task

    path = write_task(manifest, Path(out), suite)
    typer.echo(f"{path}: score a model with: lmms-eval --include_path {path.parent} --tasks {TASK} --model MODEL")

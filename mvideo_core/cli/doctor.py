"""mvideo doctor: finds what will fail, with a next step for each problem."""

import json
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from mvideo_core.doctor import CheckContext, Finding

MARKS = {"ok": "ok", "warning": "warn", "unknown": "?", "problem": "FAIL"}


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(doctor)


def doctor(
    profile: str = typer.Option("", "--profile", "-p", help="Run profile (`mvideo profiles`): its weights and lists."),
    training: str = typer.Option("", "--training", "-t", help="Training profile: GPUs, memory, disk, weights."),
    workspace: str = typer.Option("", "--workspace", "-w", help="Workspace: free disk, and room for its latents."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON instead of text."),
) -> None:
    """Check this machine and what a run or training needs from it. Exit code 1: something will fail."""
    from mvideo_core.doctor import ALL, run_checks

    context = _read_settings(profile, training, workspace)
    found = list(run_checks(ALL, context))
    problems = sum(one.status == "problem" for one in found)
    if as_json:
        answer = {"problems": problems, "findings": [one.model_dump() for one in found]}
        typer.echo(json.dumps(answer, indent=1))
    else:
        _print_findings(found)
    raise typer.Exit(1 if problems else 0)


def _read_settings(profile: str, training: str, workspace: str) -> "CheckContext":
    from mvideo_core.doctor import CheckContext

    pipeline = trained = None
    if profile:
        from mvideo_core.curation.pipeline import load_profile

        pipeline = load_profile(profile)
    if training:
        from mvideo_core.training.options import load_profile as load_training

        trained = load_training(training)
    return CheckContext(workspace=workspace, pipeline=pipeline, training=trained)


def _print_findings(found: "list[Finding]") -> None:
    width = max(len(one.check) for one in found)
    for one in found:
        typer.echo(f"{MARKS[one.status]:<5}{one.check:<{width}}  {one.what}")
        if one.next_step:
            typer.echo(f"     {'':<{width}}  -> {one.next_step}")
    counts = {status: sum(one.status == status for one in found) for status in MARKS}
    typer.echo(
        f"{counts['problem']} problems, {counts['warning']} warnings, {counts['unknown']} unknown, {counts['ok']} fine"
    )

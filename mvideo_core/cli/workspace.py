"""mvideo verify | retry-failed | gc: maintaining a workspace. `mvideo status` is in `status.py`."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from mvideo_core.store.verify import Problem
    from mvideo_core.store.workspace import Workspace

WORKSPACE = typer.Option(..., "--workspace", "-w", help="Folder or fsspec URL of the workspace.")


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(verify)
    app.command("retry-failed")(retry)
    app.command()(gc)


def verify(
    workspace: str = WORKSPACE,
    deep: bool = typer.Option(False, "--deep", help="Also read every file and compare its SHA-256."),
) -> None:
    """Check that all files recorded in markers, and the current dataset, latents and report, exist.

    Exit code 1 if something is missing.
    """
    from mvideo_core.curation.pipeline import workspace_rows
    from mvideo_core.store.snapshot import snapshot
    from mvideo_core.store.verify import verify_stage
    from mvideo_core.store.workspace import Workspace

    ws = snapshot(Workspace.open_existing(workspace))
    problems = [
        problem for name, row_class in workspace_rows(ws).items() for problem in verify_stage(ws, name, row_class, deep)
    ]
    problems += _find_problems(ws, deep)
    for problem in problems:
        typer.echo(f"{problem.path}: {problem.what}; {problem.fix}")
    typer.echo(f"{workspace}: {len(problems)} problems" + ("" if deep else " (sizes only; --deep reads every byte)"))
    raise typer.Exit(1 if problems else 0)


def retry(
    workspace: str = WORKSPACE,
    stage: str = typer.Option("", "--stage", help="Only this stage. Default: all."),
    error: str = typer.Option("", "--class", help="Only failures of this error class, e.g. MediaError."),
) -> None:
    """Make the next run retry failed items; nothing else in their parts is redone."""
    from mvideo_core.curation.pipeline import workspace_rows
    from mvideo_core.store.retry_failed import retry_failed
    from mvideo_core.store.workspace import Workspace

    ws = Workspace.open_existing(workspace)
    chosen = {name: row for name, row in workspace_rows(ws).items() if stage in ("", name)}
    if not chosen:
        raise typer.BadParameter(f"no stage called {stage!r}; known: {', '.join(workspace_rows(ws))}")
    total = sum(retry_failed(ws, name, row, error or None) for name, row in chosen.items())
    typer.echo(f"{total} items will be retried by the next run")


def gc(
    workspace: str = WORKSPACE,
    delete: bool = typer.Option(False, "--delete", help="Delete; without it, only count what would be deleted."),
    min_age_h: float | None = typer.Option(
        None,
        "--min-age-h",
        min=0,
        help="Keep younger files and uploads. Default: 0 on a local disk; 24 on object stores, which have no locks.",
        show_default=False,
    ),
) -> None:
    """Delete what nothing current refers to: rows, clips, masks, journals, scratch, old datasets, latents and reports.

    Files in use are kept.
    """
    from mvideo_core.curation.pipeline import workspace_rows
    from mvideo_core.curation.stages.sources import IMPORT
    from mvideo_core.engine.garbage import collect_garbage
    from mvideo_core.store.workspace import Workspace

    ws = Workspace.open_existing(workspace)
    freed = collect_garbage(ws, workspace_rows(ws), not delete, None if min_age_h is None else min_age_h * 3600)
    verb = "deleted" if delete else "would delete (add --delete)"
    typer.echo(f"{verb}: {freed.files} files, {freed.size_bytes / 1e6:.1f} MB")
    if freed.uploads:
        typer.echo(f"{verb}: {freed.uploads} unfinished uploads of killed processes")
    if freed.in_use:
        typer.echo(f"left alone, a live process works there: {', '.join(freed.in_use)}")
    if freed.young:
        typer.echo(f"left alone, younger than --min-age-h: {freed.young} files")
    if unknown := [name for name in freed.unknown if name != IMPORT]:
        typer.echo(f"left alone, not a stage of this version: {', '.join(unknown)}")


def _find_problems(workspace: "Workspace", deep: bool) -> "list[Problem]":
    """Problems of the current dataset, latents and report."""
    from mvideo_core.curation.stages.publish import dataset_problems
    from mvideo_core.pages.data_report.build import report_problems

    found = dataset_problems(workspace, deep) + report_problems(workspace)
    if workspace.pointer("latents") is not None:
        from mvideo_core.curation.stages.publish_latents import latents_problems

        found += latents_problems(workspace, deep)
    return found

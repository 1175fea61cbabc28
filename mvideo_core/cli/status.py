"""mvideo status: what a workspace holds, stage by stage."""

import json

import typer

from mvideo_core.cli.workspace import WORKSPACE


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(status)


def status(
    workspace: str = WORKSPACE,
    failed: bool = typer.Option(False, "--failed", help="List every failed item with its message."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON instead of a table."),
) -> None:
    """Show what is done, why items were dropped and what checks found.

    Parts made from older input or options are not counted.
    """
    from mvideo_core.engine.chain import in_use, row_class, valid_markers, workspace_stages
    from mvideo_core.engine.checks import warnings_of
    from mvideo_core.store.decisions import DecisionFile
    from mvideo_core.store.snapshot import snapshot
    from mvideo_core.store.stage_counts import failures, reason_lines, stage_status
    from mvideo_core.store.workspace import POINTERS, Workspace

    ws = snapshot(Workspace.open_existing(workspace))
    names = in_use(ws, workspace_stages(ws))
    states = [stage_status(ws, name, [one for _, one in valid_markers(ws, name) if one]) for name in names]
    if as_json:
        found = [state.model_dump() | {"warnings": warnings_of(ws, state.stage)} for state in states]
        typer.echo(json.dumps(found, indent=1))
        return
    typer.echo(
        f"{'stage':<9}{'parts':>9}{'ok':>9}{'filtered':>10}{'failed':>8}{'GB':>8}{'seconds':>10}  dropped because"
    )
    for state in states:
        count = state.counts.get
        parts = f"{state.parts_done}/{state.parts}"
        why = ", ".join(reason_lines(state.reasons)[:4])
        numbers = f"{count('ok', 0):>9}{count('filtered', 0):>10}{count('failed', 0):>8}"
        typer.echo(f"{state.stage:<9}{parts:>9}{numbers}{state.blob_bytes / 1e9:>8.2f}{state.seconds:>10.1f}  {why}")
    for name in names:
        for warning in warnings_of(ws, name):
            typer.echo(f"needs attention: {name}: {warning}")
    for name in POINTERS:
        pointer = ws.pointer(name)
        if pointer:
            typer.echo(f"{name}: {ws.url.rstrip('/')}/{pointer['path']}")
    if decided := DecisionFile(ws).read():
        typer.echo(f"review: {len(decided)} decisions in {DecisionFile(ws).path}")
    if failed:
        for name in workspace_stages(ws):
            for row in failures(ws, name, row_class(name)):
                typer.echo(f"{name} {row.key} ({row.error}, {row.attempts} attempts): {row.message}")

"""mvideo eval interventions: the edited masks that a control score needs."""

from pathlib import Path

import typer

from mvideo_core.cli.settings import end_with, local_only


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("interventions")(interventions)


def interventions(
    manifest: str = typer.Argument(help="Manifest (.jsonl) whose items have masks."),
    out: str = typer.Option(..., "--out", help="Folder for manifest.jsonl and masks/.", callback=local_only),
    edits: str = typer.Option(
        "shift,scale,delay,freeze,swap,drop", "--edits", help="Names, separated by commas; all by default."
    ),
    seconds: float = typer.Option(
        0.0, "--seconds", min=0, help="Length of the videos to generate; masks end there. 0: as the items say."
    ),
    videos: str = typer.Option(
        "videos", "--videos", help="Folder, relative to --out, where ID.mp4 and ID+EDIT.mp4 are expected."
    ),
) -> None:
    """Edit the masks of every item (shift, scale, delay, freeze, swap, drop), for the metric control_response.

    Then make the videos with `mvideo eval generate --manifest OUT/manifest.jsonl`, or put your own at the paths that
    the manifest names, and score them with `mvideo eval run --suite control`. An edit that does not apply to a clip is
    left out; items that cannot be edited are listed (exit code 3).
    """
    from mvideo_core.evaluation.control.interventions import write_interventions
    from mvideo_core.evaluation.manifest import absolute_items, read_manifest

    names = tuple(dict.fromkeys(name.strip() for name in edits.split(",") if name.strip()))
    items = absolute_items(read_manifest(manifest))
    written = write_interventions(items, Path(out), names, videos, seconds or None)
    for text in (*written.left_out, *written.unusable):
        typer.echo(f"left out  {text}", err=True)
    typer.echo(
        f"{written.path}: {written.n_items} items, {written.n_edits} interventions; make their videos with: "
        f"mvideo eval generate --system SYSTEM --manifest {written.path} --out VIDEOS"
    )
    lost = len(written.unusable)
    end_with([f"{lost} of {len(items)} items cannot be edited and are left out"] if lost else [])

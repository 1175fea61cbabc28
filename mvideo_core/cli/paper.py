"""mvideo reproduce: the paper's experiments from videos to tables, without a server."""

from pathlib import Path

import typer

from mvideo_core.cli.settings import local_only, print_profiles, read_values


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(reproduce)


def reproduce(
    out: str = typer.Option(
        "build/reproduce", "--out", help="Folder of the whole run; an existing run resumes.", callback=local_only
    ),
    profile: str = typer.Option("mini", "--profile", help="Profile or YAML file; `--profile list` lists them."),
    set_: list[str] = typer.Option([], "--set", "-s", help="One value, e.g. --set tests.prompts=8. Repeatable."),
    tables_only: bool = typer.Option(False, "--tables-only", help="Only tables and page, from existing scores."),
) -> None:
    """Datasets, training with and without the consistency loss, videos, scores, tables 2 to 5, figures 4 to 9.

    If stopped or killed, rerun the command to resume. To run the same steps as a deployment, visible in the UI:
    prefect deployment run reproduce-paper

    For your own footage, start from a copy of deployments/paper/mini.yaml: give each of the three collections (train,
    unseen, complex) a `folder`, choose a `pipeline` with public weights, and set `suite: paper`. In a deployment with
    gpus=4, the workers of the queue `gpu` share the videos and their scores.
    """
    from mvideo_core.paper.options import PROFILES, load_profile
    from mvideo_core.paper.reproduce import finish
    from mvideo_core.paper.reproduce import reproduce as run

    if profile == "list":
        print_profiles(PROFILES)
        return
    options = load_profile(profile, read_values("", set_))
    page = finish(options, Path(out)) if tables_only else run(options, Path(out), typer.echo)
    for number in options.tables:
        typer.echo((Path(out) / "tables" / f"table-{number}.md").read_text(encoding="utf-8"))
    typer.echo((Path(out) / "tables" / "comparisons.md").read_text(encoding="utf-8"))
    typer.echo(f"page: {page}")

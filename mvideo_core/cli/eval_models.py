"""mvideo eval compare-models: from folders of videos to a paper's table, in one command."""

from pathlib import Path

import typer

from mvideo_core.base.errors import ConfigError
from mvideo_core.cli.settings import local_only, read_values


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("compare-models")(compare_models)


def compare_models(
    models: list[str] = typer.Argument(
        help="Two or more, as NAME=PATH: folders of videos, outputs of `mvideo generate`, or manifests."
    ),
    out: str = typer.Option(
        ..., "--out", help="Folder for scores, tables, plots and page. Existing scores are reused.", callback=local_only
    ),
    masks: str = typer.Option(
        "", "--masks", help="Manifest of the samples: id, prompt, masks. Default: the masks in the models' manifests."
    ),
    suite: str = typer.Option("mini", "--suite", help="Metrics: a suite of `mvideo eval ls`, or a YAML file."),
    set_: list[str] = typer.Option([], "--set", "-s", help="Override a suite value. Repeatable."),
    strict: bool = typer.Option(False, "--strict", help="Stop before scoring if an item would get no score."),
    overwrite: bool = typer.Option(
        False, "--overwrite", help="Replace a result of different videos or metrics in --out."
    ),
    report: bool = typer.Option(True, "--report/--no-report", help="Build the page; this re-encodes every video."),
) -> None:
    """Validate, score, compare every pair, and draw table, plots and page: A=dir B=dir C=dir --masks M.jsonl --out OUT.

    With --masks, videos are found by name ({id}.mp4, {prompt}-{seed}.mp4 or {prompt}.mp4) or by the ids of a model's
    manifest; a sample without a video counts as missing. If stopped or killed, rerun the command to continue at the
    first missing score.
    """
    from mvideo_core.cli.eval import show_problems, show_progress, write_all
    from mvideo_core.evaluation.compare import check_comparable
    from mvideo_core.evaluation.compare_models import write_comparisons
    from mvideo_core.evaluation.models import read_models
    from mvideo_core.evaluation.plan import plan_of
    from mvideo_core.evaluation.result import read_result
    from mvideo_core.evaluation.run import run_suite
    from mvideo_core.evaluation.suite import load_suite
    from mvideo_core.evaluation.validate import validate
    from mvideo_core.pages.evaluation_report import build_report

    found = read_models(models, masks)
    for text in found.notices:
        typer.echo(f"warning  {text}", err=True)
    plan = plan_of(load_suite(suite, read_values("", set_)), found.items)
    check_comparable(plan)
    problems = validate(plan)
    show_problems(problems.problems)
    if strict and problems.n_errors:
        raise ConfigError(f"eval: {problems.n_errors} errors above; fix them, or drop --strict")
    run_suite(plan, out, show_progress, overwrite)
    write_all(out)
    written = write_comparisons(read_result(out), Path(out))
    typer.echo((Path(out) / "comparisons.md").read_text(encoding="utf-8"))
    typer.echo(f"written: {', '.join(str(path) for path in written)}")
    if report:
        typer.echo(f"report: {build_report(out, Path(out) / 'report')}")

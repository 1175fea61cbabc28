"""mvideo eval ...: score videos, compare systems, print the paper's tables next to ours."""

from pathlib import Path
from typing import Any

import typer

from mvideo_core.base.errors import ConfigError
from mvideo_core.cli.eval_control import add_to as add_control
from mvideo_core.cli.eval_lmms import add_to as add_lmms
from mvideo_core.cli.eval_models import add_to as add_models
from mvideo_core.cli.eval_vbench import add_to as add_vbench
from mvideo_core.cli.settings import end_with, local_only, print_profiles, read_values

eval_app = typer.Typer(
    no_args_is_help=True,
    help="""Score videos with VBench's dimensions and mask IoU, and tabulate the scores.

    A folder of videos is enough:  mvideo eval run my_videos --suite mini --out result

    For masks, or several systems or seeds, write a manifest.jsonl with one line per video, such as
    {"id": "cat-0", "system": "ours", "video": "cat-0.mp4", "prompt": "a cat runs", "masks": "cat.masks"};
    a listed video that does not exist counts as missing. Order: ls, validate, run, compare, table, report;
    compare-models does all of these for several models.
    """,
)
MANIFESTS = typer.Argument(
    help="Manifests (.jsonl), or folders of videos named after their prompts, as PATH or NAME=PATH. One or more."
)
SUITE = typer.Option("mini", "--suite", help="Metrics: a suite of `mvideo eval ls`, or a YAML file.")
SET = typer.Option([], "--set", "-s", help="Override a suite value, e.g. --set intervals.level=0.9. Repeatable.")
RESULT = typer.Argument(help="Folder that `mvideo eval run --out` wrote.", callback=local_only)


def add_to(app: typer.Typer) -> None:
    """Register the group."""
    add_vbench(eval_app)
    add_models(eval_app)
    add_control(eval_app)
    add_lmms(eval_app)
    app.add_typer(eval_app, name="eval")


@eval_app.command("ls")
def ls(
    load: bool = typer.Option(False, "--load", help="Try to load each metric (CPU) and report what is missing."),
) -> None:
    """List metrics with their requirements and license, suites, and systems under test."""
    from mvideo_core.base.errors import ModelError
    from mvideo_core.evaluation.base import METRICS
    from mvideo_core.evaluation.suite import PROFILES

    typer.echo("metrics (needs; scale of tables; license; weights):")
    for name in METRICS.names():
        kind = METRICS.get(name)
        state = "not checked; --load checks"
        if load:
            try:
                digest = kind.load(kind.Options(), "cpu").weights_sha256
                state = f"here ({digest[:12]})" if digest else "none needed"
            except ModelError as error:
                state = f"unavailable: {error}"
        needs = ", ".join(sorted(kind.needs)) or "video alone"
        typer.echo(f"  {name:<24} {needs:<14} x{kind.scale:<5g} {kind.license}; weights: {state}")
    typer.echo("suites (--suite):")
    print_profiles(PROFILES)
    typer.echo("systems (--system of `mvideo eval generate`):")
    print_profiles(PROFILES / "systems")


@eval_app.command("validate")
def validate_(manifests: list[str] = MANIFESTS, suite: str = SUITE, set_: list[str] = SET) -> None:
    """Check every video and mask before a GPU is used. Exit code 1 if an item would get no score."""
    from mvideo_core.evaluation.validate import validate

    found = validate(_plan(suite, set_, manifests))
    for one in found.groups:
        typer.echo(
            f"{one.group}: {one.n_readable} of {one.n_items} readable, {_list_values(one.fps)} fps, "
            f"{_list_values(one.frames)} frames, {_list_values(one.sizes)}"
        )
    show_problems(found.problems)
    raise typer.Exit(1 if found.n_errors else 0)


@eval_app.command("run")
def run(
    manifests: list[str] = MANIFESTS,
    out: str = typer.Option(
        ...,
        "--out",
        help="Folder for scores, result.json and exports. Existing scores are reused.",
        callback=local_only,
    ),
    suite: str = SUITE,
    set_: list[str] = SET,
    part: str = typer.Option("", "--part", help="INDEX/COUNT, e.g. 0/4: score every fourth item (one GPU of four)."),
    strict: bool = typer.Option(
        False, "--strict", help="Validate (in every part) and stop before scoring on an error."
    ),
    check: bool = typer.Option(True, "--check/--no-check", help="Validate first; with several parts, part 0 does it."),
    overwrite: bool = typer.Option(
        False, "--overwrite", help="Replace a result of different videos or metrics in --out."
    ),
) -> None:
    """Score every item with every metric of the suite; write result.json, Markdown, LaTeX, CSV, JSON, VBench's format.

    If stopped or killed, rerun the command to continue at the first missing score. With --part, start one process per
    GPU (CUDA_VISIBLE_DEVICES=0 mvideo eval run ... --part 0/4); the last part to finish writes the result.
    """
    from mvideo_core.evaluation.overwrite_check import check_replaces_nothing
    from mvideo_core.evaluation.plan import Part, parse_part
    from mvideo_core.evaluation.result import collect, find_waiting_parts
    from mvideo_core.evaluation.run import score_part
    from mvideo_core.evaluation.validate import validate

    plan = _plan(suite, set_, manifests)
    if not overwrite:
        check_replaces_nothing(plan, out)
    piece = parse_part(part) if part else Part()
    if strict or (check and piece.index == 0):
        found = validate(plan)
        show_problems(found.problems)
        if strict and found.n_errors:
            raise ConfigError(f"eval: {found.n_errors} errors above; fix them, or drop --strict")
    score_part(plan, piece, out, show_progress, overwrite)
    if waiting := find_waiting_parts(plan, piece.count, out):
        typer.echo(f"part {piece.index} of {piece.count} scored; waiting for parts {waiting}")
        return
    collect(plan, piece.count, out)
    write_all(out)


@eval_app.command("retry-failed")
def retry(out: str = RESULT) -> None:
    """Delete the failed scores of a result: the next `mvideo eval run` with this --out scores those videos again."""
    from mvideo_core.evaluation.retry import forget_failed

    typer.echo(f"{forget_failed(out)} failed scores deleted; the next run scores those videos again")


@eval_app.command("compare")
def compare_(
    first: str = RESULT,
    second: str = typer.Argument("", help="Another result; default: two systems of the first."),
    a: str = typer.Option("", "--a", help="System of the first result, as named in its table."),
    b: str = typer.Option("", "--b", help="System of the second result."),
) -> None:
    """Second minus first, paired by item id: a significant difference or not, by a sign-flip test over prompts.

    P-values are corrected for the number of metrics (Holm). With fewer than six prompts the answer is "too few".
    """
    from mvideo_core.evaluation.compare import compare, find_side
    from mvideo_core.evaluation.differences import differences_markdown
    from mvideo_core.evaluation.result import read_result

    one = read_result(first)
    two = read_result(second) if second else one
    sides = find_side(one, a), find_side(two, b)
    typer.echo(differences_markdown(compare(*sides)))


@eval_app.command("report")
def report(
    result: str = RESULT,
    out: str = typer.Option("", "--out", help="Folder of the page; default: RESULT/report.", callback=local_only),
    set_: list[str] = typer.Option([], "--set", "-s", help="One value, e.g. max_rows=500 or max_side_px=720."),
) -> None:
    """Build a page that works offline: videos side by side, contours, per-frame curves, worst first."""
    from mvideo_core.pages.evaluation_report import ReportOptions, build_report

    options = ReportOptions.parse(read_values("", set_), "--set")
    typer.echo(f"report: {build_report(result, out or Path(result) / 'report', options)}")


@eval_app.command("generate")
def generate(
    system: str = typer.Option(..., "--system", help="A system of `mvideo eval ls`, or the path of a YAML file."),
    out: str = typer.Option(..., "--out", help="Folder for manifest.jsonl and videos/.", callback=local_only),
    prompts: str = typer.Option("", "--prompts", help="Text file, one per line, or prompts.json of `testset vbench`."),
    manifest: str = typer.Option("", "--manifest", help="Manifest with the prompts, seeds and masks to use."),
    lengthened: str = typer.Option(
        "", "--lengthened", help="JSON file that maps each prompt to a longer text to generate from."
    ),
    videos_per_prompt: int = typer.Option(1, "--videos-per-prompt", min=1, help="With --prompts; VBench makes 5."),
    seed: int = typer.Option(0, "--seed", min=0, help="With --prompts: seed of each prompt's first video."),
    seconds: float = typer.Option(0.0, "--seconds", min=0, help="Length, for systems that support any; 0: their own."),
    test_set: str = typer.Option("", "--test-set", help="Name in tables: vbench, mask-to-video, complexmotion."),
    set_: list[str] = typer.Option([], "--set", "-s", help="Override a system value, e.g. mvideo.adapter=PATH."),
    part: str = typer.Option("", "--part", help="INDEX/COUNT: every COUNT-th video (one GPU of several)."),
) -> None:
    """Generate a system's videos for a list of prompts or samples, and the manifest to score them with.

    If stopped or killed, rerun the command to continue at the first missing video. The manifest lists every video from
    the start: a video that is never generated counts as missing, one that cannot be generated as failed (exit code 3).
    The manifest's masks cover the frames that the system generates.
    """
    from mvideo_core.evaluation.make_videos import (
        failures,
        folder_notices,
        items_of_prompts,
        make_videos,
        read_prompts,
        with_lengthened,
    )
    from mvideo_core.evaluation.manifest import absolute_items, flatten_items, read_manifest
    from mvideo_core.evaluation.plan import Part, parse_part
    from mvideo_core.evaluation.systems import load_system

    if bool(prompts) == bool(manifest):
        raise ConfigError("eval generate: give either --prompts or --manifest")
    items = absolute_items(read_manifest(manifest)) if manifest else []
    if prompts:
        items = items_of_prompts(read_prompts(prompts), videos_per_prompt, seed)
    if lengthened:
        items = with_lengthened(items, lengthened)
    if test_set or seconds:
        given: dict[str, Any] = {"test_set": test_set} if test_set else {}
        given |= {"seconds": seconds, "variant": f"{seconds:g} s"} if seconds else {}
        items = [item.model_copy(update=given) for item in items]
    chosen = load_system(system, read_values("", set_))
    piece = parse_part(part) if part else Part()
    made = make_videos(chosen, items, out, piece, show_progress)
    typer.echo(f"{made}: {len(items)} items; score them with: mvideo eval run {made} --suite SUITE --out RESULT")
    every = flatten_items(absolute_items(read_manifest(made)))
    for notice in folder_notices(chosen.folder, every) if chosen.folder is not None else ():
        typer.echo(f"warning  {chosen.name}: {notice}", err=True)
    mine = every[piece.index :: piece.count]
    lost = failures(mine)
    if lost and len(lost) == len(mine):
        name, why = next(iter(lost.items()))
        raise ConfigError(f"eval generate: none of {len(mine)} videos could be generated; {name}: {why}")
    end_with([f"{len(lost)} of {len(mine)} videos could not be generated and count as failed"] if lost else [])


@eval_app.command("table")
def table(
    number: str = typer.Argument(help="2, 3, 4 or 5, as in the paper."),
    results: list[str] = typer.Option([], "--results", "-r", help="Folder of `mvideo eval run --out`. Repeatable."),
    out: str = typer.Option(
        "", "--out", help="Folder for table-N.md, .tex, .csv, .json; default: print only.", callback=local_only
    ),
) -> None:
    """Print a table of the paper: its numbers next to ours with intervals, then our choices where the paper has none.

    Means are over the items that all results share; means over all items of a result are shown next to them. Rows match
    results by the manifest's system and test set, and by the files' length and size: mvideo-5b, mvideo-2b,
    mvideo-2b-no-consistency, cogvideox-2b, cogvideox-5b, opensora-v1.2; other systems follow below the paper's rows.
    """
    from mvideo_core.evaluation.result import read_result, share_items
    from mvideo_core.evaluation.tables import make_table, table_markdown, write_table

    shared = share_items([read_result(folder) for folder in results])
    made = make_table(number, list(zip(results, shared, strict=True)))
    typer.echo(table_markdown(made))
    if out:
        typer.echo(f"written: {', '.join(str(path) for path in write_table(made, Path(out)))}")


def _plan(suite: str, settings: list[str], manifests: list[str]) -> Any:
    from mvideo_core.evaluation.plan import make_plan
    from mvideo_core.evaluation.suite import load_suite

    return make_plan(load_suite(suite, read_values("", settings)), manifests)


def write_all(out: str) -> None:
    """Write every export of a result and print its table."""
    from mvideo_core.evaluation.control.summary import control_markdown
    from mvideo_core.evaluation.export import to_markdown, write_exports
    from mvideo_core.evaluation.result import read_result

    loaded = read_result(out)
    paths = write_exports(loaded, Path(out))
    typer.echo(to_markdown(loaded.result))
    if text := control_markdown(loaded):
        typer.echo(text)
    typer.echo(f"written: {Path(out) / 'result.json'}, {', '.join(str(path) for path in paths)}")


def show_problems(problems: Any, most: int = 40) -> None:
    """Print the findings of validation on standard error."""
    for one in problems[:most]:
        where = f"{one.group}: {one.item}" if one.item else one.group
        typer.echo(f"{one.level:<8} {where}: {one.message}", err=True)
    if len(problems) > most:
        typer.echo(f"... and {len(problems) - most} more", err=True)
    n_errors = sum(one.level == "error" for one in problems)
    typer.echo(f"{n_errors} errors, {len(problems) - n_errors} warnings", err=True)


def _list_values(values: Any, most: int = 4) -> str:
    return "/".join(f"{one:g}" if isinstance(one, float) else str(one) for one in values[:most]) or "no"


def show_progress(done: int, total: int, text: str) -> None:
    """Print one line per item on standard error."""
    typer.echo(f"[{done}/{total}] {text}", err=True)

"""mvideo run | plan | stage | profiles: the data pipeline without a server."""

from pathlib import Path

import typer
import yaml

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import SHOWN
from mvideo_core.cli.settings import end_with, local_only, print_profiles, read_values
from mvideo_core.cli.workspace import WORKSPACE
from mvideo_core.curation.ingest.sources import SourceOptions
from mvideo_core.curation.pipeline import PART_STAGES, PROFILES, PipelineOptions, load_profile, preflight, run_pipeline
from mvideo_core.curation.stages.sources import plan_sources
from mvideo_core.doctor import CheckContext, require
from mvideo_core.engine import STAGES
from mvideo_core.engine.run import StageSummary, run_stage
from mvideo_core.store.stage_counts import reason_lines
from mvideo_core.store.workspace import Workspace

PROFILE = typer.Option("mini", "--profile", "-p", help="Name of a run profile (`mvideo profiles`) or a YAML file.")
OPTIONS = typer.Option("", "--options", "-o", help="YAML file that overrides the profile.")
SET = typer.Option([], "--set", "-s", help="Override a profile value, e.g. --set cut.min_shot_s=4. Repeatable.")
FOLDER = typer.Option("", "--folder", help="Folder of videos.", callback=local_only)
HDVILA = typer.Option("", "--hdvila", help="HD-VILA JSONL file or folder; needs --hdvila-videos.", callback=local_only)
HDVILA_VIDEOS = typer.Option(
    "", "--hdvila-videos", help="Folder of files named after the list's video_id: ID.mp4.", callback=local_only
)
MANIFEST = typer.Option("", "--manifest", help="CSV or JSONL list with a `path` column.", callback=local_only)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(run)
    app.command()(plan)
    app.command()(stage)
    app.command()(profiles)


def run(
    workspace: str = WORKSPACE,
    folder: str = FOLDER,
    hdvila: str = HDVILA,
    hdvila_videos: str = HDVILA_VIDEOS,
    manifest: str = MANIFEST,
    profile: str = PROFILE,
    options: str = OPTIONS,
    set_: list[str] = SET,
) -> None:
    """Build mask shards and a report from raw videos. If stopped or killed, rerun the command to resume."""
    chosen = _options(profile, options, set_)
    source = _source(folder, hdvila, hdvila_videos, manifest)
    require("data", CheckContext(workspace=workspace, source_bytes=_bytes(folder), pipeline=chosen))
    ws = Workspace(workspace)
    report = run_pipeline(ws, source, chosen, on_stage=_print_summary, checked=True)
    typer.echo(f"report: {ws.url.rstrip('/')}/{report.path}")
    end_with(report.warnings)


def plan(
    workspace: str = WORKSPACE,
    folder: str = FOLDER,
    hdvila: str = HDVILA,
    hdvila_videos: str = HDVILA_VIDEOS,
    manifest: str = MANIFEST,
    profile: str = PROFILE,
    options: str = OPTIONS,
    set_: list[str] = SET,
) -> None:
    """List the sources and group them into parts. Does not open any video; rerun it when the folder has grown."""
    source = _source(folder, hdvila, hdvila_videos, manifest)
    made = plan_sources(Workspace(workspace), source, _options(profile, options, set_).plan)
    typer.echo(f"{made.n_sources} sources in {made.n_parts} parts")


def stage(
    name: str = typer.Argument(help=f"One of: {', '.join((*PART_STAGES, 'shard', 'report'))}."),
    workspace: str = WORKSPACE,
    parts: str = typer.Option("", "--parts", help="Only these parts, e.g. 0,3-7. Default: all."),
    profile: str = PROFILE,
    options: str = OPTIONS,
    set_: list[str] = SET,
) -> None:
    """Run one stage from its upstream stages' rows on disk."""
    from mvideo_core.curation.stages.shard import shard_dataset
    from mvideo_core.pages.data_report.build import build_report

    if parts and name in ("shard", "report"):
        raise ConfigError(f"--parts {parts}: stage {name} handles all parts together; drop --parts")
    chosen, ws = _options(profile, options, set_), Workspace.open_existing(workspace)
    if name == "report":
        report = build_report(ws)
        typer.echo(f"report: {ws.url.rstrip('/')}/{report.path}")
        end_with(report.warnings)
    elif name == "shard":
        summary = shard_dataset(ws, chosen.shard, chosen.run)
        _print_summary(summary)
        end_with([f"shard: {warning}" for warning in summary.warnings])
    elif name in PART_STAGES:
        preflight(chosen, ws, [name])
        summary = run_stage(ws, STAGES.get(name), chosen.of(name), chosen.run, part_list(parts))
        _print_summary(summary)
        end_with([f"{name}: {warning}" for warning in summary.warnings])
    else:
        raise ConfigError(f"no stage {name!r}; stages: {', '.join((*PART_STAGES, 'shard', 'report'))}")


def profiles(
    show: str = typer.Argument("", help="Print every option of this profile, including defaults."),
) -> None:
    """List the run profiles, or print one in full as YAML."""
    if not show:
        print_profiles(PROFILES)
        return
    typer.echo(yaml.safe_dump(load_profile(show).model_dump(mode="json", context=SHOWN), sort_keys=False))


def part_list(text: str) -> list[int] | None:
    """[0, 3, 4, 5] from "0,3-5", each once; None from "".

    Raises:
        ConfigError: not numbers and ranges.
    """
    if not text:
        return None
    indices: list[int] = []
    for piece in text.split(","):
        first, _, last = piece.partition("-")
        try:
            found = range(int(first), int(last or first) + 1)
        except ValueError:
            found = range(0)
        if not found:
            raise ConfigError(f"--parts {text!r}: expected numbers and ranges such as 0,3-7; got {piece!r}")
        indices += found
    return sorted(set(indices))


def _options(profile: str, options: str, settings: list[str]) -> PipelineOptions:
    return load_profile(profile, read_values(options, settings))


def _source(folder: str, hdvila: str, hdvila_videos: str, manifest: str) -> SourceOptions:
    given = {"folder": folder, "hdvila": hdvila, "hdvila_videos": hdvila_videos, "manifest": manifest}
    return SourceOptions.parse({key: value for key, value in given.items() if value}, "source")


def _bytes(folder: str) -> int:
    """Size of all files in a folder of videos; 0 if there is none."""
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) if folder else 0


def _print_summary(summary: StageSummary) -> None:
    counts = summary.counts
    why = ", ".join(reason_lines(summary.reasons)[:4])
    reused = f", {summary.parts_reused} of {summary.parts} parts were already done" if summary.parts_reused else ""
    typer.echo(
        f"{summary.stage:<8} {counts.get('ok', 0)} ok, {counts.get('filtered', 0)} filtered, "
        f"{counts.get('failed', 0)} failed in {summary.seconds:.1f} s{reused}" + (f" ({why})" if why else "")
    )

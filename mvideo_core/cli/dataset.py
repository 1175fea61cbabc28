"""mvideo dataset ... : the finished dataset, and the optional downloader."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from mvideo_core.base.disk import write_whole
from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import read_yaml
from mvideo_core.cli.pipeline import HDVILA, HDVILA_VIDEOS, MANIFEST
from mvideo_core.cli.settings import end_with, local_only, read_values
from mvideo_core.curation.ingest.download import DownloadOptions, download
from mvideo_core.curation.ingest.sources import SourceOptions, list_sources
from mvideo_core.shards.card import DatasetInfo
from mvideo_core.shards.dataset import MaskVideoDataset, read_info
from mvideo_core.shards.export import export_dataset
from mvideo_core.shards.exports import EXPORTS
from mvideo_core.shards.files import DatasetFiles
from mvideo_core.shards.imports import IMPORTS
from mvideo_core.shards.options import ShardOptions
from mvideo_core.shards.verify import verify_dataset
from mvideo_core.store.workspace import Workspace

SHOWN = 5
"""This many samples that cannot be imported are named; the rest are counted."""

dataset_app = typer.Typer(
    no_args_is_help=True, help="A finished dataset: summary, verification, one sample, other formats."
)


def add_to(app: typer.Typer) -> None:
    """Register the group and `mvideo download`."""
    app.add_typer(dataset_app, name="dataset")
    app.command("download")(download_)


@dataset_app.command()
def info(root: str = typer.Argument(help="Dataset folder or fsspec URL.")) -> None:
    """Counts per split, exclusions and the digest over all shards."""
    found: DatasetInfo = read_info(DatasetFiles(root))
    for name, split in found.splits.items():
        typer.echo(
            f"{name:<6} {split.samples} samples of {split.videos} videos, {split.hours:.2f} h, "
            f"{split.shards} shards, {split.bytes / 1e6:.1f} MB"
        )
    typer.echo(f"excluded: {found.excluded or 'nothing'}")
    typer.echo(f"digest {found.digest}")


@dataset_app.command()
def verify(
    root: str = typer.Argument(help="Dataset folder or fsspec URL."),
    deep: bool = typer.Option(False, "--deep", help="Read every byte, with webdataset."),
) -> None:
    """Check shards, index and counts against each other; exit code 1 if anything is wrong."""
    problems = verify_dataset(root, deep)
    for problem in problems:
        typer.echo(f"{problem.path} {problem.key}: {problem.what}")
    typer.echo(f"{root}: {len(problems)} problems")
    raise typer.Exit(1 if problems else 0)


@dataset_app.command()
def extract(
    root: str = typer.Argument(help="Dataset folder or fsspec URL."),
    key: str = typer.Argument(help="Key of a sample."),
    split: str = typer.Option("train", "--split", help="Split that contains the sample."),
    out: str = typer.Option(
        ".", "--out", help="Folder for the sample's files and its overlay video.", callback=local_only
    ),
) -> None:
    """Write one sample as files, with an overlay video of its masks."""
    from mvideo_core.masks.draw import write_overlay

    dataset = MaskVideoDataset(root, split)
    places = [n for n, known in enumerate(dataset.keys) if known == key]
    if not places:
        raise ConfigError(f"{root}: no sample {key!r} in split {split}; index.parquet lists all keys")
    sample, folder = dataset.sample(places[0]), Path(out)
    for extension, content in sample.content.items():
        write_whole(folder / f"{key}.{extension}", content)
    meta = sample.meta()
    labels = [one["label"] if one["kept"] else "" for one in meta["objects"]]
    video, poster = folder / f"{key}.overlay.mp4", folder / f"{key}.overlay.png"
    write_overlay(sample.frames(), sample.masks(), labels, meta["fps"], video, poster)
    typer.echo(f"{sample.text}\n{video}")


@dataset_app.command()
def export(
    root: str = typer.Argument(help="Dataset folder or fsspec URL."),
    out: str = typer.Argument(help="Folder for the export, empty or with the same export.", callback=local_only),
    to: str = typer.Option(..., "--to", help=f"Format: {', '.join(EXPORTS.names())}."),
    split: str = typer.Option("train", "--split", help="Split to export: train, test, or all."),
) -> None:
    """Write a split in another format; rerun to resume. Objects that the quality gate dropped are not exported."""
    facts = export_dataset(root, Path(out), to, split, _print_progress())
    typer.echo(f"{EXPORTS.get(to).title}\n{out}: {'already there: ' if facts.get('reused') else ''}{_counts(facts)}")
    for loss in facts["losses"]:
        px = f" ({facts['hidden_px']} px)" if loss.startswith("overlaps") else ""
        typer.echo(f"not kept: {loss}{px}")


@dataset_app.command("import")
def import_(
    source: str = typer.Argument(help="Folder in another format.", callback=local_only),
    workspace: str = typer.Argument(help="Folder of a workspace: new, or with the same import.", callback=local_only),
    from_: str = typer.Option(..., "--from", help=f"Format: {', '.join(IMPORTS.names())}."),
    fps: float = typer.Option(
        0.0, "--fps", min=0, max=1000, help="Frames per second, for formats that do not state them."
    ),
    set_: list[str] = typer.Option([], "--set", "-s", help="A shard option, e.g. samples_per_shard=100. Repeatable."),
) -> None:
    """Make a workspace with the dataset of a folder in another format; rerun to resume. Its splits are kept."""
    from mvideo_core.curation.import_dataset import import_dataset

    options = ShardOptions.parse(read_values("", set_), "dataset import")
    done = import_dataset(Path(source), Workspace(workspace), from_, options, fps, _print_progress())
    samples = ", ".join(f"{number} {split}" for split, number in done.samples.items())
    typer.echo(f"{IMPORTS.get(from_).title}\n{done.root}: {samples} samples, excluded: {done.excluded or 'nothing'}")
    for loss in done.losses:
        typer.echo(f"not kept: {loss}")
    warnings = [f"{name} was not imported: {why}" for name, why in done.failed[:SHOWN]]
    if len(done.failed) > SHOWN:
        warnings.append(f"{len(done.failed) - SHOWN} more were not imported")
    if done.without_text:
        warnings.append(f"{done.without_text} samples have no caption; training uses the empty prompt for them")
    end_with(warnings)


def _counts(facts: dict[str, Any]) -> str:
    counts = f"{facts['samples']} samples, {facts['n_frames']} frames, {facts['n_objects']} objects"
    return f"{counts}, {facts['files']} files, {facts['bytes'] / 1e6:.1f} MB"


def _print_progress(every_s: float = 10.0) -> Callable[[int, int], None]:
    """Prints a line on standard error from time to time."""
    printed_at = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal printed_at
        if time.monotonic() - printed_at >= every_s:
            printed_at = time.monotonic()
            typer.echo(f"[{done}/{total}] samples", err=True)

    return show


def download_(
    options: str = typer.Option(..., "--options", "-o", help="YAML file: enabled, command, folder, interval_s, ..."),
    hdvila: str = HDVILA,
    hdvila_videos: str = HDVILA_VIDEOS,
    manifest: str = MANIFEST,
) -> None:
    """Fetch listed videos with your own command, rate-limited. Off unless the file says enabled: true."""
    chosen = DownloadOptions.parse(read_yaml(options), options)
    given = {"hdvila": hdvila, "hdvila_videos": hdvila_videos, "manifest": manifest}
    source = SourceOptions.parse({name: value for name, value in given.items() if value}, "source")
    counts: dict[str, int] = {}
    for result in download(list_sources(source), chosen):
        counts[result.status] = counts.get(result.status, 0) + 1
        if result.status not in ("there", "skipped"):
            typer.echo(f"{result.video_id}: {result.status} {result.message}".rstrip())
    typer.echo(json.dumps(counts))

"""mvideo eval vbench: runs the vbench package itself on the same videos, as a cross-check."""

import json
from pathlib import Path

import typer

from mvideo_core.cli.settings import local_only


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("vbench")(vbench)


def vbench(
    manifest: str = typer.Argument(help="Manifest (.jsonl), or a folder of videos named after their prompts."),
    python: str = typer.Option(
        ..., "--python", help="Python of an environment with vbench 0.1.5; see docs/reference/metrics.md."
    ),
    out: str = typer.Option(
        ..., "--out", help="File for the scores, in VBench's format; versions go next to it.", callback=local_only
    ),
    dimensions: list[str] = typer.Option([], "--dimension", help="VBench's name; repeatable. Default: all four."),
    device: str = typer.Option("cpu", "--device", help="cpu or cuda."),
    cache: str = typer.Option("", "--cache", help="VBench's folder of weights; default: $VBENCH_CACHE_DIR."),
    trust_pickles: bool = typer.Option(False, "--trust-pickles", help="Let torch.load run code from the weights."),
    ours: str = typer.Option("", "--ours", help="An export of `mvideo eval run` (vbench/..._eval_results.json)."),
) -> None:
    """Score videos with the vbench package in its own environment; with --ours, print the largest differences."""
    from mvideo_core.base.disk import write_whole
    from mvideo_core.evaluation.manifest import read_manifest
    from mvideo_core.evaluation.vbench_backend import VBenchOptions, largest_differences, read_vbench, run_vbench

    values = {"python": python, "device": device, "cache_dir": cache, "trust_pickles": trust_pickles}
    chosen = {"dimensions": tuple(dimensions)} if dimensions else {}
    found = run_vbench(read_manifest(manifest), VBenchOptions.parse(values | chosen, where="eval vbench"))
    place = Path(out)
    write_whole(place, json.dumps(found.scores, indent=1) + "\n")
    about = {"versions": found.versions, "missing": found.missing, "device": device}
    write_whole(place.with_suffix(".about.json"), json.dumps(about, indent=1) + "\n")
    for dimension, (aggregate, rows) in found.scores.items():
        typer.echo(f"{dimension}: {aggregate:.6f} over {len(rows)} videos")
    if found.missing:
        typer.echo(f"missing, not scored: {len(found.missing)} ({', '.join(found.missing[:3])})")
    if ours:
        for dimension, difference in largest_differences(read_vbench(ours), found.scores).items():
            typer.echo(f"{dimension}: largest difference from {ours}: {difference:.2e}")

"""mvideo encode: the dataset's shards -> cached latents and text embeddings, without a server."""

from collections.abc import Iterator

import typer

from mvideo_core.cli.pipeline import part_list
from mvideo_core.cli.settings import read_values
from mvideo_core.cli.workspace import WORKSPACE
from mvideo_core.doctor import CheckContext, require
from mvideo_core.engine.run import RunOptions
from mvideo_core.shards.files import DatasetFiles
from mvideo_core.store.stage_counts import reason_lines
from mvideo_core.store.workspace import Workspace
from mvideo_core.training.latents.cache import read_info
from mvideo_core.training.latents.info import LatentsInfo
from mvideo_core.training.latents.options import LatentOptions

WEIGHTS = typer.Option("", "--weights", help="Base model: catalog name or folder; overrides the options.")


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(encode)


def encode(
    workspace: str = WORKSPACE,
    weights: str = WEIGHTS,
    options: str = typer.Option("", "--options", "-o", help="YAML file with LatentOptions."),
    set_: list[str] = typer.Option([], "--set", "-s", help="One value, e.g. --set store_logvar=true. Repeatable."),
    parts: str = typer.Option("", "--parts", help="Only these parts, e.g. 0,3-7, and do not publish. Default: all."),
    jobs: int = typer.Option(1, "--jobs", help="Parts processed in parallel; they take turns on the model."),
) -> None:
    """Encode the current dataset for training. If stopped or killed, rerun the command to resume."""
    from mvideo_core.curation.stages.encode import encode_dataset
    from mvideo_core.curation.stages.publish_latents import current_latents

    values = read_values(options, [*set_, *([f"base.weights={weights}"] if weights else [])])
    chosen, ws = LatentOptions.parse(values, options or "encode"), Workspace.open_existing(workspace)
    require("encode", CheckContext(workspace=workspace, latents=chosen))
    summary = encode_dataset(ws, chosen, RunOptions(jobs=jobs), part_list(parts))
    counts = summary.counts
    why = ", ".join(reason_lines(summary.reasons)[:4])
    typer.echo(
        f"encode   {counts.get('ok', 0)} shards, {counts.get('filtered', 0)} clips filtered "
        f"in {summary.seconds:.1f} s, {summary.parts_reused} of {summary.parts} parts were already done"
        + (f" ({why})" if why else "")
    )
    if not parts:
        typer.echo(f"latents: {current_latents(ws)}")
        for line in _splits(read_info(DatasetFiles(current_latents(ws)))):
            typer.echo(line)


def _splits(info: LatentsInfo) -> Iterator[str]:
    for name, split in info.splits.items():
        each = split.bytes / max(split.windows, 1)
        yield (
            f"{name:<6} {split.windows} windows ({split.with_history} with history) of {split.clips} clips, "
            f"{split.bytes / 1e6:.1f} MB, {each / 1e6:.3f} MB per window"
        )

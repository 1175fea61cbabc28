"""mvideo forget: everything that was derived from a source, listed, removed and certified."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from mvideo_core.base.local_paths import local_path
from mvideo_core.cli.workspace import WORKSPACE

if TYPE_CHECKING:
    from mvideo_core.curation.removal.elsewhere import Elsewhere, Retraining
    from mvideo_core.curation.removal.trace import Trace

MAX_STEPS = 12
"""Steps listed per sample; the certificate has all of them."""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(forget)


def forget(
    names: list[str] = typer.Argument(help="Sources: id, URL, SHA-256 or file of each.", show_default=False),
    workspace: str = WORKSPACE,
    search: list[str] = typer.Option(
        [], "--search", "-f", help="Folder of training runs, generated videos or exports to search. Repeatable."
    ),
    copies: bool = typer.Option(
        True, help="Also re-uploads: re-encoded, cropped, mirrored, at another speed. Compares all clips."
    ),
    apply: bool = typer.Option(False, "--apply", help="Remove and rebuild; without it, nothing is changed."),
    certificate: str = typer.Option(
        "", "--certificate", help="File of the certificate. Default: forget-<digest>.json in this folder."
    ),
) -> None:
    """List what was derived from sources; with --apply, remove it, rebuild the rest, and write a certificate.

    If stopped or killed, rerun the command to continue.
    """
    from mvideo_core.curation.removal.forget import Removal
    from mvideo_core.store.workspace import Workspace

    folders = [local_path(folder, "--search") for folder in search]
    removal = Removal(Workspace.open_existing(workspace), names, certificate, folders, copies)
    for line in (*_lines(removal.before), *_lines_elsewhere(removal.elsewhere)):
        typer.echo(line)
    for one in removal.shared:
        typer.echo(f"shares   {one.key} {one.words()}; it stays, name it to remove it, too")
    if not apply:
        typer.echo(f"nothing was changed; add --apply to remove all of this and to write {removal.file.path}")
        return
    done = removal.apply(typer.echo)
    typer.echo(f"{done.files_searched} files searched, none mentions a source")
    for plan in done.retraining:
        after = f"continues after {plan.resumes_from}" if plan.resumes_from else "starts again"
        typer.echo(f"training {plan.run} {after}, {_exactness(plan)}: {plan.command}")
    typer.echo(f"certificate: {removal.file.path} ({done.own_digest[:12]})")
    for source in done.before.sources:
        typer.echo(f"not deleted, since it is yours: {source.uri or source.source_url or source.key}")


def _lines(found: "Trace") -> Iterator[str]:
    """What was found, for people."""
    for source in found.sources:
        yield f"source   {source.key} ({source.why}): {source.source_url or source.uri or 'no file'}"
    if found.rows:
        yield f"rows     {', '.join(f'{n} of {stage}' for stage, n in found.rows.items())}"
    yield f"clips    {len(found.clips)}, {len(found.samples)} of them samples of the current dataset"
    for area in sorted({blob.path.split("/")[0] for blob in found.files}):
        files = [blob for blob in found.files if blob.path.startswith(f"{area}/")]
        yield f"{area:<8} {len(files)} files, {sum(blob.size_bytes for blob in files) / 1e6:.1f} MB"
    if found.decisions:
        yield f"review   {found.decisions} decisions"
    for area in sorted({path.split("/")[0] for path in found.mentions}):
        paths = [path for path in found.mentions if path.split("/")[0] == area]
        yield f"{area:<8} {len(paths)} files mention it, such as {paths[0]}"
    for name, pointer in found.published.items():
        yield f"current  {name}: {pointer['path']}"


def _lines_elsewhere(found: "Elsewhere") -> Iterator[str]:
    """What was found outside of the workspace, for people."""
    for use in found.trainings:
        if use.unknown:
            yield f"training {use.run}: unknown: {use.unknown}"
            continue
        yield f"training {use.run}: {len(use.saw)} checkpoints saw it; the newest before: {use.clean or 'none'}"
        for one in use.samples:
            steps = ", ".join(map(str, one.steps[:MAX_STEPS])) + (", ..." if len(one.steps) > MAX_STEPS else "")
            seen = "held out, never trained on" if one.held_out else f"steps {steps}" if steps else "not trained on yet"
            yield f"         {one.id}: {seen}"
    yield from (f"video    {path}" for path in found.videos)
    yield from (f"export   {path}" for path in found.exports)


def _exactness(plan: "Retraining") -> str:
    """Whether the resumed training equals one that never had the source, in words."""
    if plan.exact:
        return "bit for bit as if it had never been there"
    why = f"order or bytes of other samples differ from step {plan.differs_from} on"
    return why if plan.differs_from else "not compared with one that never had it"

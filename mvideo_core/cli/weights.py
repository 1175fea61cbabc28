"""mvideo weights list | check | fetch | convert: public weights and the mini ones shipped with the project."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import typer

from mvideo_core.base.errors import ConfigError, ModelError, MVideoError
from mvideo_core.cli import weights_needed
from mvideo_core.cogvideox.folder_check import Problem, is_cogvideox, model_problems
from mvideo_core.weights import catalog, hub
from mvideo_core.weights.fetch import fetch
from mvideo_core.weights.records import FETCHED, WeightsEntry, read_record, weights_dir
from mvideo_core.weights.tensors import first_not_finite, list_stored

weights_app = typer.Typer(no_args_is_help=True, help="Weights: list, check, fetch and convert models.")
NAMES = typer.Argument(None, help="Names from `mvideo weights list`.", show_default=False)
FOR_PROFILE = typer.Option("", "--for-profile", help="Weights that a data profile (`mvideo profiles`) needs.")
FOR_TRAINING = typer.Option(
    "", "--for-training", help="Weights that a training profile (`mvideo train profiles`) needs."
)
FOR_SUITE = typer.Option("", "--for-suite", help="Weights that a suite of metrics (`mvideo eval ls`) needs.")
FOR_SYSTEM = typer.Option("", "--for-system", help="The model of a system under test (`mvideo eval ls`).")


def add_to(app: typer.Typer) -> None:
    """Register the group."""
    app.add_typer(weights_app, name="weights")


@weights_app.command("list")
def list_(
    online: bool = typer.Option(False, "--online", help="Ask the publishers for unknown sizes."),
) -> None:
    """List every known model: kind, name, size, state on this disk, license.

    Exit code 1 if one is incomplete or damaged (for a CogVideoX also: tensors and parts do not match). A size with "~"
    is approximate; "known at fetch": the publisher states it, and `fetch` compares it with the free disk space.
    """
    broken = False
    for item in catalog.entries():
        states = catalog.check(item.name, item.kind, digests=False)
        wrong = [state for state in states if state.problem]
        absent = catalog.is_absent(states)
        here = "here" if not wrong else "not here" if absent else _summary(item.folder, states)
        if here == "here" and not item.shipped and is_cogvideox(item.folder):
            problems = model_problems(item.folder)
            here = f"unusable ({problems[0].path}: {problems[0].text})" if problems else here
        broken |= here not in ("here", "not here")
        names = f"{item.name} ({item.alias})" if item.alias else item.name
        typer.echo(f"{item.kind:<10} {names:<45} {_size(item, states, online):>14}  {here:<9} {item.terms}")
    typer.echo(f"folder: {weights_dir()} (MVIDEO_WEIGHTS sets another)")
    raise typer.Exit(1 if broken else 0)


@weights_app.command()
def check(
    name: str = typer.Argument(help="Name from `mvideo weights list`, or a model folder (with a slash)."),
    deep: bool = typer.Option(False, "--deep", help="Check every value of every tensor for NaN and infinity."),
) -> None:
    """Check every file of a model: present, complete, right size and SHA-256. Exit code 1 if anything is wrong.

    For a CogVideoX also: tensors against the configuration, the parts against each other, the tokenizer, values sampled
    from each tensor.
    """
    states = catalog.check(name)
    for state in states:
        fine = "fine" if state.pinned else "complete (no known digest, content not compared)"
        typer.echo(f"{state.path}: {state.problem or fine}")
    wrong = sum(bool(state.problem) for state in states)
    folder = Path(name).expanduser() if catalog.is_path(name) else catalog.entry(name).folder
    if record := read_record(folder):
        typer.echo(f"{folder / FETCHED}: {record.repository} at {record.commit}")
    if wrong:
        typer.echo(f"{name}: {wrong} of {len(states)} files are missing or damaged; {_remedy(name)}")
        raise typer.Exit(1)
    problems = content_problems(folder, states, deep)
    for problem in problems:
        typer.echo(f"{problem.path}: {problem.text}")
    if problems:
        typer.echo(f"{name}: {len(problems)} problems in complete files; {_remedy(name)}")
        raise typer.Exit(1)
    held = sum(state.path.stat().st_size for state in states)
    typer.echo(f"{name}: {len(states)} files, {catalog.size_text(held)}, nothing wrong")


@weights_app.command("fetch")
def fetch_(
    names: list[str] = NAMES,
    for_profile: str = FOR_PROFILE,
    for_training: str = FOR_TRAINING,
    for_suite: str = FOR_SUITE,
    for_system: str = FOR_SYSTEM,
    revision: str = typer.Option("", "--revision", help="A different branch, tag or commit of the repository."),
) -> None:
    """Fetch models from their publishers: linked from the Hugging Face cache or downloaded, and checked by digest.

    Only the files that are used are downloaded. If stopped or interrupted, rerun the command to continue. Uses
    HF_TOKEN, HF_ENDPOINT, HF_HOME, HF_HUB_OFFLINE (only the cache) and proxies.

    If the catalog gives no commit for a repository, `main` is fetched; `fetched.json` in the folder records the commit,
    and later fetches keep it.
    """
    wanted = [weights_needed.Needed(name, "", "") for name in names or []]
    wanted += weights_needed.of_profile(for_profile) if for_profile else []
    wanted += weights_needed.of_training(for_training) if for_training else []
    wanted += weights_needed.of_suite(for_suite) if for_suite else []
    wanted += weights_needed.of_system(for_system) if for_system else []
    if not wanted and not (for_profile or for_training or for_suite or for_system):
        raise ConfigError("weights fetch: give names from `mvideo weights list`, or --for-profile, --for-training, ...")
    if revision and len(wanted) != 1:
        raise ConfigError("weights fetch: --revision applies to one repository; give exactly one name")
    failed = [one.name for one in dict.fromkeys(wanted) if not _fetch_one(one, revision)]
    if failed:
        raise ModelError(f"weights: not fetched: {', '.join(failed)}; see above, then rerun the same command")


@weights_app.command()
def convert(
    name: str = typer.Argument(help="GroundingDINO of groundingdino-py: catalog name or model folder."),
    folder: Path = typer.Argument(help="New folder for the same model in transformers' layout."),
) -> None:
    """Write a GroundingDINO for the detector transformers-groundingdino, which does not need groundingdino-py.

    The same network, equal up to rounding. Use it with `--set detect.detector=transformers-groundingdino --set
    detect.detector_options.weights=FOLDER`. SAM2 needs no conversion: transformers-sam2 reads the published files.
    """
    from mvideo_core.perception.detection.convert import save_transformers
    from mvideo_core.perception.detection.groundingdino import GroundingDinoDetector, GroundingDinoOptions

    save_transformers(GroundingDinoDetector.load(GroundingDinoOptions(weights=name)), folder)
    typer.echo(f"{folder}: config.json, model.safetensors, vocab.txt")


def _fetch_one(one: weights_needed.Needed, revision: str) -> bool:
    """Whether the model is now available; prints where, or why not."""
    use = f" ({one.use})" if one.use else ""
    if not one.name:
        typer.echo(one.use)
        return True
    try:
        if catalog.is_path(one.name):
            typer.echo(f"{one.name}{use}: your own folder: {catalog.find(one.name)}")
            return True
        progress = Progress()
        try:
            folder = fetch(one.name, one.kind or None, progress, revision)
        finally:
            progress.end()
        typer.echo(f"{one.name}{use}: {folder}")
    except ConfigError:
        raise
    except MVideoError as error:
        typer.secho(f"{type(error).__name__}: {error}", fg=typer.colors.RED, err=True)
        return False
    return True


class Progress:
    """A line that redraws itself on a terminal; elsewhere one line per file, and one every `every_s` within a file."""

    def __init__(self, every_s: float = 10.0):
        self.live = sys.stderr.isatty()
        self.every_s = 0.2 if self.live else every_s
        self._path, self._start, self._shown_s = "", (0, 0.0), 0.0
        self._line = False

    def __call__(self, path: str, done: int, total: int | None) -> None:
        """Called by downloads; see `Progress` there."""
        now = time.monotonic()
        if path != self._path:
            self._path, self._start, self._shown_s = path, (done, now), now
        whole = done == total
        if not whole and now - self._shown_s < self.every_s:
            return
        self._shown_s = now
        rate = (done - self._start[0]) / max(now - self._start[1], 1e-3)
        text = f"  {path}  {catalog.size_text(done)}"
        if total and not whole:
            left_s = int((total - done) / rate) if rate else 0
            text += f" of {catalog.size_text(total)}, {rate / 1e6:.1f} MB/s, {left_s // 60}:{left_s % 60:02d} left"
        sys.stderr.write(f"\r\x1b[K{text}" + ("\n" if whole else "") if self.live else text + "\n")
        sys.stderr.flush()
        self._line = self.live and not whole

    def end(self) -> None:
        """End an unfinished line."""
        if self._line:
            sys.stderr.write("\n")


def content_problems(folder: Path, states: Sequence[catalog.FileState], deep: bool) -> list[Problem]:
    """What is wrong inside complete files. For a CogVideoX: everything that loading would find; else: NaN or infinity.

    Args:
        deep: read every value, not a sample.
    """
    if is_cogvideox(folder):
        return model_problems(folder, deep=deep)
    problems = []
    for state in states:
        if state.path.suffix == ".safetensors":
            bad = first_not_finite(list_stored([state.path]), deep)
            problems += [Problem(state.path, f"tensor {bad} has non-finite values")] if bad else []
    return problems


def _remedy(name: str) -> str:
    return "copy the folder again" if catalog.is_path(name) else f"run `mvideo weights fetch {name}`"


def _summary(folder: Path, states: Sequence[catalog.FileState]) -> str:
    """ "2 of 17 files missing or damaged (transformer/config.json: missing)"."""
    wrong = [state for state in states if state.problem]
    example = f"{wrong[0].path.relative_to(folder).as_posix()}: {wrong[0].problem}"
    return f"{len(wrong)} of {len(states)} files missing or damaged ({example})"


def _size(item: WeightsEntry, states: Sequence[catalog.FileState], online: bool) -> str:
    """Total size of an entry: as published, otherwise as on disk, otherwise approximate, otherwise from its publishers
    or unknown.
    """
    record = read_record(item.folder)
    known = [file.size_bytes for file in (record.files if record else item.files)]
    if item.repository is None:
        texts = {file.path: len(file.text.encode()) for file in item.files if file.text is not None}
        known = [texts.get(file.path, file.size_bytes) for file in item.files]
    if (record or item.repository is None) and None not in known:
        return catalog.size_text(sum(size or 0 for size in known))
    if not any(state.problem for state in states):
        return catalog.size_text(sum(state.path.stat().st_size for state in states))
    if online:
        return _size_of(item)
    if item.repository and item.repository.about_bytes:
        return f"~{catalog.size_text(item.repository.about_bytes)}"
    return "known at fetch"


def _size_of(item: WeightsEntry) -> str:
    try:
        if item.repository:
            sizes = [file.size_bytes for file in hub.list_repository(item, item.repository.revision).files]
        else:
            sizes = [hub.with_hub_digest(file).size_bytes for file in item.files if file.text is None]
    except ModelError as error:
        typer.secho(str(error), fg=typer.colors.RED, err=True)
        return "no answer"
    return catalog.size_text(sum(size or 0 for size in sizes)) if None not in sizes else "not stated"

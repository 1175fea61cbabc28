"""mvideo testset ...: the paper's three test sets (data cards: datasets/)."""

import json
from pathlib import Path
from typing import NamedTuple

import typer

from mvideo_core.base.disk import write_whole
from mvideo_core.base.errors import ConfigError
from mvideo_core.base.listing import read_lines
from mvideo_core.cli.settings import end_with, local_only
from mvideo_core.cli.workspace import WORKSPACE
from mvideo_core.curation.stages.samples import current_samples
from mvideo_core.evaluation.testsets.cards import card_path, read_card
from mvideo_core.evaluation.testsets.complex_motion import (
    ComplexMotionOptions,
    list_complex_motion,
    pick_named,
    write_manifest,
)
from mvideo_core.evaluation.testsets.mask_to_video import MaskToVideoOptions, choose_mask_to_video
from mvideo_core.evaluation.testsets.samples import (
    FPS,
    TestCandidate,
    TestSet,
    candidate_of,
    read_test_set,
    write_list,
    write_test_set,
)
from mvideo_core.evaluation.testsets.vbench import VBenchOptions, choose_prompts, read_full_info
from mvideo_core.store.workspace import Workspace

testset_app = typer.Typer(no_args_is_help=True, help="Test sets: Mask-to-Video, ComplexMotion, VBench prompts.")
SYSTEM = typer.Option("mvideo-5b", "--system", help="System whose video length the samples must cover.")
MIN_FRAMES = typer.Option(
    0, "--min-frames", min=0, help="Minimum frames of a sample at 8 fps; 0: as many as --system's videos have."
)
OUT = typer.Option(..., "--out", help="Folder for the files.", callback=local_only)


def add_to(app: typer.Typer) -> None:
    """Register the group."""
    app.add_typer(testset_app, name="testset")


@testset_app.command("mask-to-video")
def mask_to_video(
    workspace: str = WORKSPACE,
    out: str = OUT,
    samples: int = typer.Option(500, min=1, help="Samples wanted."),
    training: str = typer.Option("", "--training", help="Workspace of the training set; its videos are excluded."),
    system: str = SYSTEM,
    min_frames: int = MIN_FRAMES,
) -> None:
    """Select clips of the paper's seven unseen classes, from a run whose detector searched for them.

    Clips too short for the system's videos are excluded and counted. Writes testset.json, and held-out.txt for the
    option shard.held_out_list of the training run.
    """
    card = read_card(card_path("unseen"))
    synonyms = [word for one in card.classes for word in one.synonyms]
    length = _Length.of(min_frames, system, MaskToVideoOptions().min_frames)
    options = MaskToVideoOptions(
        classes=[one.name for one in card.classes], synonyms=synonyms, n_samples=samples, min_frames=length.frames
    )
    taken: set[str] = set()
    if training:
        for sample, clip, *_ in current_samples(Workspace.open_existing(training)):
            taken |= {sample.video_id, clip.source_sha256} - {""}
    candidates = _candidates(workspace)
    _write(choose_mask_to_video(candidates, options, taken), Path(out), length)


@testset_app.command("complexmotion-list")
def complexmotion_list(
    folder: str = typer.Option(
        ..., "--folder", help="Folder of videos (the paper's come from Pexels).", callback=local_only
    ),
    objects: str = typer.Option("", "--objects", help="CSV: file, objects (joined by |), prompt, source_url, license."),
    out: str = OUT,
) -> None:
    """Write a manifest of the folder for `mvideo run --manifest`, with the object of each file."""
    videos = list_complex_motion(ComplexMotionOptions(folder=folder, objects_csv=objects))
    path = Path(out) / "manifest.jsonl"
    write_manifest(videos, path)
    names = sorted({name for video in videos for name in video.objects})
    typer.echo(f"{len(videos)} videos: {path}\nmvideo run --manifest {path} --set 'detect.classes={json.dumps(names)}'")


@testset_app.command("complexmotion")
def complexmotion(
    workspace: str = WORKSPACE,
    manifest: str = typer.Option(..., "--manifest", help="manifest.jsonl of `mvideo testset complexmotion-list`."),
    out: str = OUT,
    samples: int = typer.Option(200, min=1, help="Samples wanted."),
    system: str = SYSTEM,
    min_frames: int = MIN_FRAMES,
) -> None:
    """Select the longest clip of each listed video that shows its object; exclude and count short clips."""
    try:
        lines = [json.loads(line) for line in read_lines(manifest, "manifest") if line.strip()]
        wanted = {str(line["video_id"]): [str(name) for name in line["objects"]] for line in lines}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(f"{manifest}: not a manifest of `mvideo testset complexmotion-list`: {error!r}") from None
    candidates = _candidates(workspace)
    length = _Length.of(min_frames, system, ComplexMotionOptions().min_frames)
    options = ComplexMotionOptions(n_samples=samples, min_frames=length.frames)
    _write(pick_named(candidates, wanted, options), Path(out), length)


@testset_app.command("manifest")
def manifest_(
    testset: str = typer.Option(..., "--testset", help="testset.json of one of the commands above."),
    workspace: str = WORKSPACE,
    out: str = OUT,
    system: str = typer.Option("", "--system", help="System that generates the videos, such as mvideo-5b."),
    videos: str = typer.Option("videos", "--videos", help="Folder of the videos KEY.mp4, relative to --out."),
    seconds: float = typer.Option(
        0.0,
        "--seconds",
        min=0,
        help="Length of the videos, where masks end; 0: the length of --system's videos, otherwise of the masks.",
    ),
) -> None:
    """Write the test set for `mvideo eval`: prompts, reference masks, source clips; absent videos count as missing.

    Masks are cut to the length of the videos; shorter samples are excluded and counted.
    """
    from mvideo_core.curation.stages.publish import dataset_root
    from mvideo_core.evaluation.testset_manifest import name_of, seconds_of, write_test_manifest

    made, root = read_test_set(testset), dataset_root(Workspace.open_existing(workspace))
    length = seconds or seconds_of(system)
    written = write_test_manifest(made, root, Path(out), name_of(system), videos, length)
    typer.echo(f"{written.n_items} items: {written.path}\nmvideo eval validate {written.path}")
    short = written.too_short
    end_with(
        [f"{len(short)} of {len(made.samples)} samples are too short and excluded, such as {short[0]}"] if short else []
    )


@testset_app.command("vbench")
def vbench(
    full_info: str = typer.Option(..., "--full-info", help="Path of VBench_full_info.json."),
    dimension: list[str] = typer.Option(["overall_consistency"], "--dimension", help="Repeatable."),
    count: int = typer.Option(100, min=1, help="Number of prompts."),
    seed: int = typer.Option(0, help="Seed of the random choice if more are available."),
    out: str = OUT,
) -> None:
    """Select prompts and record their origin; the paper does not say which 100 prompts it used."""
    options = VBenchOptions(full_info=full_info, dimensions=dimension, count=count, seed=seed)
    chosen = choose_prompts(*read_full_info(full_info), options)
    path = Path(out) / "prompts.json"
    write_whole(path, json.dumps(chosen.model_dump(mode="json"), indent=1, sort_keys=True))
    typer.echo(f"{len(chosen.prompts)} prompts: {path}")


def _candidates(workspace: str) -> list[TestCandidate]:
    return [candidate_of(sample) for sample, *_ in current_samples(Workspace.open_existing(workspace))]


class _Length(NamedTuple):
    """Frames that a sample needs at 8 fps, and why."""

    frames: int
    why: str

    @classmethod
    def of(cls, given: int, system: str, default: int) -> "_Length":
        """The given value, otherwise the length of the system's videos, otherwise the builder's default.

        Raises:
            ConfigError: no such system.
        """
        from mvideo_core.evaluation.systems import length_s, load_system

        if given:
            return cls(given, "--min-frames")
        if seconds := length_s(load_system(system)):
            return cls(round(seconds * FPS) + 1, f"{seconds:g} s of {system} at {FPS:g} fps")
        return cls(default, f"{system} has no fixed length")


def _write(made: TestSet, out: Path, length: _Length) -> None:
    write_test_set(made, out / "testset.json")
    write_list(made.held_out, out / "held-out.txt", f"videos of {made.name}; training must not see them")
    typer.echo(f"{made.name}: {len(made.samples)} of {made.wanted} samples {made.per_class}, excluded {made.left_out}")
    typer.echo(f"{made.left_out.get('too_short', 0)} clips shorter than {length.frames} frames ({length.why}) excluded")
    typer.echo(f"{out / 'testset.json'}, {out / 'held-out.txt'}")

"""The paper's data, built with the pipeline: three datasets, the training latents, the three test sets."""

import logging
from pathlib import Path

from mvideo_core.cogvideox.base import load_base
from mvideo_core.cogvideox.video_format import VideoFormat
from mvideo_core.curation.pipeline import load_profile, run_pipeline
from mvideo_core.curation.stages.encode import encode_dataset
from mvideo_core.curation.stages.publish import dataset_root
from mvideo_core.curation.stages.publish_latents import current_latents
from mvideo_core.curation.stages.samples import current_samples
from mvideo_core.evaluation.testsets.cards import card_path, read_card
from mvideo_core.evaluation.testsets.complex_motion import ComplexMotionOptions, pick_named
from mvideo_core.evaluation.testsets.mask_to_video import MaskToVideoOptions, choose_mask_to_video
from mvideo_core.evaluation.testsets.samples import TestCandidate, TestSet, candidate_of, write_test_set
from mvideo_core.paper.material import SetName, list_sets, pipeline_overrides, sets_to_build, source_of, workspace_of
from mvideo_core.paper.options import PaperOptions
from mvideo_core.paper.sets import COMPLEX_MOTION, MASK_TO_VIDEO, mask_cases, prompt_cases
from mvideo_core.paper.training import latent_options
from mvideo_core.store.workspace import Workspace

log = logging.getLogger(__name__)

EVERY = 100_000
"""Samples requested from a test-set builder: all; `mask_cases` takes the first ones that are large enough."""


def build_datasets(options: PaperOptions, root: Path) -> None:
    """Render the videos and run data curation on the three sets, on this machine, without a server."""
    for name in sets_to_build(options):
        log.info("dataset %s", name)
        profile = load_profile(options.pipeline, pipeline_overrides(options, name))
        run_pipeline(Workspace(workspace_of(options, root, name)), source_of(options, root, name), profile)


def encode_training_set(options: PaperOptions, root: Path) -> str:
    """Latents of the training set; returns their folder."""
    workspace = Workspace(workspace_of(options, root, "train"))
    encode_dataset(workspace, latent_options(options))
    return current_latents(workspace)


def build_test_sets(options: PaperOptions, root: Path) -> list[Path]:
    """Prompts, Mask-to-Video and ComplexMotion as lists of cases at the model's resolution and length.

    Raises:
        StoreError: a dataset is missing, or a test set is too small.
    """
    grid: VideoFormat = load_base(options.base, parts=()).format
    lists = [prompt_cases(options, root)]
    for name in list_sets(options)[1:]:
        chosen = _mask_to_video(options, root) if name == "unseen" else _complex_motion(options, root)
        title = MASK_TO_VIDEO if name == "unseen" else COMPLEX_MOTION
        write_test_set(chosen, root / "sets" / f"{title}.testset.json")
        dataset = dataset_root(Workspace(workspace_of(options, root, name)))
        lists.append(mask_cases(chosen, dataset, title, options, grid, root))
    return lists


def _mask_to_video(options: PaperOptions, root: Path) -> TestSet:
    card = read_card(card_path("unseen"))
    taken: set[str] = set()
    for sample, clip, *_ in current_samples(Workspace(workspace_of(options, root, "train"))):
        taken |= {sample.video_id, clip.source_sha256} - {""}
    wanted = MaskToVideoOptions(
        classes=[one.name for one in card.classes],
        synonyms=[word for one in card.classes for word in one.synonyms],
        n_samples=EVERY,
        max_per_video=EVERY,
        min_frames=33,
    )
    return choose_mask_to_video(_candidates(options, root, "unseen"), wanted, taken)


def _complex_motion(options: PaperOptions, root: Path) -> TestSet:
    candidates = _candidates(options, root, "complex")
    objects = {one.video_id: [label for _, label in one.objects] for one in candidates}
    return pick_named(candidates, objects, ComplexMotionOptions(n_samples=EVERY))


def _candidates(options: PaperOptions, root: Path, name: SetName) -> list[TestCandidate]:
    workspace = Workspace(workspace_of(options, root, name))
    return [candidate_of(sample) for sample, *_ in current_samples(workspace)]

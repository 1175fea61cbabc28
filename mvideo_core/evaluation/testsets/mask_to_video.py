"""The Mask-to-Video test set: objects of unseen classes, from videos not used in training.

Paper, section 4.1: 500 triplets (video, text, masks) from HD-VILA, with classes absent from the training data
("cheetah", "deer", "llama", "penguin", "sea turtle", "squirrel", "tiger"). The paper does not say how it made sure of
this. It is not enough that a detector finds no such object: with COCO-80 prompts, detectors report a tiger as a cat. So
every video whose labels, caption or title name one of the classes, or a synonym, is excluded from training.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence, Set

from pydantic import Field

from mvideo_core.base.options import Options
from mvideo_core.base.term_search import TermFinder
from mvideo_core.evaluation.testsets.samples import TestCandidate, TestSample, TestSet

NAME = "mask-to-video-test"
UNSEEN = ("cheetah", "deer", "llama", "penguin", "sea turtle", "squirrel", "tiger")


class MaskToVideoOptions(Options):
    """Which samples qualify, and how many are chosen."""

    classes: list[str] = Field(default=list(UNSEEN), min_length=1, description="labels that training must not contain")
    synonyms: list[str] = Field(default=[], description="synonyms of the classes; see datasets/unseen.yaml")
    n_samples: int = Field(default=500, ge=1, description="number of samples; the paper has 500")
    max_per_video: int = Field(default=2, ge=1, description="maximum samples per source video, for diversity")
    min_frames: int = Field(default=65, ge=1, description="minimum frames at 8 fps; 65 frames are 8 s")
    require_mention: bool = Field(
        default=True,
        description="require a class name in caption or title, because detectors mislabel animals",
    )
    seed: int = Field(default=0, description="random seed")


def choose_mask_to_video(
    candidates: Iterable[TestCandidate], options: MaskToVideoOptions, taken: Set[str] = frozenset()
) -> TestSet:
    """Choose samples round-robin over classes, so that a common class does not crowd out a rare one.

    Args:
        candidates: triplets from a run with `options.classes` in the detector's prompt; the order does not matter.
        taken: ids and source digests of training videos.

    Returns:
        The set; its `held_out` lists every video that names one of the classes, chosen or not.
    """
    every = sorted(candidates, key=lambda one: one.key)
    finder = TermFinder([*options.classes, *options.synonyms])
    left_out: Counter[str] = Counter()
    queues: dict[str, list[tuple[str, TestCandidate]]] = {label: [] for label in options.classes}
    for one in every:
        reason, label = _fit(one, options, finder, taken)
        if reason:
            left_out[reason] += 1
        else:
            queues[label].append((_draw(options.seed, one.key), one))
    samples = _in_turn(queues, options, left_out)
    held_out = find_naming_videos(every, finder) | {sample.video_id for sample in samples}
    return TestSet(
        name=NAME,
        options=options.model_dump(mode="json"),
        wanted=options.n_samples,
        samples=samples,
        left_out=dict(sorted(left_out.items())),
        per_class={label: sum(one.label == label for one in samples) for label in options.classes},
        held_out=sorted(held_out),
    )


def find_naming_videos(candidates: Iterable[TestCandidate], finder: TermFinder) -> set[str]:
    """Ids and source digests of videos with a term in an object label, caption or title."""
    found: set[str] = set()
    for one in candidates:
        if finder.any_in(*one.texts, *(label for _, label in one.objects)):
            found |= {one.video_id, one.source_sha256} - {""}
    return found


def _fit(one: TestCandidate, options: MaskToVideoOptions, finder: TermFinder, taken: Set[str]) -> tuple[str, str]:
    """(reason to drop it, "") or ("", class of its first qualifying object)."""
    if one.video_id in taken or (one.source_sha256 and one.source_sha256 in taken):
        return "in_training", ""
    if one.generated_frames < options.min_frames:
        return "too_short", ""
    labels = [label for _, label in one.objects if label in options.classes]
    if not labels:
        return "no_unseen_object", ""
    if options.require_mention and not finder.any_in(*one.texts):
        return "not_mentioned", ""
    return "", labels[0]


def _in_turn(
    queues: dict[str, list[tuple[str, TestCandidate]]], options: MaskToVideoOptions, left_out: Counter[str]
) -> list[TestSample]:
    """Draw from the classes round-robin until there are enough or none are left; counts the rest."""
    waiting = {label: [one for _, one in sorted(queue, reverse=True)] for label, queue in queues.items()}
    per_video: Counter[str] = Counter()
    samples: list[TestSample] = []
    while any(waiting.values()) and len(samples) < options.n_samples:
        for label, queue in waiting.items():
            while queue and len(samples) < options.n_samples:
                one = queue.pop()
                if per_video[one.video_id] < options.max_per_video:
                    per_video[one.video_id] += 1
                    samples.append(_sample(one, label, options.classes))
                    break
                left_out["video_has_enough"] += 1
    not_drawn = sum(len(queue) for queue in waiting.values())
    if not_drawn:
        left_out["not_drawn"] += not_drawn
    return sorted(samples, key=lambda one: one.key)


def _sample(one: TestCandidate, label: str, classes: Sequence[str]) -> TestSample:
    ids = [object_id for object_id, name in one.objects if name in classes]
    return TestSample(
        key=one.key, video_id=one.video_id, label=label, object_ids=ids, caption=one.texts[0], n_frames=one.n_frames
    )


def _draw(seed: int, key: str) -> str:
    return hashlib.sha256(f"{NAME}/{seed}/{key}".encode()).hexdigest()

"""Score facts in captions: which classes, actions and directions they mention."""

import re
from collections.abc import Sequence

import numpy as np

from mvideo_core.miniworld.accuracy.figures import CaptionFigures, Score
from mvideo_core.miniworld.accuracy.mapping import ClipTruth
from mvideo_core.miniworld.world.kinds import kinds

PRESENT_FRAC = 0.25
TRAVEL_FRAC = 0.2
ALIASES = {
    "person": ("person", "people", "man", "men", "woman", "women", "boy", "girl", "child", "figure"),
    "sports ball": ("sports ball", "ball", "football", "basketball"),
    "bicycle": ("bicycle", "bike"),
    "airplane": ("airplane", "plane", "aeroplane", "aircraft"),
    "boat": ("boat", "ship", "sailboat"),
    "sea turtle": ("sea turtle", "turtle"),
    "traffic light": ("traffic light", "traffic signal"),
}
ACTION_WORDS = {
    "jumping jack": ("jumping jack", "jumping-jack"),
    "stand": ("stand", "still", "stays", "sitting"),
    "park": ("park", "still", "stays", "stand"),
    "run": ("run", "running", "runs", "gallop"),
    "cartwheel": ("cartwheel",),
}


class CaptionCounter:
    """Accumulates clips."""

    def __init__(self) -> None:
        self.n_clips = 0
        self.classes, self.actions, self.directions = [0, 0, 0], [0, 0, 0], [0, 0, 0]

    def add(self, clip: ClipTruth, text: str) -> None:
        """Compare one caption with the objects visible in at least PRESENT_FRAC of the clip's frames."""
        self.n_clips += 1
        present = [thing for thing in clip.objects if visible_frac(clip, thing.object_id) >= PRESENT_FRAC]
        seen_at_all = {thing.label for thing in clip.objects if visible_frac(clip, thing.object_id) > 0}
        labels = {thing.label for thing in present}
        mentioned = {name for name in kinds() if mentions(text, name)}
        self.classes[0] += len(labels & mentioned)
        self.classes[1] += len(labels - mentioned)
        self.classes[2] += len(mentioned - seen_at_all)
        for thing in present:
            if thing.label not in mentioned:
                continue
            sentences = sentences_about(text, thing.label)
            right = any(word in sentences for word in action_words(thing.action, thing.verb))
            self.actions[0 if right else 1] += 1
            if sum(other.label == thing.label for other in clip.objects) == 1:
                self._direction(sentences, image_direction(clip, thing.object_id))

    def _direction(self, sentences: str, true: str) -> None:
        if not true:
            return
        matches = set(re.findall(r"\b(?:to|towards?) the (left|right)\b|\b(left|right)wards?\b", sentences))
        words = {a or b for a, b in matches}
        self.directions[0 if true in words else 2 if words else 1] += 1

    def figures(self) -> CaptionFigures:
        """Rates so far."""
        return CaptionFigures(n_clips=self.n_clips, classes=Score.of(*self.classes), actions=Score.of(*self.actions),
                              directions=Score.of(*self.directions))  # fmt: skip


def mentions(text: str, name: str) -> bool:
    """Whether the text mentions a class by name, common synonym or plural."""
    words = "|".join(re.escape(word) for word in ALIASES.get(name, (name,)))
    return re.search(rf"\b(?:{words})(?:s|es)?\b", text.lower()) is not None


def sentences_about(text: str, name: str) -> str:
    """All sentences that mention a class, in lower case, as one string."""
    return " ".join(one for one in re.split(r"(?<=[.!?])\s+", text.lower()) if mentions(one, name))


def action_words(action: str, verb: str) -> Sequence[str]:
    """Words that count as mentioning an action: its name, or the first word of the true verb without -ing."""
    return ACTION_WORDS.get(action, (action, verb.split()[0]))


def visible_frac(clip: ClipTruth, obj: int) -> float:
    """Fraction of the clip's frames inside the shot in which any part of the object is visible."""
    areas = clip.objects[obj].visible_px
    return float(np.mean([areas[clip.local(k)] > 0 for k in range(clip.n_inside)]))


def image_direction(clip: ClipTruth, obj: int) -> str:
    """ "left" or "right" if the visible box's center moves that way by TRAVEL_FRAC of the clip's width, else ""."""
    boxes = [clip.objects[obj].boxes_xyxy[clip.local(k)] for k in range(clip.n_inside)]
    shown = np.array([box for box in boxes if box], float).reshape(-1, 4)
    mapped = clip.fit.boxes(shown)
    centers = mapped[np.isfinite(mapped[:, 0])][:, [0, 2]].mean(axis=1)
    if len(centers) < 2:
        return ""
    travel = centers[-1] - centers[0]
    path = np.abs(np.diff(centers)).sum()
    if abs(travel) < TRAVEL_FRAC * clip.fit.width or abs(travel) < 0.8 * path:
        return ""
    return "right" if travel > 0 else "left"

"""`motion` computes the fields of a phrase from frames and masks:

- `color` is the most frequent of 13 color names inside the mask; it is empty if the object has many colors.
- `action` is derived from the object's path, with the camera's motion subtracted.
- `place` is the third of the picture, horizontally and vertically, in which the object's center is most of the time;
  `foreground` is added if the object covers at least 15% of the picture on average.
"""

# Thresholds of movement are those of `tracks.py`.

import numpy as np

from mvideo_core.base.errors import MediaError
from mvideo_core.base.records import ObjectPhrase
from mvideo_core.media.camera import CameraPath
from mvideo_core.perception.captioning.base import CaptionInput
from mvideo_core.perception.captioning.colors import NAMES, count_colors, main_color
from mvideo_core.perception.captioning.english import PAIRS, with_article
from mvideo_core.perception.captioning.tracks import GROWTH_RATIO, TrackFacts, movement, track_facts

GRAMMAR = "phrases-1"
"""Version of all phrases, measured and asked for; changes if the same clip gets other ones."""
OUT_OF_SIGHT = "out_of_sight"
FOREGROUND_FRAC = 0.15
"""Mean part of the picture from which on an object is in the foreground."""
_COLOR_FRAMES = 8
_TREND = 0.7
"""An object comes closer or moves away only if its size changes this steadily (rank correlation with time)."""
_HIDDEN_S, _WHOLE_FRAC = 1.5, 0.75
"""An object is partly hidden on frames with less than this part of its usual area, before and after, within so many
seconds."""


def measure_phrases(clip: CaptionInput) -> list[ObjectPhrase]:
    """One phrase per object of a clip, in the order of its labels.

    Raises:
        MediaError: the clip has no masks, or not as many frames as masks.
    """
    colors_NK, centers_NT2, to_first_T23 = _look(clip)
    phrases = []
    for n, (object_id, label) in enumerate(zip(clip.object_ids, clip.labels, strict=True)):
        boxes_T4, areas_T = clip.boxes_NT4[n], clip.areas_NT[n]
        whole_T4 = _drop_hidden(boxes_T4, areas_T, clip.fps)
        fact = track_facts(label, whole_T4, areas_T, clip.width, clip.height, clip.fps, to_first_T23, centers_NT2[n])
        if fact is None:
            phrases.append(ObjectPhrase(object_id=object_id, label=label, reason=OUT_OF_SIGHT))
            continue
        color, action = main_color(colors_NK[n]), action_words(fact)
        place = place_words(centers_NT2[n], areas_T, clip.width, clip.height)
        phrases.append(
            ObjectPhrase(
                object_id=object_id, label=label, color=color, action=action, place=place,
                phrase=_phrase(label, color, action, place),
            )
        )  # fmt: skip
    return phrases


def action_words(fact: TrackFacts) -> str:
    """What an object does, as a verb phrase."""
    words = [way] if (way := movement(fact)) else []
    if fact.growth >= GROWTH_RATIO and fact.growth_trend >= _TREND:
        words.append("comes closer")
    elif fact.growth <= 1 / GROWTH_RATIO and fact.growth_trend <= -_TREND:
        words.append("moves away")
    return " and ".join(words) or "stays in place"


def place_words(centers_T2: np.ndarray, areas_T: np.ndarray, width: int, height: int) -> str:
    """Where an object is most of the time: "left", "top right", "center", "bottom, foreground" and so on.

    Args:
        centers_T2: (frames, 2) center of the object, px.
        areas_T: (frames,) mask area, px; 0 where not visible.
        width, height: size of the picture, px.
    """
    x, y = np.median(centers_T2[areas_T > 0], axis=0) / (width, height)
    row = "top" if y < 1 / 3 else "bottom" if y > 2 / 3 else ""
    column = "left" if x < 1 / 3 else "right" if x > 2 / 3 else ""
    place = " ".join(filter(None, (row, column))) or "center"
    return f"{place}, foreground" if areas_T[areas_T > 0].mean() >= FOREGROUND_FRAC * width * height else place


def _drop_hidden(boxes_T4: np.ndarray, areas_T: np.ndarray, fps: float) -> np.ndarray:
    """The boxes without those of frames on which the object is partly hidden, whose centers say little about its way.

    There, it is clearly smaller than shortly before and after.
    """
    reach = max(1, round(_HIDDEN_S * fps))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(areas_T, reach, mode="edge"), reach + 1)
    usual = np.percentile(windows, 75, axis=1)
    usual_T = np.minimum(usual[: len(areas_T)], usual[reach:])  # before and after: growth is no dip
    whole_T4 = np.where((areas_T >= _WHOLE_FRAC * usual_T)[:, None], boxes_T4, np.nan)
    return whole_T4 if np.isfinite(whole_T4).any() else boxes_T4


def _look(clip: CaptionInput) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Everything that needs pixels, in one decode.

    Returns:
        Shares of colors per object, summed over a few frames, (N, K); centers of the objects, (N, T, 2), px; the
        camera's way, (T, 2, 3).
    """
    masks, path = clip.with_masks(), CameraPath()
    centers_NT2 = np.full((masks.n_objects, masks.n_frames, 2), np.nan)
    colors_NK = np.zeros((masks.n_objects, len(NAMES)))
    looked_at = set(np.linspace(0, masks.n_frames - 1, min(_COLOR_FRAMES, masks.n_frames)).round().astype(int).tolist())
    n_frames = 0
    for rgb in clip.every_frame():
        if n_frames == masks.n_frames or rgb.shape[:2] != (masks.height, masks.width):
            n_frames = -1
            break
        masks_NHW = masks.frame(n_frames)
        path.add(rgb, np.asarray(masks_NHW.any(axis=0)))
        for n in np.flatnonzero(masks_NHW.any(axis=(1, 2))):
            centers_NT2[n, n_frames] = _center(masks_NHW[n])
            if n_frames in looked_at:
                counts = count_colors(rgb, masks_NHW[n])
                colors_NK[n] += counts / counts.sum()
        n_frames += 1
    if n_frames != masks.n_frames:
        raise MediaError(f"{clip.key}: the frames do not fit the {masks.n_frames} masks; run the stage segment again")
    return colors_NK, centers_NT2, path.to_first_T23()


def _center(mask_HW: np.ndarray) -> tuple[float, float]:
    """Median x and y of a mask's pixels, which stray pixels do not move."""
    found = []
    for axis in (0, 1):
        passed = np.cumsum(mask_HW.sum(axis=axis))
        low, high = np.searchsorted(passed, [(passed[-1] + 1) // 2, passed[-1] // 2 + 1])
        found.append((float(low) + float(high)) / 2 + 0.5)
    return found[0], found[1]


def _phrase(label: str, color: str, action: str, place: str) -> str:
    if label == "person":
        noun = f"a person in {color}" if color else "a person"
    elif label in PAIRS:
        noun = f"a pair of {color} {label}" if color else with_article(label)
    else:
        noun = with_article(" ".join(filter(None, (color, label))))
    where, _, foreground = place.partition(", ")
    near = "in the foreground " if foreground else ""
    at = {"left": "on the left", "right": "on the right", "center": "in the center"}.get(where, f"at the {where}")
    return f"{noun} {near}{at} {'who' if label == 'person' else 'that'} {action}"

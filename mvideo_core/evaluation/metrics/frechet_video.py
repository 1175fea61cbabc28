"""Frechet video distance, of the whole picture or of the masked region: one number for all videos of a system.

Each generated video and the source video of its item become one vector; the number is the distance between the two sets
of vectors. Of a source that is longer than the video only its first seconds count, as many as the video has: the same
number of frames is spread over both, and over unequal times they would show another tempo.

Networks are VideoMAE or V-JEPA 2 (`weights`), since FVD's own, I3D, is published as a program that would have to be
executed: compare figures with others of this project only, never with published FVD. With `distance: mmd`
over V-JEPA 2 it is JEDi's recipe (with another release of the network).

Sets are small here: below about 2,000 videos the distance is biased upwards by an amount that depends on the number of
videos and on the system, so every number says how many it rests on.
"""

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import MediaError
from mvideo_core.base.options import Options
from mvideo_core.editing.resample import nearest_frames
from mvideo_core.evaluation.base import METRICS, Metric, SetScore, VideoScore
from mvideo_core.evaluation.mask_grid import GridFit, check_match, match_frames, on_grid
from mvideo_core.evaluation.set_distance import frechet_distance, polynomial_mmd
from mvideo_core.evaluation.video import EvalVideo

ENOUGH_VIDEOS = 2000
"""Below, the literature finds the distance biased (FID: 2,048 at the least; FVD: the same sets of 2,048)."""
BACKGROUND = 127
"""Gray level, all channels, of every pixel outside the masks."""
GENERATED, SOURCE = "generated.f32", "source.f32"
"""Artifacts: the two vectors, little-endian float32."""


class FrechetVideoOptions(Options):
    """Network and distance."""

    weights: str = Field(
        default="videomae-base-ssv2", description="catalog name or model folder (VideoMAE or V-JEPA 2 of transformers)"
    )
    frames: int = Field(
        default=0, ge=0, description="frames of each video, spread evenly; 0: as many as the network was trained with"
    )
    distance: Literal["frechet", "mmd"] = Field(
        default="frechet", description="frechet: of fitted normal distributions; mmd: polynomial kernel, as JEDi"
    )


@METRICS.register("frechet_video")
class FrechetVideo(Metric):
    """Distance between the sets of generated and of source videos; smaller is better. A video's own value is the
    Euclidean distance between its vector and that of its source, which ranks no systems.
    """

    Options = FrechetVideoOptions
    needs = frozenset({"source"})
    revision = 2
    scale = 1.0
    set_level = True
    licence = "Apache-2.0 (own code); weights: VideoMAE CC BY-NC 4.0, V-JEPA 2 as its publisher states"

    def __init__(self, options: Any, features: Any, weights_sha256: str):
        self.options, self.features, self.weights_sha256 = options, features, weights_sha256

    @classmethod
    def load(cls, options: Any, device: str = "cpu") -> Self:
        """The metric with weights from disk. Raises ModelError: they are absent or unfit."""
        from mvideo_core.evaluation.networks.video_features import load_features
        from mvideo_core.weights import find

        return cls(options, *load_features(find(options.weights, kind="metric"), options.frames, device))

    def score(self, video: EvalVideo) -> VideoScore:
        """The vectors of video and source, as artifacts. Raises MediaError: one of them is unreadable."""
        generated, source = (self.features.of(frames) for frames in self._frames_of(video))
        return VideoScore(
            value=float(np.linalg.norm(generated - source)),
            artifacts={GENERATED: generated.astype("<f4").tobytes(), SOURCE: source.astype("<f4").tobytes()},
        )

    def _frames_of(self, video: EvalVideo) -> tuple[np.ndarray, np.ndarray]:
        """Frames of the video and of its source, as the network is shown them."""
        return video.frames_THWC, as_long(video.source_frames(), video.source_fps, len(video.frames_THWC), video.fps)

    @classmethod
    def of_set(cls, options: Any, scores: Sequence[VideoScore]) -> SetScore:
        """Distance of the sets, with what its size makes of it; no number for fewer than two videos."""
        n = len(scores)
        if n < 2:
            return SetScore(value=None, remark=f"{n} videos, 2 are the least")
        sets = [np.stack([np.frombuffer(one.artifacts[name], "<f4") for one in scores]) for name in (GENERATED, SOURCE)]
        value = frechet_distance(*sets) if options.distance == "frechet" else polynomial_mmd(*sets)
        few = f"{n} videos; biased below about {ENOUGH_VIDEOS:,}" if n < ENOUGH_VIDEOS else ""
        return SetScore(value=value, remark=few)


def as_long(source_THWC: np.ndarray, source_fps: float, n_frames: int, fps: float) -> np.ndarray:
    """The frames of a source up to the time of a video's last frame; all of them when the source is shorter.

    A source of as many frames as the video is kept whole, whatever rates the two files state.
    """
    if len(source_THWC) == n_frames:
        return source_THWC
    last = int(nearest_frames(np.array([(n_frames - 1) / fps]), source_fps)[0])
    return source_THWC[: last + 1]


class MaskedFrechetVideoOptions(FrechetVideoOptions):
    """Network, distance and masks."""

    fit: GridFit = Field(
        default="same", description="shapes differ: same = an error; crop, letterbox, stretch = how masks are fitted"
    )


@METRICS.register("masked_frechet_video")
class MaskedFrechetVideo(FrechetVideo):
    """The same with everything outside the masks of the item gray, in the generated video as in its source."""

    Options = MaskedFrechetVideoOptions
    needs = frozenset({"source", "masks"})

    def _frames_of(self, video: EvalVideo) -> tuple[np.ndarray, np.ndarray]:
        return (
            self._mask(video, video.frames_THWC, video.fps),
            self._mask(video, video.source_frames(), video.source_fps, longer=True),
        )

    def _mask(
        self, video: EvalVideo, frames_THWC: np.ndarray, fps: float, longer: bool = False
    ) -> np.ndarray:  # fmt: skip
        """Frames with a gray background, uint8 (T, H, W, 3).

        Args:
            longer: frames after the last mask are left out; else they are an error.

        Raises:
            MediaError: masks absent, of another length or shape, or empty in every frame.
        """
        masks = video.masks()
        height, width = frames_THWC.shape[1:3]
        match = match_frames(masks.n_frames, video.masks_fps, len(frames_THWC), fps)
        checked = match._replace(n_unmatched=0) if longer else match
        check_match(checked, masks.n_frames, video.masks_fps, fps, align=None)
        frames_THWC = frames_THWC[: len(match.masks)]
        there = on_grid(masks, match.masks, height, width, (not longer and video.item.fit) or self.options.fit)
        shown = np.full_like(frames_THWC, BACKGROUND)
        n_pixels = 0
        for frame in range(there.n_frames):
            region_HW = np.zeros((height, width), np.bool_)
            for n in range(there.n_objects):
                region_HW |= there.mask(frame, n)
            shown[frame][region_HW] = frames_THWC[frame][region_HW]
            n_pixels += int(region_HW.sum())
        if not n_pixels:
            raise MediaError(f"{video.item.id}: no object has a mask in any frame, so there is no region to compare")
        return shown

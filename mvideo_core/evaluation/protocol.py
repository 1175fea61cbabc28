"""VBench's two protocols (option `protocol`): the whole video at once (`short`), or the mean over clips of `clip_s`
seconds (`long`).

If the last clip would be shorter, it starts earlier, so that all clips have the same length. Here, clips are slices of
the decoded frames, and scores are averaged per video first. VBench-Long itself re-encodes clips before scoring, and
averages over all clips at once. VBench's authors use clips for videos of 5 s or longer.

Shape letters: T frames, H, W, C.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import MediaError
from mvideo_core.base.options import Options
from mvideo_core.evaluation.base import VideoScore
from mvideo_core.evaluation.video import EvalVideo


class ProtocolOptions(Options):
    """Whole videos or clips; VBench's authors use clips for 5 s or longer, and the paper does not say what it used."""

    protocol: Literal["short", "long"] = Field(
        default="short", description="short: the whole video; long: the mean over clips of clip_s seconds (VBench-Long)"
    )
    clip_s: int = Field(default=2, ge=1, description="clip length in whole seconds for `long`; unused for `short`")


def clip_ranges(n_frames: int, fps: float, clip_s: int) -> list[range]:
    """Frames of each clip; if the last clip would be shorter, it starts earlier, so that all have equal length.

    Args:
        n_frames: length of the video; a video shorter than one clip is one clip.
        fps: frames per second; truncated to an integer, as in VBench-Long (23.976 -> 23).
        clip_s: clip length in seconds.

    Raises:
        MediaError: less than one frame per second, or no frames.

    Source: split_video_into_clips of vbench2_beta_long/utils.py, Vchitect/VBench.
    """
    size = int(fps) * clip_s
    if size < 1 or n_frames < 1:
        raise MediaError(
            f"{n_frames} frames at {fps:g} fps cannot be cut into clips of {clip_s} s; use protocol: short"
        )
    if n_frames < size:
        return [range(n_frames)]
    clips = [range(start, start + size) for start in range(0, n_frames - size + 1, size)]
    if n_frames % size:
        clips.append(range(n_frames - size, n_frames))
    return clips


def score_by_protocol(
    video: EvalVideo, options: ProtocolOptions, score: Callable[[np.ndarray], VideoScore]
) -> VideoScore:
    """Apply `score` to the whole video, or average it over clips.

    Args:
        score: takes uint8 RGB (T, H, W, 3).

    Returns:
        For `long`, `details` has n_clips and each clip's value (clip_0, clip_1, ...), and `per_frame` is empty because
        clips may overlap.
    """
    frames_THWC = video.frames_THWC
    if options.protocol == "short":
        return score(frames_THWC)
    clips = clip_ranges(len(frames_THWC), video.fps, options.clip_s)
    values = [score(frames_THWC[clip.start : clip.stop]).value for clip in clips]
    details = {"n_frames": float(len(frames_THWC)), "n_clips": float(len(clips))}
    return VideoScore(
        value=float(np.mean(values)), details=details | {f"clip_{i}": value for i, value in enumerate(values)}
    )

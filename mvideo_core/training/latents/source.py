"""One tar of the dataset, read for encoding: which windows its clips give, and the pixels of each window in turn.

Memory holds one clip's encoded bytes and the frames of one window.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from mvideo_core.base.errors import ConfigError, MediaError, StoreError
from mvideo_core.base.records import SampleRow, ShardRow
from mvideo_core.cogvideox.video_format import VideoFormat
from mvideo_core.masks.codec import MaskSequence
from mvideo_core.masks.io.clip import take_frames
from mvideo_core.media.decode import read_frames
from mvideo_core.shards.dataset import Sample
from mvideo_core.shards.stream import stream_samples
from mvideo_core.training.latents.encode import WindowPixels
from mvideo_core.training.latents.options import LatentOptions
from mvideo_core.training.latents.sloppy import SloppyOptions, sloppy_variants
from mvideo_core.training.latents.windows import Window, window_id, windows_of

FPS_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class PlannedClip:
    """A clip and the windows that will be encoded from it; none if it is too short."""

    sample: SampleRow
    windows: list[Window]


def plan_clips(shard: ShardRow, clip_frames: int, options: LatentOptions) -> list[PlannedClip]:
    """Every clip of a tar, in tar order."""
    return [
        PlannedClip(sample, windows_of(sample.n_frames, clip_frames, options.stride_frames, options.max_windows))
        for sample in shard.samples
    ]


class ShardReader:
    """Pixels of the clips of one tar of the dataset, in its order.

    Args:
        stream: the tar, seekable.
        path: for messages.
    """

    def __init__(self, stream: IO[bytes], path: str):
        stream.seek(0)
        self._path = path
        self._samples = stream_samples(stream, path)

    def pixels(
        self, clip: PlannedClip, video_format: VideoFormat, max_stretch: float, sloppy: SloppyOptions = SloppyOptions()
    ) -> Iterator[tuple[Window, WindowPixels]]:
        """Frames and masks of each window of a clip, in order. Clips before it can no longer be read.

        Raises:
            ConfigError: the dataset has a different frame rate or aspect ratio than the format.
            StoreError: a member does not decode; earlier stages have read it, so it was damaged since.
        """
        key, n = clip.sample.key, video_format.clip_frames
        try:
            sample = self._pass_to(key)
            meta = sample.meta()
            check_format(meta, video_format, max_stretch, f"{self._path}: {key}")
            masks = keep_masks(sample.masks(), meta)
            spans = [window.frames(n) for window in clip.windows]
            video = read_frames(io.BytesIO(sample.content["mp4"]))
            for window, frames_THWC in zip(clip.windows, frame_spans(video, spans), strict=True):
                before = window.target_start - window.frames(n).start
                masks_THW = union_THW(masks, window.target(n))
                own = take_frames(masks, window.target(n))
                variants = sloppy_variants(own, sloppy, window_id(key, window.target_start))
                yield (
                    window,
                    WindowPixels(
                        name=f"{key} at frame {window.target_start}",
                        target_THWC=frames_THWC[before:],
                        masks_THW=masks_THW,
                        motion_THWC=frames_THWC[: before + 1] if window.history else None,
                        sloppy_THW=[union_THW(one, range(n)) for one in variants],
                    ),
                )
        except (MediaError, ValueError) as error:
            raise StoreError(
                f"{self._path}: {key} does not decode ({error}); the tar was damaged after it was written: "
                "run `mvideo dataset verify --deep`, then stage shard again"
            ) from error

    def _pass_to(self, key: str) -> Sample:
        for sample in self._samples:
            if sample.key == key:
                return sample
        raise StoreError(f"{self._path}: no sample {key} after those already read; run stage shard again")


def frame_spans(frames: Iterator[np.ndarray], spans: Sequence[range]) -> Iterator[np.ndarray]:
    """Frames (T, H, W, 3) of each span of a video in one pass; memory holds the longest span.

    Args:
        spans: ascending by start; they may overlap.

    Raises:
        MediaError: the video ends before a span does.
    """
    held: dict[int, np.ndarray] = {}
    numbered = enumerate(frames)
    for span in spans:
        held = {at: frame for at, frame in held.items() if at >= span.start}
        last = max(held, default=-1)
        while last < span.stop - 1:
            last, frame = next(numbered, (-1, np.empty(0)))
            if last < 0:
                raise MediaError(f"the video ends before frame {span.stop - 1}")
            if last >= span.start:
                held[last] = frame
        yield np.stack([held[at] for at in span])


def keep_masks(masks: MaskSequence, meta: dict[str, Any]) -> MaskSequence:
    """The objects that passed the quality gate."""
    return masks.select([one["object_id"] for one in meta["objects"] if one.get("kept", True)])


def union_THW(masks: MaskSequence, frames: range) -> np.ndarray:
    """Pixels of any object on some frames, bool (T, H, W).

    Raises:
        MediaError: the masks have fewer frames.
    """
    if frames.stop > masks.n_frames:
        raise MediaError(f"{masks.n_frames} frames of masks, {frames.stop} needed")
    return np.stack([masks.frame(at).any(axis=0) for at in frames])


def aspect_stretch(height: int, width: int, to_height: int, to_width: int) -> float:
    """How much a resize changes a video's aspect ratio: 0 = not at all, 0.1 = one side is stretched by a tenth."""
    ratio = (width * to_height) / (height * to_width)
    return max(ratio, 1 / ratio) - 1


def check_format(meta: dict[str, Any], video_format: VideoFormat, max_stretch: float, where: str) -> None:
    """Raise if a clip cannot be converted to the format without changing its speed or its aspect ratio.

    Raises:
        ConfigError: with both values and the options that set them.
    """
    if abs(meta["fps"] - video_format.fps) > FPS_TOLERANCE * video_format.fps:
        raise ConfigError(
            f"{where}: the clip has {meta['fps']:g} frames per second, the format {video_format.fps:g}; "
            "set cut.fps and build the dataset again, or set format.fps"
        )
    stretch = aspect_stretch(meta["height"], meta["width"], video_format.height_px, video_format.width_px)
    if stretch > max_stretch:
        raise ConfigError(
            f"{where}: {meta['width']}x{meta['height']} would be stretched by {stretch:.1%} to "
            f"{video_format.width_px}x{video_format.height_px}; {max_stretch:.1%} is allowed; "
            "set cut.width and cut.height to the format's aspect ratio, or raise max_stretch"
        )

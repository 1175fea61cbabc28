"""Image features of a stream of frames: several frames per pass of the image encoder, their inputs prepared ahead.

While a batch is tracked, a thread resizes the frames of the next one and starts their copy to the GPU. Readers of the
same frames, in step, share the features (`two_way.follow`).

Shape letters: B frames of a pass, S the network's input side.
"""

import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mvideo_core.base.errors import ModelError
from mvideo_core.perception.transfers import Precision, Upload, autocast, on_gpu

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
GPU_FRAMES = 8
"""Frames per pass on a GPU. A CPU is as fast frame by frame."""


class Features(NamedTuple):
    """Feature levels of one image, (tokens, 1, C) each, their position encodings and their (H, W)."""

    levels: list["torch.Tensor"]
    positions: list["torch.Tensor"]
    sizes: list[tuple[int, int]]


class _Coming:
    """A frame and its way to the device: resized, then copied.

    Args:
        small: the resized frame; may wait for a thread.
        ready: whether `small` is there without waiting.
    """

    def __init__(self, frame: np.ndarray, small: Callable[[], np.ndarray], ready: Callable[[], bool] = lambda: False):
        self.frame, self._small, self._ready = frame, small, ready
        self._upload: Upload | None = None

    def start(self, device: str) -> None:
        """Start the copy if the frame is resized."""
        if self._ready():
            self.upload(device)

    def upload(self, device: str) -> Upload:
        """The copy of the resized frame, uint8 (1, S, S, 3)."""
        self._upload = self._upload or Upload(self._small()[None], device)
        return self._upload


class FrameEncoder:
    """The image encoder of a SAM2 network, and the features that it computed last.

    Args:
        network: a `SAM2VideoPredictor`.
        frames_per_pass: B; 0 = `GPU_FRAMES` on a GPU, 1 on a CPU. Halved if the device runs out of memory.
        fixed: fill every pass up to B frames, for compiled graphs.
    """

    def __init__(
        self, network: Any, device: str, precision: Precision = "fp32", frames_per_pass: int = 0, fixed: bool = False
    ):
        self.network, self.device, self.precision, self.fixed = network, device, precision, fixed
        self.frames_per_pass = frames_per_pass or (GPU_FRAMES if on_gpu(device) else 1)
        self._held: OrderedDict[int, tuple[np.ndarray, Features]] = OrderedDict()

    def stream(self, frames: Iterator[np.ndarray]) -> Iterator[Features]:
        """Features of each frame; takes fewer than 2 B frames ahead.

        Args:
            frames: RGB uint8 (H, W, 3). Readers of the same frames must get the same arrays.

        Raises:
            ModelError: one frame alone does not fit the device's memory.
        """
        if self.frames_per_pass == 1:
            for frame in frames:
                yield self._encode([_Coming(frame, partial(shrink, frame, self.network.image_size))])[0]
            return
        with ThreadPoolExecutor(1, "sam2-frames") as pool:

            def prepare() -> list[_Coming]:
                batch = list(islice(frames, self.frames_per_pass))
                small = [pool.submit(shrink, frame, self.network.image_size) for frame in batch]
                return [_Coming(frame, one.result, one.done) for frame, one in zip(batch, small, strict=True)]

            coming = prepare()
            while coming:
                features = deque(self._encode(coming))
                coming = prepare()
                while features:
                    yield features.popleft()
                    for one in coming:
                        one.start(self.device)

    def forget(self) -> None:
        """Free the features of the last frames."""
        self._held.clear()

    def _encode(self, coming: Sequence[_Coming]) -> list[Features]:
        """Features of the frames; those of frames that another reader has asked for are there already."""
        import torch

        new = [one for one in coming if id(one.frame) not in self._held]
        with torch.inference_mode(), autocast(self.device, self.precision):
            while new:
                part = new[: self.frames_per_pass]
                images = [one.upload(self.device).tensor() for one in part]
                if self.fixed:
                    images += [images[-1]] * (self.frames_per_pass - len(images))
                try:
                    found = self._features(normalize(torch.cat(images)))
                except torch.OutOfMemoryError as error:
                    self._halve(error)
                    continue
                for one, features in zip(part, found, strict=False):
                    self._held[id(one.frame)] = one.frame, features
                new = new[len(part) :]
        ready = [self._held[id(one.frame)][1] for one in coming]
        while len(self._held) > 2 * self.frames_per_pass - 1:
            self._held.popitem(last=False)
        return ready

    def _features(self, images_B3SS: "torch.Tensor") -> list[Features]:
        out = self.network.forward_image(images_B3SS)
        _, levels, positions, sizes = self.network._prepare_backbone_features(out)
        first = [position[:, :1] for position in positions]  # equal for all images
        return [Features([level[:, n : n + 1] for level in levels], first, sizes) for n in range(len(images_B3SS))]

    def _halve(self, error: Exception) -> None:
        import torch

        if self.frames_per_pass == 1:
            raise ModelError(
                "the image features of one frame do not fit in device memory: lower image_size or free the device"
            ) from error
        self.frames_per_pass //= 2
        log.warning("out of memory in the image encoder; from now on %d frames per pass", self.frames_per_pass)
        torch.cuda.empty_cache()


def normalize_image(frame_HWC: np.ndarray, side: int, device: str) -> "torch.Tensor":
    """Network input of a frame: fp32 (1, 3, side, side), resized with Pillow's bicubic filter, as in the package."""
    return normalize(Upload(shrink(frame_HWC, side)[None], device).tensor())


def shrink(frame_HWC: np.ndarray, side: int) -> np.ndarray:
    """The frame at the network's size, uint8 (side, side, 3)."""
    from PIL import Image

    return np.array(Image.fromarray(frame_HWC).resize((side, side)))


def normalize(frames_BSS3: "torch.Tensor") -> "torch.Tensor":
    """Network input, fp32 (B, 3, S, S), from uint8."""
    import torch

    device = frames_BSS3.device
    mean, std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (MEAN, STD))
    # Contiguous, because convolutions of other layouts round differently.
    return frames_BSS3.permute(0, 3, 1, 2).contiguous().float().div_(255).sub_(mean).div_(std)

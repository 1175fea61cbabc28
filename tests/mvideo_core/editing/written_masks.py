"""Mask files as other programs write them, all of the same two boxes: what is inside is known without reading them."""

from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH, N_FRAMES = 32, 48, 5
SMALL, LARGE = 8 * 8, 16 * 10
"""Pixels of the first and of the second object in each frame."""


def boxes() -> np.ndarray:
    """Two objects that never touch, bool (T, 2, H, W); the first goes 2 px to the right in each frame."""
    masks = np.zeros((N_FRAMES, 2, HEIGHT, WIDTH), bool)
    for frame in range(N_FRAMES):
        masks[frame, 0, 4:12, 2 + 2 * frame : 10 + 2 * frame] = True
        masks[frame, 1, 14:30, 30:40] = True
    return masks


def painted(*values: object, dtype: type = np.uint8, ground: object = 0) -> np.ndarray:
    """The boxes in these values (or colors) over a ground, (T, H, W) or (T, H, W, C)."""
    masks = boxes()
    shape = (N_FRAMES, HEIGHT, WIDTH, *np.shape(values[0]))
    frames = np.zeros(shape, dtype)
    frames[:] = ground
    for number, value in enumerate(values):
        frames[masks[:, number]] = value
    return frames


def write_pictures(folder: Path, frames: np.ndarray, ending: str = ".png", names: list[str] | None = None) -> Path:
    """One picture per frame: 00000.png, 00001.png, ... unless they are named."""
    folder.mkdir()
    for number, frame in enumerate(frames):
        name = names[number] if names else f"{number:05d}"
        Image.fromarray(frame).save(folder / f"{name}{ending}")
    return folder


def write_video(path: Path, frames: np.ndarray, fmt: str = "yuv420p", crf: int = 20, codec: str = "libx264") -> Path:
    """A video of gray (T, H, W), RGB or RGBA frames as PyAV's scaler makes it."""
    import av

    source = {2: "gray", 3: "rgb24", 4: "rgba"}[frames.shape[3] if frames.ndim == 4 else 2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(8), options={"crf": str(crf)} if codec == "libx264" else {})
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], fmt
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=source)))
        container.mux(stream.encode())
    return path


def write_exr(path: Path, planes: np.ndarray) -> None:
    """An OpenEXR of (H, W), (H, W, 3) or (H, W, 4) float32."""
    import av

    height, width = planes.shape[:2]
    fmt = {2: "grayf32le", 3: "gbrpf32le", 4: "gbrapf32le"}[planes.shape[2] if planes.ndim == 3 else 2]
    context = av.CodecContext.create("exr", "w")
    context.width, context.height, context.pix_fmt, context.time_base = width, height, fmt, Fraction(1, 8)
    frame = av.VideoFrame(width, height, fmt)
    channels = [planes] if planes.ndim == 2 else [planes[..., n] for n in (1, 2, 0, 3)[: planes.shape[2]]]
    for plane, channel in zip(frame.planes, channels, strict=True):
        padded = np.zeros((height, plane.line_size // 4), np.float32)
        padded[:, :width] = channel
        plane.update(padded.tobytes())
    path.write_bytes(b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)]))

"""A drawn world for cut accuracy: textured scenes, camera motion and moving objects, joined in known ways."""

from typing import NamedTuple

import cv2
import numpy as np


class Join(NamedTuple):
    """Truth of one transition: frames [start, end) are mixed; of a hard cut both are the new shot's first frame."""

    start: int
    end: int
    kind: str


def texture(rng, size, palette):
    """Square (size, size, 3) float texture: noise of several octaves, stripes or blobs, in two or three colors."""
    field = np.zeros((size, size), np.float32)
    for octave in range(2, 8):
        cells = 2**octave
        field += cv2.resize(rng.standard_normal((cells, cells)).astype(np.float32), (size, size)) * 0.7**octave
    kind = rng.integers(3)
    if kind == 1:
        y, x = np.mgrid[:size, :size] / size
        angle, freq = rng.uniform(0, np.pi), rng.uniform(4, 25)
        field = field * 0.5 + 0.4 * np.sin(2 * np.pi * freq * (x * np.cos(angle) + y * np.sin(angle)))
    if kind == 2:
        for _ in range(rng.integers(5, 40)):
            center = tuple(int(v) for v in rng.integers(0, size, 2))
            cv2.circle(field, center, int(rng.integers(1 + size // 60, 3 + size // 10)), float(rng.uniform(-1, 1)), -1)
    field = (field - field.min()) / (np.ptp(field) + 1e-6)
    low, high = palette
    return low + field[..., None] * (high - low)


class Scene:
    """An endless shot: `frame(t_s)` is (height, width, 3) uint8."""

    def __init__(self, rng, width, height, palette=None):
        self.width, self.height = width, height
        if palette is None:
            palette = rng.uniform(0, 255, (2, 3)).astype(np.float32)
        self.side = 2 * width
        self.ground = texture(rng, self.side, palette).astype(np.float32)
        self.pan = rng.uniform(-0.25, 0.25, 2) * rng.choice([0, 0.3, 1]) * width
        self.zoom, self.turn = rng.uniform(-0.06, 0.06) * rng.integers(2), rng.uniform(-6, 6) * rng.integers(2)
        self.sway = rng.uniform(0, 0.02) * width
        self.flicker = rng.uniform(0, 0.02)
        self.phase = rng.uniform(0, 6)
        self.things = [self._thing(rng) for _ in range(rng.integers(0, 5))]
        self.noise_rng = np.random.default_rng(int(rng.integers(1 << 30)))
        self.noise = rng.uniform(0, 3)

    def _thing(self, rng):
        size = int(rng.uniform(0.08, 0.45) * self.height)
        picture = texture(rng, size, rng.uniform(0, 255, (2, 3)).astype(np.float32)).astype(np.float32)
        mask = np.zeros((size, size), np.float32)
        if rng.integers(2):
            cv2.circle(mask, (size // 2, size // 2), size // 2 - 1, 1.0, -1)
        else:
            mask[:] = 1
        start = rng.uniform(0, 1, 2) * (self.width, self.height)
        return picture, mask, start, rng.uniform(-0.35, 0.35, 2) * self.width * rng.choice([0.3, 1])

    def frame(self, t_s):
        """What the camera sees at t_s."""
        shift = self.pan * t_s + self.sway * np.sin(1.7 * t_s + self.phase)
        center = np.array([self.side / 2, self.side / 2])
        matrix = cv2.getRotationMatrix2D(tuple(center), self.turn * t_s, np.exp(self.zoom * t_s))
        matrix[:, 2] += np.array([self.width, self.height]) / 2 - center + shift
        size = (self.width, self.height)
        view = cv2.warpAffine(self.ground, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        for picture, mask, start, speed in self.things:
            place = (start + speed * t_s) % (np.array(size) + picture.shape[0]) - picture.shape[0]
            self._paste(view, picture, mask, place)
        view *= 1 + self.flicker * np.sin(9 * t_s + self.phase)
        view += self.noise * self.noise_rng.standard_normal(view.shape).astype(np.float32)
        return view.clip(0, 255).astype(np.uint8)

    def _paste(self, view, picture, mask, place):
        left, top = (round(float(v)) for v in place)
        size = picture.shape[0]
        x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + size, self.width), min(top + size, self.height)
        if x0 < x1 and y0 < y1:
            part = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
            alpha = mask[part][..., None]
            view[y0:y1, x0:x1] = view[y0:y1, x0:x1] * (1 - alpha) + picture[part] * alpha


def joined(scenes, lengths, joins, fps=30.0):
    """Frames of scenes joined in order, and the truth.

    Args:
        scenes: objects with `frame(t_s)`.
        lengths: frames shown of each scene alone.
        joins: (kind, frames) between neighbors: ("cut", 0), ("dissolve", n), ("fade", n) (down to black and up).
    """
    frames, truth = [], []
    for number, (scene, length) in enumerate(zip(scenes, lengths, strict=True)):
        lead = joins[number - 1][1] if number else 0
        frames += [scene.frame((lead + k) / fps) for k in range(length)]
        if number == len(scenes) - 1:
            break
        kind, n = joins[number]
        start = len(frames)
        for k in range(n):
            a = (k + 1) / (n + 1)
            old = scene.frame((lead + length + k) / fps).astype(np.float32)
            new = scenes[number + 1].frame(k / fps).astype(np.float32)
            if kind == "dissolve":
                mixed = (1 - a) * old + a * new
            else:
                mixed = old * (1 - 2 * a) if a < 0.5 else new * (2 * a - 1)
            frames.append(mixed.clip(0, 255).astype(np.uint8))
        truth.append(Join(start, len(frames), kind))
    return frames, truth

"""Re-uploads among the sources of a real workspace, and the hashes by which they are found."""

import math
from pathlib import Path

import numpy as np
import pytest

from mvideo_core.base.records import ClipRow, PerceptualHashes, VideoRow
from mvideo_core.curation.filters.perceptual_hashes import DuplicatesOptions, PerceptualHasher
from mvideo_core.curation.filters.samples import ClipSamples
from mvideo_core.curation.removal.copies import MAX_BITS, Copy, Timeline, find_copies, gap_s, hash_frames
from mvideo_core.curation.removal.forget import Removal
from mvideo_core.media.encode import write_mp4
from mvideo_core.store.workspace import Workspace
from tests.mvideo_core.engine.finished import commit, finish, keep

FPS, N = 8.0, 49


def scene(seed: int, start_s: float = 0.0, speed: float = 1.0, n_frames: int = N) -> list[np.ndarray]:
    """Waves that move through a picture of 96x64, at any time and speed."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:64, 0:96] / 64
    waves = rng.uniform([0.5, -24, -24, 0, -2], [1, 24, 24, 6.28, 2], (40, 5))
    frames = []
    for n in range(n_frames):
        t = start_s + n / FPS * speed
        gray = sum(a * np.sin(u * x + v * y + phase + w * t) for a, u, v, phase, w in waves)
        frames.append(np.repeat(np.clip(128 + 12 * gray, 0, 255).astype(np.uint8)[..., None], 3, axis=2))
    return frames


def look(frames: list[np.ndarray]) -> PerceptualHashes:
    found = PerceptualHasher(DuplicatesOptions()).perceptual_hashes(ClipSamples.of(iter(frames), len(frames), FPS))
    assert found is not None
    return found


def distance(timeline: Timeline, frames: list[np.ndarray]) -> float:
    return timeline.distance(look(frames), gap_s(len(frames), FPS))


@pytest.mark.parametrize("seed", range(2))
def test_a_copy_is_found_at_any_place_and_speed_and_another_scene_is_not(seed: int) -> None:
    timeline = Timeline(hash_frames(scene(seed), FPS))
    assert distance(timeline, scene(seed)) == 0
    for start_s, speed, n_frames in ((1.0, 1.0, 33), (0.5, 1.5, 25), (1.0, 0.7, 33), (0.0, 2.0, 24)):
        copy = [np.ascontiguousarray(frame[:, ::-1]) for frame in scene(seed, start_s, speed, n_frames)]
        assert distance(timeline, copy) <= 0.7 * MAX_BITS, (start_s, speed)
    assert distance(timeline, scene(seed + 100)) > MAX_BITS
    assert distance(timeline, scene(seed)[::-1]) > MAX_BITS, "the order of the frames counts"


def test_frames_must_lie_where_one_speed_puts_them() -> None:
    """Hand-made hashes: frame k of the clip has the bits of time 1 + k s; a gap of 1 s fits at speed 1 only."""
    bits = [(k + 100) * 0xD6E8FEB86659FD93 % 2**63 & ~1 for k in range(4)]
    frames = [(n / 8, [(n * 0x9E3779B97F4A7C15) % 2**63] * 3) for n in range(40)]
    for k in range(4):
        frames[8 * (k + 1)] = (1.0 + k, [bits[k]] * 3)
    timeline = Timeline(frames)
    clip = PerceptualHashes(hashes=["".join(f"{one:016x}" for one in bits)] * 3, max_bits=12)
    assert timeline.distance(clip, 1.0) == 0
    assert timeline.distance(clip, 0.2) > 10
    assert (
        timeline.distance(clip.model_copy(update={"hashes": [f"{bits[0] ^ 3:016x}" + clip.hashes[0][16:]] * 3}), 1.0)
        == 0.5
    )
    assert Timeline([]).distance(clip, 1.0) == 64
    assert math.isclose(gap_s(35, 8), 3 * 33 / 11 / 8)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Source `a`; `b` has its two clips mirrored and faster, `c` has one of them and two of its own, `d` has none."""
    workspace = Workspace(str(tmp_path / "ws"))
    scenes = {
        "a": [scene(1), scene(2)],
        "b": [[frame[:, ::-1].copy() for frame in scene(seed, 0.5, 1.25, 33)] for seed in (1, 2)],
        "c": [scene(2, 1.0), scene(11), scene(12)],
        "d": [scene(13)],
    }
    finish(workspace, tmp_path, {name: len(clips) for name, clips in scenes.items()})
    for index in range(workspace.n_parts() or 0):
        videos = [row.key for row in workspace.rows(workspace.current("ingest", index), VideoRow)]
        rows = [
            clip_row(workspace, tmp_path, name, n, frames) for name in videos for n, frames in enumerate(scenes[name])
        ]
        commit(workspace, "cut", index, rows)
    return workspace


def clip_row(workspace: Workspace, folder: Path, name: str, n: int, frames: list[np.ndarray]) -> ClipRow:
    path = folder / f"{name}{n}.mp4"
    write_mp4(frames, path, FPS, crf=26)
    clip = keep(workspace, path.read_bytes(), f"blobs/cut/new/{name}_{n:09d}.mp4")
    return ClipRow(
        key=f"{name}_{n:09d}", parent=name, clip=clip, fps=FPS, n_frames=len(frames), width=96, height=64,
        start_s=20 * n, end_s=20 * n + len(frames) / FPS,
    )  # fmt: skip


def test_copies_are_forgotten_with_the_source_and_shared_clips_are_named(workspace: Workspace, tmp_path: Path) -> None:
    found = find_copies(workspace, ["a"])
    assert [(one.key, one.of, one.matched, one.clips, one.whole) for one in found] == [
        ("b", "a", 2, 2, True), ("c", "a", 1, 3, False),
    ]  # fmt: skip
    removal = Removal(workspace, ["a"], str(tmp_path / "certificate.json"), copies=True)
    assert [one.key for one in removal.before.sources] == ["a", "b"]
    assert removal.before.sources[1].why.startswith("looks like a: 2 of 2 clips, ")
    assert [one.key for one in removal.shared] == ["c"]
    assert [one.key for one in Removal(workspace, ["a"], str(tmp_path / "c.json")).before.sources] == ["a"]
    assert Copy("x", "a", 1, 2, 0.0).whole

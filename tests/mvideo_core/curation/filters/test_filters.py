"""Each filter on frames whose value is known by construction."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError, MediaError
from mvideo_core.curation.filters import CLIP_FILTERS
from mvideo_core.curation.filters.bars import Bars, find_bars
from mvideo_core.curation.filters.samples import ClipSamples
from mvideo_core.curation.stages.clean import CleanOptions, judge_clip
from tests.reference import REPOSITORY

N_FRAMES, WIDTH, HEIGHT, FPS = 25, 240, 160, 8.0
EVERY = {name: {} for name in ("bars", "duplicates", "exposure", "frozen", "motion", "sharpness", "text")}


def texture(width: int = WIDTH, height: int = HEIGHT, seed: int = 0) -> np.ndarray:
    """A picture with corners and edges, gray values 60 to 180."""
    rng = np.random.default_rng(seed)
    return np.kron(rng.integers(60, 181, (height // 10, width // 10)), np.ones((10, 10))).astype(np.uint8)


def walk(speed_px: int = 3) -> list[np.ndarray]:
    """A still camera; a bright square of 60 px goes right."""
    frames = []
    for t in range(N_FRAMES):
        frame = np.repeat(texture()[..., None], 3, axis=2)
        x = 5 + speed_px * t
        frame[50:110, x : x + 60] = texture(60, 60, 1)[..., None] + 40
        frames.append(frame)
    return frames


def pan(step_px: int = 3) -> list[np.ndarray]:
    """The camera goes over a still picture."""
    wide = texture(WIDTH + step_px * N_FRAMES + 10)
    return [np.repeat(wide[:, step_px * t : step_px * t + WIDTH, None], 3, axis=2) for t in range(N_FRAMES)]


def value(name: str, frames: list[np.ndarray]) -> float:
    row = judge_clip("a", samples(frames), CleanOptions(filters={name: {}}).create_filters())
    return row.values[0].value


def samples(frames: list[np.ndarray]) -> ClipSamples:
    return ClipSamples.of(iter(frames), len(frames), FPS)


def reason(frames: list[np.ndarray], **filters: dict[str, float]) -> str | None:
    return judge_clip("a", samples(frames), CleanOptions(filters=filters or EVERY).create_filters()).reason


def test_a_clip_without_faults_passes_every_filter() -> None:
    row = judge_clip("a", samples(walk()), CleanOptions(filters=EVERY).create_filters())
    assert row.status == "ok", (row.reason, row.value)
    assert [one.name for one in row.values] == ["bars", "exposure", "frozen", "motion", "sharpness", "text"]
    assert row.look is not None
    assert [len(text) for text in row.look.hashes] == [64, 64, 64]  # four frames of 16 digits, at three zooms


def test_speed_is_that_of_the_thing_and_that_of_the_camera_does_not_count() -> None:
    assert value("motion", walk(3)) == pytest.approx(3 * FPS / HEIGHT, rel=0.25)  # 3 px per frame, 160 px high
    assert value("motion", pan(3)) < 0.03
    assert reason(pan(3)) == "motion"


def test_a_slide_is_still_and_a_freeze_in_part() -> None:
    frames = walk()
    assert value("frozen", [frames[0]] * N_FRAMES) == 1.0
    assert value("frozen", frames) == 0.0
    half = frames[:13] + [frames[12]] * 12
    assert value("frozen", half) == pytest.approx(0.5, abs=0.1)  # samples from frame 12 on equal the next
    assert reason(half, frozen={"max_frac": 0.7}) is None


def test_mean_luma() -> None:
    gray = [np.full((HEIGHT, WIDTH, 3), level, np.uint8) for level in (40, 44)]
    assert value("exposure", gray) == 40.0  # two frames: one sample and its successor
    assert reason(gray, exposure={}) == "exposure"
    assert reason(gray, exposure={"min_mean": 40}) is None
    assert reason([frame + 180 for frame in gray], exposure={}) == "exposure"


def test_blur_grows_with_the_radius() -> None:
    frames = walk()
    soft = [cv2.GaussianBlur(frame, (0, 0), 3) for frame in frames]
    softer = [cv2.GaussianBlur(frame, (0, 0), 6) for frame in frames]
    assert value("sharpness", frames) < 0.3 < 0.6 < value("sharpness", soft) < value("sharpness", softer)
    assert reason(soft) == "sharpness"


def test_bars_are_measured_in_fractions_of_each_side() -> None:
    picture = np.full((100, 200), 90, np.uint8)
    picture[:10], picture[90:], picture[:, :40], picture[:, 161:] = 0, 0, 16, 16
    assert find_bars(picture) == Bars(0.1, 0.1, 0.2, 0.195)
    assert find_bars(picture).area == pytest.approx(1 - 0.8 * 0.605)


@pytest.mark.parametrize("dark", [np.s_[:30], np.s_[:, 70:], np.s_[:]])
def test_darkness_at_one_side_is_no_bar(dark: tuple[slice, ...]) -> None:
    picture = np.full((100, 100), 90, np.uint8)
    picture[dark] = 0
    assert find_bars(picture) == Bars()


@pytest.mark.parametrize("scene", [pan, walk])
def test_a_line_of_text_over_a_moving_or_still_camera_is_found_with_its_area(
    scene: Callable[[], list[np.ndarray]],
) -> None:
    def titled(frame: np.ndarray) -> np.ndarray:
        found = frame.copy()
        cv2.putText(found, "BREAKING NEWS", (20, 150), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0, 0, 0), 5, cv2.LINE_AA)
        cv2.putText(found, "BREAKING NEWS", (20, 150), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255,) * 3, 2, cv2.LINE_AA)
        return found

    (wide, high), _ = cv2.getTextSize("BREAKING NEWS", cv2.FONT_HERSHEY_SIMPLEX, 0.7, 2)
    assert value("text", scene()) == 0.0
    assert value("text", [titled(frame) for frame in scene()]) == pytest.approx(wide * high / WIDTH / HEIGHT, rel=0.5)


@pytest.mark.parametrize("seed", [0, 1])
def test_grass_under_a_still_camera_is_no_text(seed: int) -> None:
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(size=(320, 480)), (0, 0), 4, sigmaY=1.2)
    grass = np.clip(100 + 34 * noise / noise.std(), 0, 255).astype(np.uint8)  # dark and bright blades, sharp, in place
    frames = [np.repeat(grass[..., None], 3, axis=2)] * N_FRAMES
    assert value("text", frames) <= 0.001


def test_a_plain_clip_has_no_hash() -> None:
    plain = [np.full((HEIGHT, WIDTH, 3), 100, np.uint8)] * N_FRAMES
    assert judge_clip("a", samples(plain), CleanOptions(filters={"duplicates": {}}).create_filters()).look is None


def test_memory_does_not_grow_with_the_clip() -> None:
    few, many = samples(walk(1)), samples(walk(1) * 4)
    assert many.luma_NHW.shape == few.luma_NHW.shape == (12, HEIGHT, WIDTH)


def test_wrong_input_is_refused() -> None:
    with pytest.raises(MediaError, match="fewer than two frames"):
        samples(walk()[:1])
    with pytest.raises(ConfigError, match=r"no clip filter called 'blur'; known: bars, duplicates, .*sharpness"):
        CleanOptions(filters={"blur": {}}).create_filters()
    with pytest.raises(ConfigError, match=r"clean\.filters\.motion: .*\n  min_sped: .*\n  allowed keys: min_speed"):
        CleanOptions(filters={"motion": {"min_sped": 1}}).create_filters()


def test_the_docs_list_every_filter() -> None:
    page = (REPOSITORY / "docs/reference/dataset.md").read_text(encoding="utf-8")
    assert "docs/reference/dataset.md" in (CleanOptions.model_fields["filters"].description or "")
    assert [name for name in CLIP_FILTERS.names() if f"### `{name}`" not in page] == []

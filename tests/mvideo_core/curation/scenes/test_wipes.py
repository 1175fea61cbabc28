"""Pictures replaced piece by piece are found with all their frames; camera, light and flashes are not taken for it."""

import numpy as np
import pytest

from mvideo_core.curation.ingest.describe import describe
from mvideo_core.curation.ingest.naming import uri_of
from mvideo_core.curation.ingest.sources import SourceItem
from mvideo_core.curation.scenes.cut import cut_video
from mvideo_core.curation.scenes.options import CutOptions
from mvideo_core.curation.scenes.wipes import WipeFinder, WipeOptions
from mvideo_core.media.encode import write_mp4
from tests.mvideo_core.curation.scenes.drawn import Scene

WIDTH, HEIGHT, FPS = 128, 72, 24
BEFORE, MIXED, AFTER = 72, 24, 60


def scene(seed, palette, pan=0.04):
    one = Scene(np.random.default_rng(seed), WIDTH, HEIGHT, np.array(palette, np.float32))
    one.pan = np.array([pan, 0.0]) * WIDTH
    return one


def frames(one, first, n):
    return [one.frame((first + k) / FPS) for k in range(n)]


def two():
    return scene(1, [(20, 30, 60), (90, 140, 220)]), scene(2, [(60, 20, 10), (230, 200, 120)])


def wipe(a, b, share):
    edge = round(share * WIDTH)
    return np.concatenate([a[:, : WIDTH - edge], b[:, WIDTH - edge :]], 1)


def slide(a, b, share):
    edge = round(share * HEIGHT)
    return np.concatenate([a[edge:], b[:edge]])


def radial(a, b, share):
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    angle = np.arctan2(y - HEIGHT / 2 + 0.5, x - WIDTH / 2 + 0.5)
    return np.where((angle < (2 * share - 1) * np.pi)[..., None], b, a)


def circle(a, b, share):
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    radius = np.hypot(y - HEIGHT / 2 + 0.5, x - WIDTH / 2 + 0.5)
    return np.where((radius < share * radius.max())[..., None], b, a)


def joined(mix, n_mixed=MIXED):
    one, other = two()
    pairs = zip(frames(one, BEFORE, n_mixed), frames(other, 0, n_mixed), strict=True)
    middle = [mix(a, b, (k + 1) / (n_mixed + 1)) for k, (a, b) in enumerate(pairs)]
    return frames(one, 0, BEFORE) + middle + frames(other, n_mixed, AFTER)


def found(pictures):
    finder, spans, promised = WipeFinder(WipeOptions()), [], float("-inf")
    for k, picture in enumerate(pictures):
        new = finder.feed(k / FPS, picture)
        assert all(span.start_s >= promised for span in new)
        spans, promised = spans + new, finder.settled_s
    return spans + finder.finish()


@pytest.mark.parametrize("mix", [wipe, slide, radial, circle])
@pytest.mark.parametrize("n_mixed", [12, 24, 48])
def test_every_mixed_frame_is_in_the_span_and_half_a_second_of_trim(mix, n_mixed):
    (span,) = found(joined(mix, n_mixed))
    assert span.start_s - 0.25 <= BEFORE / FPS
    assert span.end_s + 0.25 >= (BEFORE + n_mixed) / FPS
    assert span.end_s - span.start_s < 1.8 * n_mixed / FPS + 1.0


def test_one_scene_under_a_moving_camera_is_one_shot():
    assert found(frames(scene(3, [(20, 30, 60), (90, 140, 220)], pan=0.25), 0, 120)) == []


def test_changing_light_and_flashes_are_no_wipes():
    still = frames(scene(4, [(30, 60, 20), (120, 230, 140)]), 0, 132)
    light = np.interp(np.arange(132), [50, 70], [1, 0.5])
    assert found([np.uint8(picture * share) for picture, share in zip(still, light, strict=True)]) == []
    flashed = list(still)
    for k in (40, 41, 70, 71, 72):
        flashed[k] = np.uint8(flashed[k] * 0.2 + 200)
    assert found(flashed) == []


def test_hard_cuts_are_left_to_the_hard_cut_detector():
    one, other = two()
    assert found(frames(one, 0, 60) + frames(other, 0, 60)) == []


@pytest.mark.parametrize("mix", [wipe, slide, radial])
def test_no_frame_of_a_neighbor_in_a_clip(mix, tmp_path):
    path = tmp_path / "joined.mp4"
    write_mp4([picture[..., ::-1] for picture in joined(mix)], path, fps=FPS, preset="ultrafast")
    small = {"width": 96, "height": 64, "min_shot_s": 1.0, "min_frames": 9, "max_frames": 17, "preset": "ultrafast"}
    row = describe(SourceItem(video_id="v", uri=uri_of(path)))
    for wipes in (True, False):
        out = tmp_path / str(wipes)
        out.mkdir()
        result = cut_video(path, row, out, CutOptions.parse(small | {"wipes": {"enabled": wipes}}))
        start_s, end_s = BEFORE / FPS, (BEFORE + MIXED) / FPS
        clean = all(clip.end_s - 1 / 8 < start_s or clip.start_s >= end_s for clip in result.clips)
        assert clean == wipes, "without this look the test must fail"
        if wipes:
            assert {clip.shot_index for clip in result.clips} == {0, 1}

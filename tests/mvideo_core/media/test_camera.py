"""A camera over a drawn plane: where it points is known exactly."""

import cv2
import numpy as np

from mvideo_core.media.camera import CameraPath, camera_of


def plane(width=900, height=600, seed=0):
    """A textured picture, larger than the frames cut from it."""
    draw = np.random.default_rng(seed)
    noise = draw.integers(0, 255, (height // 12, width // 12, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def view(picture, x, y, zoom=1.0, width=384, height=256):
    """The frame whose top left corner shows the point (x, y) of the plane."""
    seen = np.array([[zoom, 0, -zoom * x], [0, zoom, -zoom * y]])
    return cv2.warpAffine(picture, seen, (width, height), flags=cv2.INTER_LINEAR)


def path_of(frames, things=None):
    path = CameraPath()
    for n, frame in enumerate(frames):
        path.add(frame, np.zeros(frame.shape[:2], bool) if things is None else things[n])
    return path.to_first_T23()


def test_a_pan_brings_points_back_to_their_place_in_the_first_frame():
    to_first = path_of([view(plane(), 40 + 6 * t, 30 + 2 * t) for t in range(12)])
    # a point of the plane that frame 11 shows at (100, 80) was 66 px farther right and 22 px farther down in frame 0
    assert np.allclose(to_first[11] @ [100, 80, 1], [166, 102], atol=1.5)
    assert np.array_equal(to_first[0], np.eye(2, 3))


def test_a_zoom_is_known_by_its_scale():
    to_first = path_of([view(plane(), 100, 100, 1.03**t) for t in range(12)])
    assert abs(np.linalg.det(to_first[11][:, :2]) - 1.03**-22) < 0.01


def test_things_that_move_by_themselves_do_not_move_the_camera():
    background, thing = plane(), plane(seed=1)[:200, :300]
    frames, things = [], []
    for t in range(6):
        frame, mask = view(background, 40, 30), np.zeros((256, 384), bool)
        frame[20:220, 10 + 8 * t : 310 + 8 * t] = thing  # most of the picture
        mask[20:220, 10 + 8 * t : 310 + 8 * t] = True
        frames.append(frame)
        things.append(mask)
    assert np.allclose(path_of(frames, things)[5], np.eye(2, 3), atol=0.5)
    fooled = camera_of(*(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames[:2]))
    assert fooled[0, 2] > 6  # without the masks, the thing is taken for the background

import functools

import numpy as np

from mvideo_core.masks.codec import encode
from mvideo_core.media.decode import read_clip, sample_frames
from mvideo_core.media.encode import write_mp4
from mvideo_core.perception.captioning.base import CaptionInput


def test_a_clip_file_and_its_frames_in_memory_give_a_captioner_the_same_frames(tmp_path):
    path = tmp_path / "a.mp4"
    write_mp4([np.full((32, 48, 3), 20 + 20 * k, np.uint8) for k in range(9)], path, fps=8)
    masks = encode(np.ones((9, 1, 32, 48), bool))
    file, memory = (
        CaptionInput("a", 48, 32, 8.0, frames, masks=masks)
        for frames in (functools.partial(sample_frames, path), read_clip(path))
    )
    for n_frames, numbers in ((1, [4]), (4, [0, 3, 5, 8]), (12, [0, 1, 1, 2, 3, 4, 4, 5, 6, 7, 7, 8])):
        assert file.choose_frames(n_frames) == memory.choose_frames(n_frames) == numbers
        np.testing.assert_array_equal(file.sample(n_frames), memory.sample(n_frames))
        np.testing.assert_allclose(memory.sample(n_frames)[:, 16, 24, 1], 20 + 20 * np.array(numbers), atol=3)

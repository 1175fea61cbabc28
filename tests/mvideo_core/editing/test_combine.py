import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.editing.combine import CombineOptions, Layer, combine
from mvideo_core.masks.measure import areas
from tests.mvideo_core.editing.drawn import block, boxes, noise, square_path


def test_the_last_layer_is_in_front():
    back, front = block((10, 10, 30, 20), label="back"), block((20, 10, 40, 20), label="front")
    both = combine([Layer(back), Layer(front)])
    assert both.labels == ("back", "front")
    assert boxes(both, 0) == [[10, 10, 20, 20]]  # hidden from x = 20 on
    assert boxes(both, 1) == [[20, 10, 40, 20]]
    other = combine([Layer(front), Layer(back)])
    assert boxes(other, 0) == [[30, 10, 40, 20]]  # now the first in the list, at the back
    apart = combine([Layer(back), Layer(front)], CombineOptions(occlude=False))
    assert boxes(apart, 0) == [[10, 10, 30, 20]]


def test_three_layers_hide_all_that_lies_behind():
    layers = [Layer(block((0, 0, 30, 10))), Layer(block((10, 0, 40, 10))), Layer(block((20, 0, 50, 10)))]
    assert areas(combine(layers).sequence)[0].tolist() == [100, 100, 300]


def test_objects_of_one_layer_do_not_hide_each_other():
    clip = noise(n_objects=2)
    assert combine([Layer(clip)]).sequence == clip.sequence
    both = combine([Layer(clip), Layer(block((0, 0, 30, 40), n_frames=3))]).sequence.pixels()
    np.testing.assert_array_equal(both[:, :2, :, 30:], clip.sequence.pixels()[..., 30:])
    assert not both[:, :2, :, :30].any()


def test_layers_start_when_told():
    late = combine([Layer(block((0, 0, 9, 9), n_frames=8)), Layer(square_path(), start_s=0.25)])
    assert [box[0] for box in boxes(late, 1)] == [0, 0, 8, 12, 16, 20, 24, 0]
    assert areas(late.sequence)[:, 1].tolist() == [0, 0, 100, 100, 100, 100, 100, 0]
    early = combine([Layer(block((0, 0, 9, 9), n_frames=4)), Layer(square_path(), start_s=-0.25, tail="hold")])
    assert [box[0] for box in boxes(early, 1)] == [16, 20, 24, 24]


@pytest.mark.parametrize(
    ("length", "n_frames"),
    [("longest", 7), ("shortest", 4), ("first", 4)],
)
def test_length(length, n_frames):
    layers = [Layer(block((0, 0, 9, 9), n_frames=4)), Layer(square_path(), start_s=0.25)]
    assert combine(layers, CombineOptions(length=length)).sequence.n_frames == n_frames


def test_rates_and_sizes_meet():
    slow = block((0, 0, 30, 20), n_frames=2, fps=4.0)
    both = combine([Layer(slow), Layer(square_path(n_frames=4))], CombineOptions(height_px=80, width_px=120))
    assert (both.fps, both.sequence.shape) == (8.0, (4, 2, 80, 120))
    assert boxes(both, 1)[1] == [24, 20, 44, 40]


def test_nothing_to_combine_is_refused():
    with pytest.raises(ConfigError, match="no layer"):
        combine([])
    with pytest.raises(ConfigError, match="start_s"):
        combine([Layer(square_path(), start_s=-9)])


def test_an_object_that_never_shows_is_said(caplog):
    behind, front = block((10, 10, 20, 20), 4, "dog"), block((5, 5, 30, 30), 4, "wall")
    combine([Layer(behind), Layer(front)])
    assert caplog.messages == ["object 0 (dog) is in 0 of 4 frames of the combined picture"]
    caplog.clear()
    combine([Layer(front), Layer(behind, start_s=9)], CombineOptions(length="first"))
    assert caplog.messages == ["object 1 (dog) is in 0 of 4 frames of the combined picture"]
    with pytest.raises(ConfigError, match="in 0 of 4 frames of the combined picture; nothing is left"):
        combine([Layer(block((0, 0, 1, 1), 4))], CombineOptions(height_px=8, width_px=8))

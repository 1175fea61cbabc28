import numpy as np

from mvideo_core.miniworld.world.backdrop import _bilinear


def test_texture_wraps_where_rounding_lands_on_the_edge() -> None:
    tile = np.arange(256 * 256, dtype=np.float32).reshape(256, 256)
    places = np.array([-1e-9, 0.5], np.float32) % 256  # the first one is 256.0 in float32
    assert places[0] == 256
    assert _bilinear(tile, places, places).tolist() == [[0.0, 0.5], [128.0, 128.5]]

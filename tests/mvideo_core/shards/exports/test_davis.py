import numpy as np
from PIL import Image

from mvideo_core.shards.exports.davis import davis_palette
from tests.mvideo_core.shards.exports.conftest import OVERLAP_PX, label_map


def test_pillow_reads_palette_maps_and_the_lists_name_all_sequences(exported, samples):
    out, facts = exported("davis")
    for split, name in (("train", "train.txt"), ("test", "val.txt")):
        keys = (out / "ImageSets" / "2017" / name).read_text().splitlines()
        assert keys == [key for key, sample in samples.items() if sample[0] == split]
        for key in keys:
            masks = samples[key][4]
            files = sorted((out / "Annotations" / "480p" / key).glob("*.png"))
            images = sorted((out / "JPEGImages" / "480p" / key).glob("*.jpg"))
            assert (
                [one.stem for one in files] == [one.stem for one in images] == [f"{t:05d}" for t in range(len(masks))]
            )
            maps = [Image.open(one) for one in files]
            assert {one.mode for one in maps} == {"P"}
            assert np.array_equal(np.array([np.asarray(one) for one in maps]), label_map(masks))
    assert facts["hidden_px"] == OVERLAP_PX


def test_the_palette_is_that_of_davis():
    palette = davis_palette().tolist()
    assert palette[:4] == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    assert palette[8:12] == [[64, 0, 0], [191, 0, 0], [64, 128, 0], [191, 128, 0]]
    assert palette[20:23] == [[0, 64, 128], [128, 64, 128], [22, 22, 22]]
    assert palette[255] == [255, 255, 255]

import json

import numpy as np
from PIL import Image
from pycocotools import mask as coco


def test_pycocotools_reads_every_mask_pixel_for_pixel(exported, samples):
    out, facts = exported("youtube-vis")
    seen = 0
    for split in ("train", "test"):
        document = json.loads((out / split / "instances.json").read_text())
        names = {one["id"]: one["name"] for one in document["categories"]}
        assert names == {1: "dog", 2: "tiger"}
        videos = {one["id"]: one for one in document["videos"]}
        keys = [one["file_names"][0].split("/")[0] for one in document["videos"]]
        assert keys == [key for key, sample in samples.items() if sample[0] == split]
        ids = [one["id"] for one in document["annotations"]]
        assert ids == list(range(1, len(ids) + 1))
        order = dict.fromkeys(videos, 0)
        for one in document["annotations"]:
            video = videos[one["video_id"]]
            _, text, labels, _, masks = samples[video["file_names"][0].split("/")[0]]
            n = order[one["video_id"]]
            order[one["video_id"]] += 1
            assert (video["caption"], video["fps"], video["length"]) == (text, 8.0, len(masks))
            assert names[one["category_id"]] == labels[n]
            assert video["source"]["licence"] == "CC-BY-4.0"
            for t, rle in enumerate(one["segmentations"]):
                if rle is None:
                    assert not masks[t, n].any()
                    assert one["bboxes"][t] is None
                    continue
                assert np.array_equal(coco.decode(rle).astype(bool), masks[t, n])
                assert coco.toBbox(rle).tolist() == one["bboxes"][t]
                assert coco.area(rle) == one["areas"][t]
                seen += 1
        for video_id, video in videos.items():
            frames = samples[video["file_names"][0].split("/")[0]][3]
            read = [np.asarray(Image.open(out / split / "JPEGImages" / name)) for name in video["file_names"]]
            assert np.abs(np.array(read).astype(int) - frames).mean() < 3, video_id
    # five objects of nine frames; one is gone in the last
    assert seen == 5 * 9 - 1
    assert (facts["samples"], facts["n_objects"], facts["hidden_px"]) == (4, 5, 0)

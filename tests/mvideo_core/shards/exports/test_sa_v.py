import json

import numpy as np
from pycocotools import mask as coco

from tests.mvideo_core.shards.exports.conftest import BOTH, read_video


def test_frames_by_objects_of_run_lengths_as_sam_2_reads_them(exported, samples):
    out, facts = exported("sa-v")
    for key, (split, text, labels, frames, masks) in samples.items():
        facts_of = json.loads((out / split / f"{key}_manual.json").read_text())
        assert "fps" not in facts_of  # SAM 2 would take it for the rate of the masks
        read = np.array([[coco.decode(one) for one in frame] for frame in facts_of["masklet"]]).astype(bool)
        assert np.array_equal(read, masks)
        assert len(read_video(out / split / f"{key}.mp4")) == len(frames)
        assert (facts_of["video_id"], facts_of["caption"], facts_of["masklet_label"]) == (key, text, labels)
        assert facts_of["source"]["video_id"] == key.split("_")[0]
        assert len(facts_of["masklet_id"]) == facts_of["masklet_num"] == masks.shape[1]
        assert (facts_of["video_height"], facts_of["video_width"]) == frames.shape[1:3]
    both = json.loads((out / samples[BOTH][0] / f"{BOTH}_manual.json").read_text())
    assert both["masklet_visibility_changes"] == [0, 1]
    # 128 px in eight of nine frames
    assert np.allclose(both["masklet_size_abs"], [64, 128 * 8 / 9])
    assert facts["losses"] == []

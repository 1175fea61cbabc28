"""Test sets, videos, scores, tables and page on a tiny random base with a fresh adapter: the plumbing, not quality."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mvideo_core.base.errors import StoreError
from mvideo_core.cogvideox.adapter import LoraOptions, add_lora, save_adapter
from mvideo_core.cogvideox.base import BaseOptions
from mvideo_core.curation.stages.publish import dataset_root
from mvideo_core.curation.stages.shard import shard_dataset
from mvideo_core.evaluation.aggregate import GroupKey
from mvideo_core.evaluation.compare import find_side
from mvideo_core.evaluation.result import read_result
from mvideo_core.evaluation.testsets.samples import TestSample, TestSet
from mvideo_core.generation.loading import load_pipeline
from mvideo_core.paper.options import PaperOptions
from mvideo_core.paper.reproduce import finish
from mvideo_core.paper.scoring import score
from mvideo_core.paper.sets import MASK_TO_VIDEO, mask_cases, prompt_cases, read_cases
from mvideo_core.paper.videos import adapter_of, jobs, make_videos, run_of, write_job_manifest
from mvideo_core.shards.options import ShardOptions
from mvideo_core.store.workspace import Workspace
from tests.mvideo_core.engine.finished import finish as finished_stages

TINY = BaseOptions(weights="random:tiny-sincos", dtype="fp32")


def options_of(folder: Path) -> PaperOptions:
    suite = folder / "suite.yaml"
    suite.write_text("name: tiny\nmetrics: [{metric: temporal_flickering}]\nintervals: {draws: 99}\n")
    return PaperOptions.parse(
        {
            "base": TINY.model_dump(),
            "tests": {"prompts": 2, "samples": 2, "sample_clips": 1, "min_area_frac": 0.1},
            "sampling": {"steps": 2},
            "tables": ["2", "3"],
            "test_sets": ["mask-to-video"],
            "table2_clips": 2,
            "alphas": [1.0],
            "suite": str(suite),
        }
    )


def a_test_set(keys: list[str]) -> TestSet:
    samples = [
        TestSample(key=key, video_id=key, label="dog", object_ids=[0], caption="a dog", n_frames=9) for key in keys
    ]
    return TestSet(
        name=MASK_TO_VIDEO, options={}, wanted=2, samples=samples, left_out={}, per_class={"dog": 2}, held_out=[]
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PaperOptions]:
    """A root with test sets and an adapter of a training that never was."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("paper")
    options = options_of(root)
    workspace = Workspace(str(root / "unseen" / "workspace"))
    keys = finished_stages(workspace, root, {"a": 1, "b": 1})
    shard_dataset(workspace, ShardOptions(test_frac=0.0))
    loaded = load_pipeline(TINY)
    grid = loaded.pipeline.format
    prompt_cases(options, root)
    mask_cases(a_test_set(keys), dataset_root(workspace), MASK_TO_VIDEO, options, grid, root)
    add_lora(loaded.pipeline.transformer, LoraOptions(rank=2, alpha=2))
    save_adapter(run_of(root, 1.0) / "checkpoints" / "step-00000001" / "adapter", loaded.pipeline.transformer, grid)
    return root, options


def test_cases_lie_on_the_models_grid(made: tuple[Path, PaperOptions]) -> None:
    from mvideo_core.editing.mask_files import load_masks
    from mvideo_core.media.decode import count_frames

    root, _ = made
    cases = read_cases(root, MASK_TO_VIDEO)
    assert [case.seed for case in cases] == [0, 1]
    masks = load_masks(root / "sets" / cases[0].masks)
    assert masks.sequence.shape == (9, 1, 32, 64)
    # 12 x 16 of 32 x 48 source pixels, stretched to 32 x 64: 12 rows of 16 * 64 / 48 = 21.3 columns
    assert abs(int(masks.sequence.mask(0, 0).sum()) - 12 * 21.3) < 13
    assert count_frames(root / "sets" / cases[0].source_video) == 9


def test_too_small_masks_are_no_test_set(
    made: tuple[Path, PaperOptions], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root, options = made
    strict = options.model_copy(update={"tests": options.tests.model_copy(update={"min_area_frac": 0.2})})
    workspace = Workspace(str(root / "unseen" / "workspace"))
    keys = [case.id for case in read_cases(root, MASK_TO_VIDEO)]
    grid = load_pipeline(TINY).pipeline.format
    with pytest.raises(StoreError, match=r"lower tests\.min_area_frac"), caplog.at_level("INFO"):
        mask_cases(a_test_set(keys), dataset_root(workspace), MASK_TO_VIDEO, strict, grid, tmp_path)
    assert "mask-to-video: 0 samples; left out: 2 with too small a mask on the first frame" in caplog.messages
    longer = options.model_copy(update={"tests": options.tests.model_copy(update={"sample_clips": 2})})
    with pytest.raises(StoreError, match="0 of 2 samples"), caplog.at_level("INFO"):
        mask_cases(a_test_set(keys), dataset_root(workspace), MASK_TO_VIDEO, longer, grid, tmp_path)
    assert "mask-to-video: 0 samples; left out: 2 too short" in caplog.messages


def test_an_untrained_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="run the training step first"):
        adapter_of(tmp_path, 1.0)


def test_videos_scores_tables_and_page(made: tuple[Path, PaperOptions]) -> None:
    root, options = made
    for job in jobs(options):
        assert make_videos(job, options, root) == 2
        write_job_manifest(job, options, root)
    video = root / "videos" / "prompts" / "mvideo-alpha-1" / "2-clips" / "prompt-000" / "video.mp4"
    before = video.stat().st_mtime_ns
    make_videos(next(job for job in jobs(options) if job.n_clips == 2), options, root)
    assert video.stat().st_mtime_ns == before  # nothing is made twice
    told = json.loads((video.parent / "provenance.json").read_text(encoding="utf-8"))
    assert (told["item"], told["decides"]["masks"], len(told["clips"])) == ("prompt-000", "", 2)
    guided = next(root.glob("videos/mask-to-video/mvideo-alpha-1/1-clips/*/conditions/masks.masks"))
    assert guided.read_bytes() == (root / "sets" / MASK_TO_VIDEO / f"{guided.parents[1].name}.masks").read_bytes()

    shutil.rmtree(video.parents[1] / "prompt-001")  # a video that is lost counts as missing
    result = score(options, root)
    counts = {(group.test_set, group.system): group.metrics["temporal_flickering"].n_missing for group in result.groups}
    assert counts[("prompts", "mvideo-alpha-1")] == 1
    assert counts[("mask-to-video", "base")] == 0

    page = finish(options, root).read_text(encoding="utf-8")
    assert ("base, 1 clip" in page, "1 clips" in page) == (True, False)
    assert {group.variant for group in result.groups if group.system == "base"} == {"1 clips"}  # as in earlier runs
    loaded = read_result(root / "scores")
    for name in ("base, 1 clip, prompts", "base, 1 clips, prompts"):
        assert find_side(loaded, name).key == GroupKey("prompts", "base", "1 clips")
    assert "masks, mask-to-video: with masks vs. the base model" in page
    assert "videos/mask-to-video/mvideo-alpha-1/1-clips/" in page
    sheets = sorted((root / "pictures" / MASK_TO_VIDEO).glob("*.png"))
    assert [sheet.name for sheet in sheets] == sorted(f"{case.id}.png" for case in read_cases(root, MASK_TO_VIDEO))
    assert np.asarray(Image.open(sheets[0])).shape == (
        3 * 64,
        2 * 6 * 128,
        3,
    )
    table = (root / "tables" / "table-2.md").read_text(encoding="utf-8")
    assert "26.57" in table  # the paper's figure stands beside ours
    assert "mvideo-alpha-1, 2 clips" in table
    asked = json.loads((root / "tables" / "comparisons.json").read_text(encoding="utf-8"))
    assert [one["differences"][0]["n_pairs"] for one in asked] == [2]

from dataclasses import fields

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from mvideo_core.miniworld.training import segmenter_train
from mvideo_core.miniworld.training.segmenter import export
from mvideo_core.miniworld.training.segmenter_arch import BASE, OVERRIDES
from mvideo_core.miniworld.training.segmenter_batches import Batch, draw_batch
from mvideo_core.miniworld.training.segmenter_eval import Followed, follow_shot, summary
from mvideo_core.miniworld.training.segmenter_train import PHASES, Phase, Run, phase_at, total_steps, train
from mvideo_core.perception.segmentation.sam2_build import build_predictor, load_predictor
from mvideo_core.perception.segmentation.sam2_video import Sam2Segmenter
from tests.mvideo_core.miniworld.training.test_segmenter_batches import one_shard

STILLS = Phase("stills", 12, 64, 2, 1, 4, 1e-3, False)
CLIPS = Phase("clips", 12, 64, 1, 3, 3, 1e-3, True)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def test_phases_follow_each_other_and_scale():
    first, second = PHASES[:2]
    assert phase_at(0) == (first, 0, first.steps)
    assert phase_at(first.steps + 7) == (second, 7, second.steps)
    assert phase_at(total_steps() - 1) == (PHASES[-1], PHASES[-1].steps - 1, PHASES[-1].steps)
    with pytest.raises(IndexError, match="over"):
        phase_at(total_steps())
    tenth = round(first.steps / 10)
    assert phase_at(tenth, 0.1) == (second, 0, round(second.steps / 10))
    assert total_steps(1e-9) == len(PHASES)  # at least one step each


def test_rates_rise_fall_and_spare_what_is_frozen(tmp_path):
    run = Run(tmp_path)

    def rates(phase, done, steps):
        segmenter_train._set_rates(run.optimizer.param_groups, phase, done, steps)
        return {group["name"]: group["lr"] for group in run.optimizer.param_groups}

    assert rates(STILLS, 0, 1000)["image"] == pytest.approx(1e-3 / 200)
    assert rates(STILLS, 500, 1000) == {
        "image": pytest.approx(0.525e-3),
        "memory": 0.0,
        "heads": pytest.approx(0.525e-3),
    }
    assert rates(STILLS, 1000, 1000)["image"] == pytest.approx(0.05e-3)
    assert rates(CLIPS, 500, 1000) == {"image": 0.0, "memory": pytest.approx(0.525e-3), "heads": pytest.approx(0.21e-3)}


def test_a_clip_step_leaves_the_image_encoder_alone_and_moves_the_memory(tmp_path):
    run = Run(tmp_path)
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    segmenter_train._set_rates(run.optimizer.param_groups, CLIPS, 200, 1000)
    loss, j = segmenter_train._step(run, [one_shard()], CLIPS)
    assert loss > 0
    assert len(j) == 3
    after = run.model.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert not any(name.startswith("image_encoder") for name in moved)
    assert any(name.startswith("memory_attention") for name in moved)
    assert any(name.startswith("memory_encoder") for name in moved)


def test_sizes_share_their_weights(tmp_path):
    run = Run(tmp_path)
    small = run.at(64)
    segmenter_train._set_rates(run.optimizer.param_groups, STILLS, 200, 1000)
    segmenter_train._step(run, [one_shard()], STILLS)
    for (name, a), (_, b) in zip(run.model.named_parameters(), small.named_parameters(), strict=True):
        assert a is b, name


def test_stop_and_resume_equals_straight_through(tmp_path):
    straight = Run(tmp_path)
    for step in range(3):
        segmenter_train._set_rates(straight.optimizer.param_groups, STILLS, step, 12)
        segmenter_train._step(straight, [one_shard()], STILLS)
        if step == 1:
            straight.save()
    resumed = Run(tmp_path, seed=0)
    assert resumed.resume()
    assert resumed.step == 2
    segmenter_train._set_rates(resumed.optimizer.param_groups, STILLS, 2, 12)
    segmenter_train._step(resumed, [one_shard()], STILLS)
    for name, value in straight.model.state_dict().items():
        torch.testing.assert_close(resumed.model.state_dict()[name], value, atol=0, rtol=0, msg=name)
        torch.testing.assert_close(resumed.mean[name], straight.mean[name], atol=0, rtol=0, msg=name)


def test_training_fits_one_still_and_what_it_exports_loads(tmp_path, monkeypatch):
    monkeypatch.setattr(segmenter_train, "PHASES", (STILLS,))
    monkeypatch.setattr(segmenter_train, "open_shards", lambda folder: [one_shard()])
    run = Run(tmp_path)
    train(run, tmp_path)
    assert run.step == 12
    assert run.seconds > 0
    assert (tmp_path / "checkpoint.pt").exists()
    export(run.mean, tmp_path / "model", image_size=64)
    network, name, _ = load_predictor(tmp_path / "model")
    assert (name, network.image_size) == ("model", 64)
    assert (tmp_path / "model" / "model.safetensors").stat().st_size < 10_000_000


def test_evaluation_follows_what_the_world_asks_for():
    followed = follow_shot(Sam2Segmenter.tiny(), seed=1, n_frames=2)
    assert followed
    assert all(0 <= one.j <= 1 and 0 <= one.f <= 1 for one in followed)


def test_summary_by_hand():
    one = Followed("dog", False, "small", "clear", 0.5, 0.7, 0.6, 0.0)
    other = Followed("deer", True, "large", "absent", 0.9, 0.9, 1.0, 0.5)
    means = summary([one, other])
    assert means["all"] == {"n": 2, "j": 0.7, "f": 0.8, "jf": 0.75, "first_j": 0.8, "confused": 0.25}
    assert means["unseen classes"]["jf"] == 0.9
    assert means["trial clear"]["n"] == 1


@pytest.mark.slow
def test_tracking_stays_on_the_batchs_device():
    """Fake tensors carry a device and no values, and refuse to meet one of another device: a GPU without a GPU."""
    small = build_predictor(BASE, {**OVERRIDES, "image_size": 64}, seed=0).requires_grad_(False)
    drawn = draw_batch([one_shard()], np.random.default_rng(0), 2, 3, 3, 64)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.no_grad():
        for module in small.modules():
            for values in (module._parameters, module._buffers):
                values.update({k: mode.from_tensor(v).to("cuda") for k, v in values.items() if v is not None})
        on_gpu = Batch(*(mode.from_tensor(getattr(drawn, field.name)) for field in fields(Batch))).to("cuda")
        masks = [heads[3] for heads in segmenter_train.track(small, on_gpu, frozen=True)]
    assert [tuple(one.shape) for one in masks] == [(len(drawn.boxes_xyxy), 1, 16, 16)] * 3
    assert {one.device.type for one in masks} == {"cuda"}

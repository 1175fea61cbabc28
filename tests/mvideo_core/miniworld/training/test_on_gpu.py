"""The mini vision trainings on a GPU: a step there is the step of the CPU, to rounding."""

import pytest
import torch

from mvideo_core.miniworld.training import segmenter_train
from mvideo_core.miniworld.training.detector import Trainer
from mvideo_core.miniworld.training.segmenter_train import Run
from tests.mvideo_core.miniworld.training.test_detector import SMALL, Squares, options
from tests.mvideo_core.miniworld.training.test_segmenter_batches import one_shard
from tests.mvideo_core.miniworld.training.test_segmenter_train import CLIPS, STILLS

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


@pytest.mark.parametrize("phase", [STILLS, CLIPS], ids=["stills", "clips"])
def test_segmenter(tmp_path, phase):
    losses = {}
    for device in ("cpu", "cuda"):
        run = Run(tmp_path / device, seed=0, device=device)
        segmenter_train._set_rates(run.optimizer.param_groups, phase, 200, 1000)
        losses[device] = [segmenter_train._step(run, [one_shard()], phase)[0] for _ in range(2)]
    assert losses["cuda"] == pytest.approx(losses["cpu"], rel=0.02)


def test_detector(tmp_path):
    losses = {}
    for device in ("cpu", "cuda"):
        (tmp_path / device).mkdir()
        trainer = Trainer(tmp_path / device, options(steps=4), SMALL, device)
        batch = [Squares()[i] for i in range(4)]
        words = {"stop sign": "stop sign", "kite": "kite"}
        losses[device] = [trainer.train_step(batch, ["kite", "stop sign"], words)["loss"] for _ in range(2)]
        trainer.save()
        assert Trainer(tmp_path / device, options(steps=4), SMALL, device).step == 2
        trainer.average_model()
    assert losses["cuda"] == pytest.approx(losses["cpu"], rel=0.02)

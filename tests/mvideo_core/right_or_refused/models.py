"""Weights, adapters and what models give."""

import time

import numpy as np

from tests.mvideo_core.right_or_refused.cases import Cases, refusal

CASES = Cases()


@CASES.kind("weights replaced during a run")
def _(tmp_path):
    import os

    import torch
    from safetensors.torch import save_file

    from mvideo_core.cogvideox.weights_digest import tensors_sha256

    path = tmp_path / "diffusion_pytorch_model.safetensors"
    digests = set()
    for value in (1.0, 2.0):
        save_file({"a": torch.full((4,), value)}, path)
        os.utime(path, (1e9, 1e9))  # same name, size and time: only the bytes differ
        digests.add(tensors_sha256(tmp_path))
        time.sleep(0.01)
    assert len(digests) == 2


@CASES.kind("adapter not loaded")
def _(tmp_path):
    from mvideo_core.cogvideox.adapter import load_adapter, save_adapter
    from mvideo_core.cogvideox.adapter_files import CONDITIONING_FILE
    from mvideo_core.cogvideox.base import random_base
    from mvideo_core.cogvideox.video_format import VideoFormat
    from tests.mvideo_core.cogvideox.test_adapter import trained

    base = random_base("tiny-sincos", parts=("transformer",))
    save_adapter(tmp_path, trained(base.transformer), VideoFormat())
    (tmp_path / CONDITIONING_FILE).unlink()
    fresh = random_base("tiny-sincos", parts=("transformer",)).transformer
    refusal(lambda: load_adapter(fresh, tmp_path), tmp_path, CONDITIONING_FILE)


@CASES.kind("values that are not finite")
def _(tmp_path):
    import torch

    from mvideo_core.cogvideox.pixels import frames_THWC

    refusal(lambda: frames_THWC(torch.full((3, 1, 2, 2), float("nan"))), "non-finite", "weights check --deep")


@CASES.kind("frames of one color")
def _(tmp_path):
    from mvideo_core.cogvideox.pixels import check_not_blank

    refusal(lambda: check_not_blank(np.full((2, 4, 4, 3), 7, np.uint8), "clip 0"), "clip 0", "(7, 7, 7)")

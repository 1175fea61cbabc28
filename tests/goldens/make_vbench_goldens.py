"""Numbers of the vbench package for drawn videos and seeded weights, to compare this project's metrics with.

    VBENCH_PYTHON -m tests.goldens.make_vbench_goldens [--out tests/goldens/vbench.json]

runs in an environment of its own (docs/reference/metrics.md), from the repository's root. Without --out it prints the
JSON. `python -m tests.goldens.make_vbench_goldens --draw`, in the project's own environment, draws the videos again.
"""

import argparse
import functools
import gzip
import hashlib
import importlib
import importlib.metadata
import json
import os
import sys
import tempfile
import unittest.mock
from pathlib import Path
from typing import Any

from tests.goldens import vbench_inputs as inputs
from tests.goldens.make_clip_goldens import used_merges


def main() -> None:
    """Draw, or compute and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--draw", action="store_true")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.draw:
        draw()
        return
    text = json.dumps(computed(), indent=1, ensure_ascii=True) + "\n"
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


def draw() -> None:
    """Write the videos."""
    from mvideo_core.media.encode import write_mp4

    for name, (height, width, n_frames) in inputs.VIDEOS.items():
        path = inputs.video_path(name)
        path.parent.mkdir(exist_ok=True)
        write_mp4(inputs.drawn_frames(height, width, n_frames), path, inputs.FPS, crf=26)


def computed() -> dict[str, Any]:
    """Everything, by VBench's own code; networks are tiny, weights come from seeds."""
    import clip
    import torch

    from mvideo_core.evaluation.networks.clip_tokenizer import ClipTokenizer

    torch.set_num_threads(1)
    public = Path(clip.__file__).with_name("bpe_simple_vocab_16e6.txt.gz")
    tokens = public_tokens(public)
    merges = used_merges(public, ClipTokenizer.from_file(public).ids, tokens.values())
    with tempfile.TemporaryDirectory() as cache:
        vocabulary = Path(cache) / "ViCLIP" / "bpe_simple_vocab_16e6.txt.gz"
        vocabulary.parent.mkdir()
        vocabulary.write_bytes(gzip.compress("\n".join(["heading", *map(" ".join, merges.values())]).encode()))
        os.environ["VBENCH_CACHE_DIR"] = cache
        packages = ("vbench", "pyiqa", "torch", "torchvision", "numpy", "timm")
        return {
            "made_with": {name: importlib.metadata.version(name) for name in packages},
            "merges": [" ".join(merge) for merge in merges.values()],
            "merge_ranks": list(merges),
            "tokens": tokens,
            "viclip_l14_names_sha256": names_digest(),
            "overall_consistency": overall_consistency(),
            "imaging_quality": imaging_quality(),
            "imaging_quality_frame": imaging_quality_frame(),
            "motion_smoothness": motion_smoothness(),
            "temporal_flickering": temporal_flickering(),
        }


def public_tokens(public: Path) -> dict[str, list[int]]:
    """VBench's token ids of the prompts, with CLIP's whole vocabulary."""
    from vbench.third_party.ViCLIP.simple_tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer(str(public))
    return {prompt: tokenizer.encode(prompt) for prompt in inputs.PROMPTS}


def names_digest() -> str:
    """Digest of names and shapes of the parameters of VBench's full ViCLIP."""
    import torch
    from vbench.third_party.ViCLIP.viclip import ViCLIP

    # VBench reads numbers out of one linspace, which a tensor without memory cannot give.
    in_memory = functools.partial(torch.linspace, device="cpu")
    with torch.device("meta"), unittest.mock.patch.object(torch, "linspace", in_memory):
        state = ViCLIP(tokenizer=object(), pretrain=None).state_dict()
    lines = sorted(f"{name} {list(value.shape)}" for name, value in state.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def tiny_viclip() -> Any:
    """VBench's ViCLIP around tiny encoders; its own methods do the encoding."""
    import torch
    from vbench.third_party.ViCLIP.viclip import ViCLIP
    from vbench.third_party.ViCLIP.viclip_text import CLIP_TEXT
    from vbench.third_party.ViCLIP.viclip_vision import VisionTransformer

    from mvideo_core.evaluation.networks.viclip import ViclipSizes

    tiny = ViclipSizes(**ViclipSizes.TINY)
    model = ViCLIP.__new__(ViCLIP)
    torch.nn.Module.__init__(model)
    model.max_txt_l, model.masking_prob = tiny.context, 0.9
    model.vision_encoder = VisionTransformer(
        tiny.image_px, tiny.patch_px, tiny.vision_width, tiny.vision_layers, tiny.vision_heads, tiny.embedding
    )
    ids = len(CLIP_TEXT(8, 8, 8, 8, 1, 1, 0)._tokenizer.encoder)
    model.text_encoder = CLIP_TEXT(
        tiny.embedding, tiny.context, ids, tiny.text_width, tiny.text_heads, tiny.text_layers, checkpoint_num=0
    )
    model.temp = torch.nn.Parameter(torch.tensor(0.01))
    return inputs.fill(model, inputs.VICLIP_SEED)


def overall_consistency() -> dict[str, list[float]]:
    """Video -> score with each prompt."""
    from vbench.overall_consistency import overall_consistency as score

    model, scores = tiny_viclip(), {}
    for name in inputs.VIDEOS:
        asked = [{"prompt": prompt, "video_list": [str(inputs.video_path(name))]} for prompt in inputs.PROMPTS]
        scores[name] = [item["video_results"] for item in score(model, asked, None, "cpu")[1]]
    return scores


def imaging_quality() -> dict[str, dict[str, float]]:
    """Network -> video -> score, 0 to 100."""
    from pyiqa.archs.musiq_arch import MUSIQ
    from vbench.imaging_quality import technical_quality

    paths = [str(inputs.video_path(name)) for name in inputs.VIDEOS]

    def scores(network: Any, mode: str) -> dict[str, float]:
        found = technical_quality(network, paths, "cpu", imaging_quality_preprocessing_mode=mode)[1]
        return {name: item["video_results"] for name, item in zip(inputs.VIDEOS, found, strict=True)}

    musiq = inputs.fill(MUSIQ(pretrained=False, **inputs.MUSIQ_TINY), inputs.MUSIQ_SEED)
    return {"stand_in": scores(inputs.quality_stand_in, "longer"), "musiq": scores(musiq, "longer")}


def imaging_quality_frame() -> dict[str, float]:
    """Preprocessing -> the stand-in's score of one frame with both sides above 512 px."""
    import torch
    from vbench.imaging_quality import transform

    frames = torch.Tensor(inputs.drawn_frames(*inputs.LARGE_FRAME, 1)).permute(0, 3, 1, 2)
    modes = ("longer", "shorter", "shorter_centercrop", "None")
    return {mode: float(inputs.quality_stand_in(transform(frames, mode))) for mode in modes}


def motion_smoothness() -> dict[str, dict[str, float]]:
    """Network -> video -> score."""
    from vbench.motion_smoothness import MotionSmoothness

    network = importlib.import_module("vbench.third_party.amt.networks.AMT-S").Model()
    scores = {}
    for label, model in (
        ("stand_in", inputs.interpolation_stand_in),
        ("amt", inputs.fill(network, inputs.AMT_SEED)),
    ):
        metric = MotionSmoothness.__new__(MotionSmoothness)
        metric.device, metric.niters, metric.model = "cpu", 1, model
        metric.initialization()
        scores[label] = {name: float(metric.motion_score(str(inputs.video_path(name)))) for name in inputs.VIDEOS}
    return scores


def temporal_flickering() -> dict[str, float]:
    """Video -> score."""
    from vbench.temporal_flickering import cal_score

    return {name: cal_score(str(inputs.video_path(name))) for name in inputs.VIDEOS}


if __name__ == "__main__":
    main()

"""The package's model and transformers' are the same function of the same weights."""

import pytest
import torch
from torch.overrides import TorchFunctionMode

from mvideo_core.base.errors import ModelError
from mvideo_core.perception.detection.arch import GroundingDinoArch
from mvideo_core.perception.detection.coco import COCO80
from mvideo_core.perception.detection.convert import to_transformers, transformers_config
from mvideo_core.perception.detection.groundingdino import GroundingDinoDetector, bert_tokenizer, build_groundingdino
from mvideo_core.perception.detection.prompt import build_prompts

ABSENT_BY_DESIGN = {f"model.backbone.conv_encoder.model.swin.layernorm.{part}" for part in ("weight", "bias")}


def test_same_logits_and_boxes():
    """All weights drawn at random, zero-initialized heads and layer scales included; agreement to 1e-4 (1e-5 seen)."""
    from transformers import GroundingDinoForObjectDetection

    detector = GroundingDinoDetector.tiny(seed=5)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, value in detector.model.named_parameters():
            if "bbox_embed" in name or "gamma_" in name or "sampling_offsets.weight" in name:
                value.add_(0.02 * torch.randn(value.shape, generator=generator))
    twin = GroundingDinoForObjectDetection(transformers_config(detector.arch)).eval()
    report = twin.load_state_dict(to_transformers(detector.model.state_dict()), strict=False)
    assert set(report.missing_keys) == ABSENT_BY_DESIGN
    assert report.unexpected_keys == []
    ids = detector.tokenizer.convert_tokens_to_ids(["[CLS]", "[SEP]", ".", "?"])
    twin.model.special_tokens = torch.tensor(ids)

    images = torch.randn(2, 3, 64, 96, generator=generator)
    (prompt,) = build_prompts(["person", "hot dog", "traffic light", "car"], detector.tokenizer)
    text = detector.tokenizer([prompt.caption] * 2, return_tensors="pt")
    with torch.no_grad():
        ours = detector.model(images, captions=[prompt.caption] * 2)
        theirs = twin(pixel_values=images, **text)
    n = prompt.n_tokens
    torch.testing.assert_close(theirs.logits[..., :n], ours["pred_logits"][..., :n], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(theirs.pred_boxes, ours["pred_boxes"], atol=1e-4, rtol=1e-4)
    assert ours["pred_logits"][..., :n].std() > 0.1
    assert ours["pred_boxes"][..., 2:].std() > 0.01
    # Nearer to the edge the two clamp differently (see convert.py).
    assert ((theirs.pred_boxes > 2e-3) & (theirs.pred_boxes < 1 - 2e-3)).all()


@pytest.mark.parametrize(("arch", "package_config", "million"), [
    (GroundingDinoArch.swin_t(), "GroundingDINO_SwinT_OGC", 172.8),
    (GroundingDinoArch.swin_b(), "GroundingDINO_SwinB_cfg", 232.9),
])  # fmt: skip
def test_public_sizes_have_the_public_shapes(arch, package_config, million):
    """Keys and shapes of our build equal the package's own build from its own config file, and convert without rest."""
    from transformers import GroundingDinoForObjectDetection

    tokenizer = bert_tokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?"])
    with torch.device("meta"), _ScheduleOnCpu():
        ours = build_groundingdino(arch, tokenizer)
        theirs = _package_build(package_config, tokenizer, arch)
        twin = GroundingDinoForObjectDetection(transformers_config(arch))
    shapes = {name: tuple(value.shape) for name, value in ours.state_dict().items()}
    assert shapes == {name: tuple(value.shape) for name, value in theirs.state_dict().items()}
    assert sum(value.numel() for value in ours.parameters()) / 1e6 == pytest.approx(million, abs=0.1)
    converted = {name: tuple(value.shape) for name, value in to_transformers(ours.state_dict()).items()}
    expected = {name: tuple(value.shape) for name, value in twin.state_dict().items()}
    assert {name: shape for name, shape in expected.items() if name not in ABSENT_BY_DESIGN} == converted


@pytest.mark.slow
def test_public_size_computes_the_same():
    """Swin-T as published (172.8 M random weights), 80 classes, 900 queries. About 10 CPU seconds and 1.5 GB.

    Random weights give the 3,190 proposals nearly equal scores, so rounding may swap two of them in the ranking; those
    queries then differ, and through self-attention all others a little. Without a swap: logits 7.3e-5, boxes 2.4e-7.
    """
    from transformers import GroundingDinoForObjectDetection

    tokenizer = GroundingDinoDetector.tiny().tokenizer
    torch.manual_seed(0)
    model = build_groundingdino(GroundingDinoArch.swin_t(), tokenizer).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "bbox_embed" in name or "gamma_" in name or "sampling_offsets.weight" in name:
                value.add_(0.005 * torch.randn(value.shape))
        model.transformer.enc_output_norm.weight.fill_(0.3)
    twin = GroundingDinoForObjectDetection(transformers_config(GroundingDinoArch.swin_t())).eval()
    twin.load_state_dict(to_transformers(model.state_dict()), strict=False)
    twin.model.special_tokens = torch.tensor(tokenizer.convert_tokens_to_ids(["[CLS]", "[SEP]", ".", "?"]))
    images, (prompt,) = torch.randn(1, 3, 320, 480), build_prompts(COCO80, tokenizer)
    with torch.no_grad():
        ours = model(images, captions=[prompt.caption])
        theirs = twin(pixel_values=images, **tokenizer([prompt.caption], return_tensors="pt"))
    n = prompt.n_tokens
    worst_Q = (theirs.logits - ours["pred_logits"])[0, :, :n].abs().amax(-1)
    assert ours["pred_logits"][..., :n].std() > 3
    assert worst_Q.median() < 5e-3
    assert (worst_Q < 0.05).float().mean() > 0.97
    assert (theirs.pred_boxes - ours["pred_boxes"]).abs().median() < 1e-5


def test_no_twin_for_a_model_without_text_enhancer():
    with pytest.raises(
        ModelError, match=r"use_text_enhancer False.* always has text enhancer.*: use it with the detector"
    ):
        transformers_config(GroundingDinoArch(use_text_enhancer=False))


class _ScheduleOnCpu(TorchFunctionMode):
    """Shapes are enough, so nothing is allocated - except Swin's drop-path schedule, whose values it reads."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is torch.linspace:
            kwargs["device"] = "cpu"
        return func(*args, **kwargs)


def _package_build(name, tokenizer, arch):
    import importlib

    from transformers import BertConfig, BertModel

    from mvideo_core.perception.detection._bert_shim import TextEncoder, groundingdino_package

    groundingdino_package()
    from groundingdino.models import build_model

    config = importlib.import_module(f"groundingdino.config.{name}")
    config.text_encoder_type = TextEncoder(tokenizer, BertModel(BertConfig(**arch.bert.model_dump())))
    return build_model(config)

"""8-bit frozen weights: what is stored, what comes out, what autograd keeps."""

import sys

import pytest
import torch
from torch import nn

from mvideo_core.base.errors import ConfigError, ModelError
from mvideo_core.cogvideox.adapter import LoraOptions, add_lora, list_trainable
from mvideo_core.cogvideox.base import random_base
from mvideo_core.cogvideox.quantize import check_quantization, quantize_blocks
from mvideo_core.cogvideox.transformer import MVideoTransformer3DModel


def quantized(dtype: torch.dtype = torch.float32) -> MVideoTransformer3DModel:
    model = random_base("tiny-rope", parts=("transformer",)).transformer
    assert model is not None
    nn.Module.to(model, dtype)
    assert quantize_blocks(model, "int8") == 16  # 2 blocks of q, k, v, out, two of ff, two norms
    return model


def test_weights_are_int8_with_a_scale_per_row_and_the_product_is_that_of_the_rounded_weight() -> None:
    pytest.importorskip("torchao")
    before = random_base("tiny-rope", parts=("transformer",)).transformer
    model = quantized()
    assert before is not None
    plain, linear = before.transformer_blocks[1].ff.net[2], model.transformer_blocks[1].ff.net[2]
    assert linear.weight.qdata.dtype == torch.int8
    # By hand: symmetric, one scale a row, the largest entry at 127 or 128; rounding errs by half a unit at most.
    unit_O1 = plain.weight.abs().amax(1, keepdim=True) / 127
    weight = linear.weight.dequantize()
    assert ((weight - plain.weight).abs() <= 0.51 * unit_O1).all()
    assert not torch.equal(weight, plain.weight)
    x = torch.randn(3, plain.in_features, requires_grad=True)
    linear(x).sum().backward()
    torch.testing.assert_close(linear(x), x @ weight.T + plain.bias)
    assert x.grad is not None
    torch.testing.assert_close(x.grad[0], weight.sum(0))


def test_autograd_keeps_no_dequantized_weight() -> None:
    pytest.importorskip("torchao")
    linear = quantized().transformer_blocks[0].attn1.to_q
    kept: list[torch.Tensor] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        linear(torch.randn(5, linear.in_features, requires_grad=True))
    assert [type(one).__name__ for one in kept] == ["Int8Tensor"]


def test_adapters_on_quantized_layers_train_and_nothing_else_does() -> None:
    pytest.importorskip("torchao")
    model = quantized(torch.bfloat16)
    add_lora(model, LoraOptions(rank=4, alpha=4))
    names = set(list_trainable(model))
    assert all("lora_" in name or name in ("mask_proj.weight", "segment_embed") for name in names)
    assert sum("lora_A" in name for name in names) == 8


def test_without_torchao_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "meta_path", [])
    for name in [name for name in sys.modules if name.split(".")[0] == "torchao"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ModelError, match=r"torchao is not installed; run: pip install 'mvideo\[quantization\]'"):
        check_quantization("int8", None)
    check_quantization("none", None)


@pytest.mark.parametrize(("capability", "seen"), [(None, "this is a CPU"), ((8, 6), r"this GPU has 8\.6")])
def test_fp8_is_refused_where_the_device_has_no_fp8(capability: tuple[int, int] | None, seen: str) -> None:
    pytest.importorskip("torchao")
    with pytest.raises(ConfigError, match=f"8.9 or newer.*{seen}: use int8"):
        check_quantization("fp8", capability)
    check_quantization("fp8", (8, 9))
    check_quantization("int8", None)

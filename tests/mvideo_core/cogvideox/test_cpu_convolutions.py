"""3D convolutions of a VAE on a CPU: the same values and gradients, by oneDNN also for one small clip."""

import copy

import pytest
import torch
from torch.nn import functional as F

from mvideo_core.cogvideox.base import random_base
from mvideo_core.cogvideox.cpu_convolutions import convolve

SLOW = "aten::slow_conv3d_forward"


def operations(work) -> set[str]:
    with torch.profiler.profile() as profile, torch.no_grad():
        work()
    return {event.key for event in profile.key_averages()}


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"),
    [((1, 1, 1), (0, 0, 0), (1, 1, 1), 1), ((1, 2, 2), (0, 1, 1), (1, 1, 1), 2), ((1, 1, 1), (1, 2, 2), (1, 2, 2), 1)],
)
def test_values_and_gradients_are_those_of_pytorch(stride, padding, dilation, groups):
    torch.manual_seed(0)
    x, bias = torch.randn(1, 4, 5, 12, 10, requires_grad=True), torch.randn(6, requires_grad=True)
    weight = torch.randn(6, 4 // groups, 3, 3, 3, requires_grad=True)
    results = []
    for function in (F.conv3d, convolve):
        y = function(x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups)
        results.append([y, *torch.autograd.grad(y.square().sum(), (x, weight, bias))])
    for wanted, got in zip(*results, strict=True):
        torch.testing.assert_close(got, wanted, atol=1e-3, rtol=1e-4)


def test_a_small_clip_goes_to_onednn_and_comes_back_the_same():
    from diffusers import AutoencoderKLCogVideoX

    vae = random_base("tiny-sincos", parts=("vae",)).vae
    plain = AutoencoderKLCogVideoX(**dict(vae.config)).eval()
    plain.load_state_dict(vae.state_dict())
    latents = torch.randn(1, vae.config.latent_channels, 3, 4, 8)
    assert SLOW in operations(lambda: plain.decode(latents))
    assert SLOW not in operations(lambda: vae.decode(latents))
    with torch.no_grad():
        torch.testing.assert_close(vae.decode(latents).sample, plain.decode(latents).sample, atol=1e-5, rtol=1e-4)


def test_a_copy_uses_its_own_weights():
    vae = random_base("tiny-sincos", parts=("vae",)).vae
    twin = copy.deepcopy(vae)
    torch.nn.init.zeros_(twin.decoder.conv_out.conv.weight)
    torch.nn.init.zeros_(twin.decoder.conv_out.conv.bias)
    latents = torch.randn(1, vae.config.latent_channels, 1, 4, 8)
    with torch.no_grad():
        assert not twin.decode(latents).sample.any()
        assert vae.decode(latents).sample.any()


def test_other_dtypes_and_autocast_stay_with_pytorch():
    x, weight = torch.randn(1, 2, 3, 4, 4), torch.randn(2, 2, 1, 3, 3)
    half = convolve(x.bfloat16(), weight.bfloat16(), None)
    assert half.dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        assert convolve(x, weight, None).dtype == torch.bfloat16

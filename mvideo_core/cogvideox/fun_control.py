"""Conversion to and from checkpoints whose patch convolution takes noisy and control latents together (CogVideoX-Fun
Control).

There, channel concatenation is one convolution over 32 channels; here it is the sum of two over 16 (section 3.2 of the
paper). The same function, up to the order of additions.

History tokens have no equivalent there: an exported model follows masks, but does not continue clips.
"""

from typing import Any

from mvideo_core.base.errors import ConfigError
from mvideo_core.cogvideox.adapter import check_not_fused
from mvideo_core.cogvideox.transformer import NEW_PARAMETERS, MVideoTransformer3DModel

_OWN_CONFIG = ("mask_channels", "clean_modulation", "segment_embedding", "history_offset_frames", "spatial_align")


def to_fun_control(transformer: MVideoTransformer3DModel) -> Any:
    """A CogVideoXTransformer3DModel with 32 input channels, [noisy | mask], adapters merged in; the argument is kept.

    Raises:
        ConfigError: the adapters are already fused.
    """
    import torch

    state = _merge_adapters(transformer)
    mask = state.pop("mask_proj.weight").to(state["patch_embed.proj.weight"].dtype)
    state.pop("segment_embed", None)
    state["patch_embed.proj.weight"] = torch.cat([state["patch_embed.proj.weight"], mask], dim=1)
    return _build(transformer, transformer.config.in_channels + transformer.config.mask_channels, state)


def from_fun_control(transformer: Any, **changes: Any) -> MVideoTransformer3DModel:
    """An MVideo transformer from a 32-channel one, whose patch convolution is split in two.

    Args:
        transformer: CogVideoXTransformer3DModel with in_channels = 2 * out_channels.
        changes: MVideo's own configuration fields.

    Raises:
        ConfigError: the model has no control channels, or too many.
    """
    import torch
    from diffusers import CogVideoXTransformer3DModel

    own, given = transformer.config.out_channels, transformer.config.in_channels
    if given != 2 * own:
        raise ConfigError(f"from_fun_control: {given} input channels; expected {2 * own} (noisy and control latents)")
    state = dict(transformer.state_dict())
    weight = state.pop("patch_embed.proj.weight")
    state["patch_embed.proj.weight"] = weight[:, :own].clone()
    known = {name: value for name, value in transformer.config.items() if not name.startswith("_")}
    with torch.device("meta"):
        base = CogVideoXTransformer3DModel(**(known | {"in_channels": own}))
    base.load_state_dict(state, strict=True, assign=True)
    model = MVideoTransformer3DModel.from_base(base, **changes)
    with torch.no_grad():
        model.mask_proj.weight.copy_(weight[:, own:])
    return model.train(transformer.training)


def plain(transformer: MVideoTransformer3DModel) -> Any:
    """The CogVideoX inside an untrained MVideo transformer, sharing its tensors.

    Raises:
        ConfigError: adapters are attached or the conditioning is not zero.
    """
    if getattr(transformer, "peft_config", None):
        raise ConfigError(
            "plain: adapters are attached; save them with `save_adapter` and the base from its own folder"
        )
    state = transformer.state_dict()
    for name in NEW_PARAMETERS:
        value = state.pop(name, None)
        if value is not None and value.any():
            raise ConfigError(
                f"plain: {name} is trained; a plain CogVideoX has no place for it (`MVideoPipeline.save_pretrained`)"
            )
    return _build(transformer, transformer.config.in_channels, state)


def _build(transformer: MVideoTransformer3DModel, in_channels: int, state: dict[str, Any]) -> Any:
    import torch
    from diffusers import CogVideoXTransformer3DModel

    config = {n: v for n, v in transformer.config.items() if not n.startswith("_") and n not in _OWN_CONFIG}
    with torch.device("meta"):
        model = CogVideoXTransformer3DModel(**(config | {"in_channels": in_channels}))
    model.load_state_dict(state, strict=True, assign=True)
    buffer = getattr(transformer.patch_embed, "pos_embedding", None)
    if buffer is not None:
        model.patch_embed.register_buffer("pos_embedding", buffer, persistent=False)
    return model.train(transformer.training)


def _merge_adapters(transformer: MVideoTransformer3DModel) -> dict[str, Any]:
    """The state dict with every active adapter added to its layer, with the names of a model without adapters."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    check_not_fused(transformer)
    state = {
        name.replace(".base_layer.", "."): value
        for name, value in transformer.state_dict().items()
        if ".lora_" not in name
    }
    for name, module in transformer.named_modules():
        if isinstance(module, BaseTunerLayer):
            weight = state[f"{name}.weight"]
            for adapter in module.active_adapters:
                weight = weight + module.get_delta_weight(adapter).to(weight.dtype)  # type: ignore[attr-defined]
            state[f"{name}.weight"] = weight
    return state

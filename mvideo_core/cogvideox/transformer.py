"""MVideoTransformer3DModel: CogVideoX with mask channels and tokens of the previous clip (paper, sections 3.2 and 3.3).

Importing this file imports torch and diffusers; `mvideo_core.MVideoTransformer3DModel` does it on first use.

Shape letters: B batch, F latent frames, C channels, H, W latent sides, L tokens, D channels of a token.
"""

import inspect
from typing import Any, Self

import torch
from diffusers import CogVideoXTransformer3DModel, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from diffusers.utils import apply_lora_scale
from torch import Tensor, nn

from mvideo_core.base.errors import ConfigError
from mvideo_core.cogvideox.attention import MVideoAttnProcessor, SdpaChoice
from mvideo_core.cogvideox.block import MVideoBlock
from mvideo_core.cogvideox.caching import fit_config
from mvideo_core.cogvideox.compiled import CompiledGraphs
from mvideo_core.cogvideox.conditions import Conditions, add_mask_latents, add_segment_offsets
from mvideo_core.cogvideox.inputs import check_inputs
from mvideo_core.cogvideox.notices import expect_missing
from mvideo_core.cogvideox.patches import patches, unpatch
from mvideo_core.cogvideox.positions import (
    PositionRules,
    TokenGrid,
    rope_axes,
    rope_tables,
    sincos_axes,
    sincos_embedding,
)
from mvideo_core.cogvideox.weights_digest import NEW_PARAMETERS

# ModelMixin: a pipeline folder names this module as its transformer's source; diffusers looks up the base class here.
__all__ = ["NEW_PARAMETERS", "MVideoTransformer3DModel", "ModelMixin"]

_BASE_FIELDS = tuple(inspect.signature(CogVideoXTransformer3DModel.__init__).parameters)[1:]


class MVideoTransformer3DModel(CogVideoXTransformer3DModel):
    """CogVideoX 1.0 text-to-video (2b sincos, 5b RoPE) plus two zero-initialized parameters: `mask_proj`, a 2x2
    convolution from 16 mask channels to the token width, and `segment_embed`, one learned offset each for appearance
    and motion.

    * mask (section 3.2, channel concatenation): `mask_proj(mask)` is added to the clip's patches. A convolution over
      32 channels equals the sum of two convolutions over 16 channels each. So this is the paper's fusion, with the new
      half initialized to zero, and the base convolution stays untouched for the teacher.
    * appearance and motion (section 3.3, sequence concatenation): the base convolution divides them into patches. They
      get positions in physical time and a learned offset per segment, and are modulated by their own timestep.

    Tokens for 33 frames at 480x720 with motion at 256x384, of which only the clip's are output:

        text 226 | clip 9x30x45 = 12,150 | appearance 30x45 = 1,350 | motion 9x16x24 = 3,456      17,182 total

    CogVideoX 1.5 and image-to-video bases are refused.

    Args:
        mask_channels: channels of the mask latents; None: as many as `in_channels`, since one VAE encodes both.
        clean_modulation: "own": tokens of the previous clip are modulated by `Conditions.timestep_B` (0: clean);
            "shared": by the noisy clip's timestep.
        segment_embedding: learned offset for appearance and for motion tokens.
        history_offset_frames: frames from the clip's first frame to the last one of the previous clip; 0: the same
            frame.
        spatial_align: how low-resolution tokens are aligned with the clip's: "corner" or "center".
        Others: as in CogVideoXTransformer3DModel.

    Raises:
        ConfigError: a CogVideoX 1.5 or image-to-video configuration.
    """

    base_folder: str = ""
    """Pipeline folder that the base weights came from; "" if unknown."""
    base_sha256: str = ""
    """Their digest once it is known (`adapter.base_digest`); adapters are checked against it."""
    encoder_sha256: dict[str, str] | None = None
    """Digests of the VAE and text encoder next to them, once requested (`adapter.encoders_of`)."""
    adapter_about: dict[str, str] | None = None
    """What the headers of the loaded adapter's files say (`adapter_header.about_of`)."""

    _no_split_modules = ["MVideoBlock", "CogVideoXPatchEmbed"]
    _repeated_blocks = ["MVideoBlock"]

    @register_to_config
    def __init__(
        self,
        num_attention_heads: int = 30,
        attention_head_dim: int = 64,
        in_channels: int = 16,
        out_channels: int | None = 16,
        flip_sin_to_cos: bool = True,
        freq_shift: int = 0,
        time_embed_dim: int = 512,
        ofs_embed_dim: int | None = None,
        text_embed_dim: int = 4096,
        num_layers: int = 30,
        dropout: float = 0.0,
        attention_bias: bool = True,
        sample_width: int = 90,
        sample_height: int = 60,
        sample_frames: int = 49,
        patch_size: int = 2,
        patch_size_t: int | None = None,
        temporal_compression_ratio: int = 4,
        max_text_seq_length: int = 226,
        activation_fn: str = "gelu-approximate",
        timestep_activation_fn: str = "silu",
        norm_elementwise_affine: bool = True,
        norm_eps: float = 1e-5,
        spatial_interpolation_scale: float = 1.875,
        temporal_interpolation_scale: float = 1.0,
        use_rotary_positional_embeddings: bool = False,
        use_learned_positional_embeddings: bool = False,
        patch_bias: bool = True,
        mask_channels: int | None = None,
        clean_modulation: str = "own",
        segment_embedding: bool = True,
        history_offset_frames: int = 0,
        spatial_align: str = "corner",
    ):
        if patch_size_t is not None or ofs_embed_dim or use_learned_positional_embeddings:
            raise ConfigError(
                "transformer: patch_size_t, ofs_embed_dim or use_learned_positional_embeddings is set, so this is "
                "CogVideoX 1.5 or an image-to-video model; MVideo extends CogVideoX-2b and CogVideoX-5b (text-to-video)"
            )
        _one_of("clean_modulation", clean_modulation, ("own", "shared"))
        _one_of("spatial_align", spatial_align, ("corner", "center"))
        super().__init__(**{name: self.config[name] for name in _BASE_FIELDS})
        if mask_channels is None:
            self.register_to_config(mask_channels=in_channels)
        self._add_parameters(num_attention_heads * attention_head_dim)
        for block in self.transformer_blocks:
            # The same parameters with a different forward; building 42 blocks twice takes minutes.
            block.__class__ = MVideoBlock
        self.set_sdpa("auto")
        self._recompute_every = 1
        self._positions: dict[Any, Any] = {}
        self.graphs: CompiledGraphs | None = None

    def _add_parameters(self, dim: int) -> None:
        """The new parameters, zero; `dim` is the width of a token."""
        patch = self.config.patch_size
        self.mask_proj = nn.Conv2d(self.config.mask_channels, dim, kernel_size=patch, stride=patch, bias=False)
        nn.init.zeros_(self.mask_proj.weight)
        if self.config.segment_embedding:
            self.segment_embed = nn.Parameter(torch.zeros(2, dim))
        else:
            self.register_parameter("segment_embed", None)

    @classmethod
    def from_base(cls, transformer: CogVideoXTransformer3DModel, **changes: Any) -> Self:
        """A plain CogVideoX with MVideo's parameters added (zeros). The tensors are shared, not copied.

        Args:
            transformer: CogVideoX 2b or 5b, without adapters.
            changes: MVideo's own configuration fields.

        Raises:
            ConfigError: not a text-to-video CogVideoX 1.0, or adapters are attached.
        """
        if getattr(transformer, "peft_config", None):
            raise ConfigError(
                "from_base: adapters are attached; fuse or unload them first (`fuse_lora`, `unload_lora`)"
            )
        known = {name: value for name, value in transformer.config.items() if not name.startswith("_")}
        with torch.device("meta"):
            model = cls(**(known | changes))
        state = transformer.state_dict()
        missing = model.load_state_dict(state, strict=False, assign=True).missing_keys
        if set(missing) - set(NEW_PARAMETERS):
            raise ConfigError(f"from_base: the model lacks {sorted(set(missing) - set(NEW_PARAMETERS))[:3]}")
        model.fill_missing()
        return model.train(transformer.training)

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """As in diffusers; folders of plain CogVideoX transformers are extended with zeros.

        diffusers builds on the meta device and leaves there what the folder lacks.
        """
        with expect_missing(NEW_PARAMETERS):
            loaded = super().from_pretrained(*args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        model.fill_missing()
        return loaded

    def fill_missing(self) -> None:
        """Replace what is still on the meta device: new parameters with zeros, the unused position buffer by values."""
        device, dtype = self.patch_embed.proj.weight.device, self.dtype
        if device.type == "meta":
            return
        if self.mask_proj.weight.is_meta:
            self.mask_proj.weight = nn.Parameter(torch.zeros_like(self.mask_proj.weight, device=device, dtype=dtype))
        if self.segment_embed is not None and self.segment_embed.is_meta:
            self.segment_embed = nn.Parameter(torch.zeros_like(self.segment_embed, device=device, dtype=dtype))
        buffer = getattr(self.patch_embed, "pos_embedding", None)
        if buffer is not None and buffer.is_meta:
            # Not in checkpoints and not read here (see `positions.py`), but `.to()` refuses meta tensors.
            config = self.config
            value = self.patch_embed._get_positional_embeddings(
                config.sample_height, config.sample_width, config.sample_frames, device=device
            )
            self.patch_embed.register_buffer("pos_embedding", value.to(dtype), persistent=False)

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the frozen weights, which inputs need; trained parameters may be fp32 in a bf16 model."""
        return self.patch_embed.proj.weight.dtype

    def set_sdpa(self, choice: SdpaChoice) -> None:
        """Set the attention kernel of every block: "auto", "cudnn" (where supported), "flash", "efficient", "math"."""
        self.set_attn_processor(MVideoAttnProcessor(choice))

    def set_gradient_checkpointing(self, choice: str) -> None:
        """Set what is recomputed in the backward pass instead of being kept.

        Args:
            choice: "none"; "full": every block; "block_skip:n": every n-th block (n >= 2), for 1/n of the saving.

        Raises:
            ConfigError: any other word, or n below 2.
        """
        name, _, number = choice.partition(":")
        if name == "none" and not number:
            self.disable_gradient_checkpointing()
            return
        if name == "full" and not number:
            self._recompute_every = 1
        elif name == "block_skip" and number.isdigit() and int(number) >= 2:
            self._recompute_every = int(number)
        else:
            raise ConfigError(f"gradient_checkpointing: {choice!r}; use none, full or block_skip:n with n >= 2")
        self.enable_gradient_checkpointing()

    def compile_blocks(self, backend: str | None = None) -> CompiledGraphs:
        """`torch.compile` the block; parameter names stay. Returns the graphs made from now on."""
        self.graphs = CompiledGraphs(backend)
        self.graphs.take(self)
        return self.graphs

    def enable_cache(self, config: Any) -> None:
        """As in diffusers, for its caches between denoising steps; fields left out are filled in for this model.

        Raises:
            ConfigError: a cache that cannot work here (`caching.py`).
        """
        super().enable_cache(fit_config(self, config))

    def token_count(
        self, format_latents_FHW: tuple[int, int, int], motion_FHW: tuple[int, int, int] | None = None
    ) -> int:
        """Length of the sequence with text, clip and, if `motion_FHW` is passed, appearance and motion tokens."""
        clip = self._grid(*format_latents_FHW)
        history = (clip.height * clip.width + self._grid(*motion_FHW).tokens) if motion_FHW else 0
        return self.config.max_text_seq_length + clip.tokens + history

    @apply_lora_scale("attention_kwargs")
    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        timestep: Tensor,
        conditions: Conditions | None = None,
        timestep_cond: Tensor | None = None,
        ofs: Tensor | None = None,
        image_rotary_emb: tuple[Tensor, Tensor] | None = None,
        attention_kwargs: dict[str, Any] | None = None,
        return_dict: bool = True,
    ) -> tuple[Tensor] | Transformer2DModelOutput:
        """Velocity of the noisy clip.

        Args:
            hidden_states: x_t (B, F, C, H, W); channels beyond in_channels are the mask (Fun-Control's format).
            encoder_hidden_states: text embeddings (B, L, text_embed_dim), padded to `max_text_seq_length`.
            timestep: (B,) of the noisy clip.
            conditions: see `Conditions`; None for CogVideoX itself.
            image_rotary_emb: cos and sin of the noisy clip's tokens, as passed by CogVideoX pipelines; computed if
                None.
            timestep_cond, ofs, attention_kwargs, return_dict: as in CogVideoXTransformer3DModel; `ofs` is not used.

        Returns:
            (B, F, out_channels, H, W), as a tuple or an output object.

        Raises:
            ConfigError: shapes that do not match each other or the configuration.
        """
        hidden_states, conditions = check_inputs(self.config, hidden_states, encoder_hidden_states, conditions)
        frames, height, width = hidden_states.shape[1], *hidden_states.shape[3:]
        temb = self._time_embedding(timestep, hidden_states.dtype, timestep_cond)
        segments = [hidden_states, *(x for x in conditions.history if x is not None)]
        grids = [self._grid(x.shape[1], *x.shape[3:]) for x in segments]
        text = self.patch_embed.text_proj(encoder_hidden_states)
        video = self._embed(segments, grids, conditions, text.dtype)
        temb_clean = self._clean_embedding(conditions, hidden_states) if len(segments) > 1 else None
        n_clean = sum(grid.tokens for grid in grids[1:])
        rope = self._rope(grids, image_rotary_emb, hidden_states.device)
        video = self._blocks(video, text, temb, rope, attention_kwargs, temb_clean, n_clean)
        video = self.norm_final(video[:, : grids[0].tokens])
        video = self.proj_out(self.norm_out(video, temb=temb))
        output = unpatch(video, frames, height, width, self.config.patch_size)
        return Transformer2DModelOutput(sample=output) if return_dict else (output,)

    def _blocks(
        self,
        video: Tensor,
        text: Tensor,
        temb: Tensor,
        rope: tuple[Tensor, Tensor] | None,
        attention_kwargs: dict[str, Any] | None,
        temb_clean: Tensor | None,
        n_clean: int,
    ) -> Tensor:
        if self.graphs:
            video, text = self.graphs.prepare_inputs(self.transformer_blocks[0], video, text, n_clean)
        recompute = torch.is_grad_enabled() and self.gradient_checkpointing
        for index, block in enumerate(self.transformer_blocks):
            args = (video, text, temb, rope, attention_kwargs, temb_clean, n_clean)
            if recompute and index % self._recompute_every == 0:
                video, text = self._gradient_checkpointing_func(block, *args)
            else:
                video, text = block(*args)
        return video

    def _time_embedding(self, timestep: Tensor, dtype: torch.dtype, timestep_cond: Tensor | None = None) -> Tensor:
        return self.time_embedding(self.time_proj(timestep).to(dtype=dtype), timestep_cond)

    def _clean_embedding(self, conditions: Conditions, like: Tensor) -> Tensor | None:
        if self.config.clean_modulation == "shared":
            return None
        timestep = conditions.timestep_B
        if timestep is None:
            timestep = torch.zeros(like.shape[0], device=like.device, dtype=torch.long)
        return self._time_embedding(timestep, like.dtype)

    def _embed(
        self, segments: list[Tensor], grids: list[TokenGrid], conditions: Conditions, dtype: torch.dtype
    ) -> Tensor:
        """Patches of every segment with mask, sincos positions and segment offsets added, concatenated."""
        tokens = [patches(self.patch_embed.proj, segment) for segment in segments]
        if not self.config.use_rotary_positional_embeddings:
            positions = self._sincos(tuple(grids), segments[0].device, dtype)
            tokens = [token + position for token, position in zip(tokens, positions, strict=True)]
        tokens = [add_mask_latents(tokens[0], conditions, self.mask_proj), *tokens[1:]]
        if self.segment_embed is not None:
            tokens = [tokens[0], *add_segment_offsets(tokens[1:], conditions, self.segment_embed)]
        return self.embedding_dropout(torch.cat(tokens, dim=1) if len(tokens) > 1 else tokens[0])

    def _grid(self, frames: int, height: int, width: int) -> TokenGrid:
        return TokenGrid(frames, height // self.config.patch_size, width // self.config.patch_size)

    def _sincos(self, grids: tuple[TokenGrid, ...], device: torch.device, dtype: torch.dtype) -> list[Tensor]:
        """Embeddings (L, D) of each segment; cached, because they depend only on shapes."""
        key = ("sincos", grids, device, dtype)
        if key not in self._positions:
            dim = self.config.num_attention_heads * self.config.attention_head_dim
            rules = PositionRules.of(self.config)
            with torch.inference_mode(False):  # cached tensors must work for training, too
                self._positions[key] = [
                    sincos_embedding(sincos_axes(grid, grids[0], rules, n > 0, device), dim).to(dtype)
                    for n, grid in enumerate(grids)
                ]
        return self._positions[key]

    def _rope(
        self, grids: list[TokenGrid], given: tuple[Tensor, Tensor] | None, device: torch.device
    ) -> tuple[Tensor, Tensor] | None:
        """cos and sin (L, head dim) of all video tokens; `given` replaces the noisy clip's own."""
        if not self.config.use_rotary_positional_embeddings:
            return given
        if given is not None and len(grids) == 1:
            return given
        key = ("rope", tuple(grids), device)
        if key not in self._positions:
            rules, head_dim = PositionRules.of(self.config), self.config.attention_head_dim
            with torch.inference_mode(False):
                tables = [
                    rope_tables(rope_axes(grid, grids[0], rules, n > 0, device), head_dim)
                    for n, grid in enumerate(grids)
                ]
                self._positions[key] = (torch.cat([cos for cos, _ in tables]), torch.cat([sin for _, sin in tables]))
        cos, sin = self._positions[key]
        if given is None:
            return cos, sin
        n = grids[0].tokens
        return torch.cat([given[0].to(cos), cos[n:]]), torch.cat([given[1].to(sin), sin[n:]])


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"transformer: {name} is {value!r}; use one of: {', '.join(allowed)}")

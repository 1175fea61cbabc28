"""Architecture of GroundingDINO: the two public sizes, the mini one, and their frame resizing."""

from typing import Self

from pydantic import Field

from mvideo_core.base.options import Options


class BertArch(Options):
    """Sizes of the text encoder; names follow `transformers.BertConfig`."""

    vocab_size: int = Field(default=30522, ge=8, description="word pieces")
    hidden_size: int = Field(default=768, ge=8, description="channels")
    num_hidden_layers: int = Field(default=12, ge=1, description="layers")
    num_attention_heads: int = Field(default=12, ge=1, description="heads")
    intermediate_size: int = Field(default=3072, ge=8, description="channels of the feed-forward layer")
    max_position_embeddings: int = Field(default=512, ge=8, description="positions; they restart at each phrase")


class GroundingDinoArch(Options):
    """Sizes of the detector; names follow groundingdino-py's config files, defaults are its Swin-T."""

    embed_dim: int = Field(default=96, ge=8, description="channels of the Swin backbone's first stage")
    depths: list[int] = Field(default=[2, 2, 6, 2], description="Swin blocks per stage")
    num_heads: list[int] = Field(default=[3, 6, 12, 24], description="Swin attention heads per stage")
    window_size: int = Field(default=7, ge=2, description="Swin window, in patches of 4 pixels (first stage)")
    drop_path_rate: float = Field(default=0.2, ge=0, lt=1, description="stochastic depth of the backbone in training")
    hidden_dim: int = Field(default=256, ge=32, multiple_of=32, description="channels of encoder and decoder")
    dim_feedforward: int = Field(default=2048, ge=16, description="channels of their feed-forward layers")
    nheads: int = Field(default=8, ge=2, description="attention heads; text and fusion layers use half")
    enc_layers: int = Field(default=6, ge=1, description="feature enhancer layers")
    dec_layers: int = Field(default=6, ge=1, description="decoder layers")
    num_queries: int = Field(default=900, ge=1, description="boxes proposed per frame")
    num_feature_levels: int = Field(
        default=4, ge=3, le=5, description="feature maps; 3 from the backbone, the rest from strided convolutions"
    )
    enc_n_points: int = Field(default=4, ge=1, description="sampling points per level and head, encoder")
    dec_n_points: int = Field(default=4, ge=1, description="sampling points per level and head, decoder")
    embed_init_tgt: bool = Field(
        default=True, description="decoder queries start from learned vectors (True) or from the chosen tokens (False)"
    )
    use_text_enhancer: bool = Field(default=True, description="self-attention over the text in the encoder")
    use_fusion_layer: bool = Field(default=True, description="attention between text and image in the encoder")
    fusion_droppath: float = Field(default=0.1, ge=0, lt=1, description="stochastic depth of the fusion, training only")
    max_text_len: int = Field(default=256, ge=8, le=256, description="maximum caption length, tokens")
    bert: BertArch = Field(default=BertArch(), description="text encoder")
    short_side_px: int = Field(default=800, ge=32, description="frames are resized to this short side")
    long_side_px: int = Field(
        default=1333, ge=32, description="maximum long side; takes precedence over the short side"
    )

    @classmethod
    def swin_t(cls) -> Self:
        """GroundingDINO-T (config/GroundingDINO_SwinT_OGC.py)."""
        return cls()

    @classmethod
    def swin_b(cls) -> Self:
        """GroundingDINO-B (config/GroundingDINO_SwinB_cfg.py)."""
        return cls(embed_dim=128, depths=[2, 2, 18, 2], num_heads=[4, 8, 16, 32], window_size=12)

    @classmethod
    def tiny(cls, vocab_size: int = 64) -> Self:
        """Two layers, few channels, for tests with random weights; 256 wide so that transformers' version matches."""
        bert = BertArch(vocab_size=vocab_size, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                        intermediate_size=64, max_position_embeddings=64)  # fmt: skip
        return cls(embed_dim=16, depths=[1, 2, 1, 1], num_heads=[1, 2, 2, 4], window_size=4, dim_feedforward=64,
                   nheads=4, enc_layers=2, dec_layers=2, num_queries=20, enc_n_points=2, dec_n_points=2, bert=bert,
                   short_side_px=64, long_side_px=128)  # fmt: skip

    def size_for(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) after resizing a frame: short side, then limit on the long side; keeps the aspect ratio."""
        scale = self.short_side_px / min(height, width)
        if max(height, width) * scale > self.long_side_px:
            scale = self.long_side_px / max(height, width)
        return max(round(height * scale), 1), max(round(width * scale), 1)

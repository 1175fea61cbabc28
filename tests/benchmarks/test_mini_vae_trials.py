"""Sizes that the VAE trials compare, worked out by hand."""

from benchmarks.mini_vae_trials import TRANSFORMERS, TRIALS, Trial
from mvideo_core.cogvideox.sizes import size_of


def test_cells_and_tokens():
    fine = TRIALS["4x, 16 channels, 64x96"]
    assert fine.cells_hw() == (16, 24)
    assert fine.tokens() == 5 * 4 * 6  # 17 frames make five latent frames; 16x16 px to a token
    assert TRIALS["8x, 16 channels, 64x96"].cells_hw() == (8, 12)
    assert TRANSFORMERS["4x, 16 channels, 96x144"].tokens() == 5 * 6 * 9
    assert Trial((64, 96), (8, 16, 32), 8, 2).tokens() == 5 * 8 * 12


def test_the_trials_hold_both_mini_sizes():
    assert TRIALS["8x, 16 channels, 64x96"].vae() == size_of("mini-sincos").vae
    wide = TRIALS["4x, 10 channels, 64x96, wide"]
    assert wide.vae() == size_of("mini-fine").vae
    assert wide.heads == size_of("mini-fine").transformer["num_attention_heads"]

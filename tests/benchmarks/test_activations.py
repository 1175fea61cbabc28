"""What a block keeps: measured equals counted, and the copies are what the difference is."""

from benchmarks.activations import SMALL, small_size
from mvideo_core.training.estimate.shape import model_shape
from mvideo_core.training.options import TrainOptions

TINY = SMALL | {"base": {"weights": "random:tiny-rope", "dtype": "bf16"}}


def test_a_block_keeps_what_is_counted_and_six_tensors_of_bf16_tokens_less_than_with_copies() -> None:
    """Autograd's own hooks in real steps against fake tensors, to the kilobyte."""
    found = small_size(TINY)
    before, after = found["kB per block, measured"]
    assert found["kB per block, counted"] == [before, after]
    shape = model_shape(TrainOptions.parse(TINY))
    cells = [shape.latents[name] for name in ("target", "appearance", "motion")]
    tokens = shape.config["max_text_seq_length"] + sum(frames * h * w // 4 for frames, _, h, w in cells)
    width = shape.config["num_attention_heads"] * shape.config["attention_head_dim"]
    assert 1 <= (before - after) / (6 * 2 * SMALL["micro_batch"] * tokens * width / 1000) < 1.1
    assert found["loss"][0] == found["loss"][1]

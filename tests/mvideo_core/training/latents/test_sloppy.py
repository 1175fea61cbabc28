"""What is drawn for the sloppy masks of a window, and that latents without them are what they were."""

import re
from collections import Counter

import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import canonical_json
from mvideo_core.editing.sloppy import box_masks, dilate_masks, keep_keyframes
from mvideo_core.masks import encode
from mvideo_core.store.keys import settings_digest
from mvideo_core.training.latents.options import LatentOptions
from mvideo_core.training.latents.sloppy import (
    KINDS,
    SloppyDraw,
    SloppyOptions,
    apply_sloppy,
    draw_sloppy,
    sloppy_variants,
)

WINDOWS = [f"clip{n}-w00016" for n in range(2000)]


def test_options_of_before_have_the_key_and_the_text_of_before() -> None:
    """Both taken from the version before sloppy masks."""
    assert settings_digest("encode", 1, LatentOptions(), {}) == "178235a24a3b2c754e3e1a367505383a"
    assert canonical_json(LatentOptions()) == (
        '{"base":{"dtype":"bf16","weights":"mini"},"batch_size":1,"format":null,"max_stretch":0.02,"max_windows":0,'
        '"store_logvar":false,"stride_frames":0,"tiling":false}'
    )


def test_what_is_set_is_written_and_read_back() -> None:
    options = LatentOptions(sloppy=SloppyOptions(variants=2), store_coverage=True)
    assert LatentOptions.parse(options.model_dump(mode="json")) == options
    assert options.model_dump()["sloppy"]["variants"] == 2
    seeds = {settings_digest("encode", 1, LatentOptions(sloppy=SloppyOptions(variants=2, seed=n)), {}) for n in (0, 1)}
    assert len(seeds) == 2


def test_a_draw_is_a_function_of_seed_window_and_number() -> None:
    options = SloppyOptions(variants=3)

    def draws(given: SloppyOptions, window: str = "a-w00008", variant: int = 0) -> tuple[SloppyDraw, float]:
        drawn, rng = draw_sloppy(given, window, variant)
        return drawn, float(rng.random())

    assert draws(options) == draws(options) == draws(options.model_copy(update={"variants": 1}))
    others = [
        draws(options, "b-w00008"),
        draws(options, "a-w00016"),
        draws(options, variant=1),
        draws(SloppyOptions(variants=3, seed=1)),
    ]
    assert len({one[1] for one in (draws(options), *others)}) == 5


def test_kinds_are_equally_frequent_and_strengths_uniform_in_their_ranges() -> None:
    """2000 draws of six kinds: 333 each, standard deviation 17."""
    drawn = [draw_sloppy(SloppyOptions(), window, 0)[0] for window in WINDOWS]
    counts = Counter(one.kind for one in drawn)
    assert set(counts) == set(KINDS)
    assert all(abs(count - 333) < 51 for count in counts.values())
    for kind, low, high in (("dilate", 0.01, 0.06), ("box", 0, 0.15), ("jitter", 0.01, 0.05), ("dropped", 0.2, 0.8)):
        found = np.array([one.strength for one in drawn if one.kind == kind])
        assert low <= found.min() < low + 0.03 * (high - low)
        assert high - 0.03 * (high - low) < found.max() <= high
        assert found.mean() == pytest.approx((low + high) / 2, abs=0.06 * (high - low))
    steps = Counter(one.strength for one in drawn if one.kind == "keyframes")
    assert set(steps) == set(range(4, 17))


def test_strengths_are_shares_of_the_pictures_shorter_side() -> None:
    masks = np.zeros((61, 1, 40, 100), bool)
    masks[:, 0, 10:20, 30:50] = True
    sequence, rng = encode(masks), np.random.default_rng(0)
    assert apply_sloppy(sequence, SloppyDraw("dilate", 0.05), rng) == dilate_masks(sequence, 2)
    assert apply_sloppy(sequence, SloppyDraw("box", 0.1), rng) == box_masks(sequence, 0.1)
    assert apply_sloppy(sequence, SloppyDraw("keyframes", 4), rng) == keep_keyframes(sequence, 4)
    moved = apply_sloppy(sequence, SloppyDraw("jitter", 0.05), rng).pixels()[:, 0].any(axis=0)
    rows, columns = np.nonzero(moved)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (8, 21, 28, 51)  # 2 px to all sides


def test_variants_are_drawn_one_by_one() -> None:
    masks = encode(np.random.default_rng(0).random((9, 2, 20, 30)) < 0.3)
    four = list(sloppy_variants(masks, SloppyOptions(variants=4), "a-w00008"))
    assert four[:2] == list(sloppy_variants(masks, SloppyOptions(variants=2), "a-w00008"))
    shaking = SloppyOptions(variants=4, kinds=("jitter",), jitter_frac=(0.5, 0.5))
    assert len({one.to_bytes() for one in sloppy_variants(masks, shaking, "a-w00008")}) == 4
    assert list(sloppy_variants(masks, SloppyOptions(), "a-w00008")) == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"dilate_frac": [0.2, 0.1]}, "dilate_frac is [0.2, 0.1]; allowed: 0 <= low <= high <= 1"),
        ({"dropped_frac": [0.5, 1.5]}, "dropped_frac is [0.5, 1.5]; allowed: 0 <= low <= high <= 1"),
        ({"keyframe_step": [1, 4]}, "keyframe_step is [1, 4]; allowed: 2 <= low <= high"),
        ({"kinds": ["box", "hull", "box"]}, "kinds names one twice: box, hull, box; give each once"),
        (
            {"variants": 0, "kinds": ["box"], "seed": 1},
            "variants is 0, so kinds, seed would have no effect; give variants 1 or more",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused_in_one_line(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=f"^encode: sloppy: {re.escape(said)}$"):
        LatentOptions.parse({"sloppy": {"variants": 1} | values}, "encode")


def test_an_unknown_kind_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ConfigError, match="'dilate', 'hull', 'box', 'jitter', 'dropped' or 'keyframes'"):
        LatentOptions.parse({"sloppy": {"variants": 1, "kinds": ["blur"]}})

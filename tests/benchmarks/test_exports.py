from benchmarks.exports import MASK_FILES, measure


def test_every_format_is_measured_against_npz():
    measured = measure(n_frames=3, height=48, width=64)
    for kind in ("smooth", "rough", "world"):
        table = measured[kind]
        assert set(table) == {"youtube-vis", ".masks", *MASK_FILES}
        assert all(one["kb"] > 0 for one in table.values())
        assert table["npz"]["of_npz"] == 1
        assert table["sa-v"]["hidden_px"] == 0

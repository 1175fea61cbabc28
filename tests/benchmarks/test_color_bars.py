"""One kind of bars, measured; and the docs list every kind, bar and reader, each within the goal."""

import re
from pathlib import Path

import numpy as np

from benchmarks.color_bars import BARS, KINDS, NAMES, READERS, WITHIN, measure, read_colors

DOCS = Path(__file__).parents[2] / "benchmarks" / "results" / "color_bars.md"


def test_untagged_sd_by_every_reader(tmp_path):
    for name, read in measure(KINDS["bt601, untagged SD"], tmp_path).items():
        assert read.off.max() <= WITHIN, (name, read.off.tolist())


def test_a_wrong_column_is_seen():
    frame = np.repeat(BARS[None, np.arange(720) * 8 // 720], 480, 0).astype(np.uint8)
    assert read_colors(frame).off.tolist() == [0] * 8
    frame[3, 50] = (191, 191, 180)
    assert read_colors(frame).off.tolist() == [11, *[0] * 7]


def test_the_docs_list_every_kind_and_bar():
    rows = [re.split(r" *\| *", line)[1:-1] for line in DOCS.read_text(encoding="utf-8").splitlines() if "|" in line]
    bars = {(row[0], row[1]): row[2:] for row in rows if len(row) == len(READERS) + 4 and row[1] in NAMES}
    assert set(bars) == {(kind, name) for kind in KINDS for name in NAMES}
    for (_, name), (true, *by, worst) in bars.items():
        wanted = BARS[NAMES.index(name)]
        assert true == " ".join(map(str, wanted))
        off = max(abs(np.array(one.split(), int) - wanted).max() for one in by)
        assert off <= int(worst) <= WITHIN

"""Review all captions of a dataset for problems that no single row shows. Each warning questions the run."""

from collections import Counter
from typing import NamedTuple

from mvideo_core.base.records import CaptionRow

LEAST_EQUAL = 4
"""Minimum number of clips with the same text; two clips of one scene may well get the same caption."""
SHOWN_CHARS = 80


class _Written(NamedTuple):
    captioner: str
    model: str


class CaptionReview:
    """Counts rows one by one; texts are stored as hashes, a few bytes per clip.

    Args:
        equal_frac: maximum fraction of the captioned clips with the same text.
        refused_frac: maximum fraction of all clips without a caption, and of all objects without a phrase.
    """

    def __init__(self, equal_frac: float, refused_frac: float) -> None:
        self.equal_frac, self.refused_frac = equal_frac, refused_frac
        self._texts: Counter[int] = Counter()
        self._examples: dict[int, str] = {}
        self._written: Counter[_Written] = Counter()
        self._reasons: Counter[str] = Counter()
        self._phrases: Counter[str] = Counter()
        self.rows = 0

    def add(self, row: CaptionRow) -> None:
        """Count one row of any status."""
        self.rows += 1
        if row.status == "ok":
            text = hash(" ".join(row.text.casefold().split()))
            self._texts[text] += 1
            if self._texts[text] == LEAST_EQUAL:
                self._examples[text] = row.text
            self._written[_Written(row.captioner, row.model)] += 1
            self._phrases.update(one.reason for one in row.phrases)
        else:
            self._reasons[row.reason or row.error or "unknown"] += 1

    def problems(self) -> list[str]:
        """Problems of the captions as a whole, one line each; [] if there are none."""
        found, equal_frac, refused_frac = [], self.equal_frac, self.refused_frac
        n_ok = self._texts.total()
        for text, n in self._texts.most_common(1):
            if n >= LEAST_EQUAL and n > equal_frac * n_ok:
                shown = self._examples[text]
                shown = shown if len(shown) <= SHOWN_CHARS else f"{shown[:SHOWN_CHARS]}..."
                found.append(
                    f"{n} of {n_ok} captions are the same text ({shown!r}; warn_equal_frac {equal_frac:g}): "
                    "check that the model receives the frames, or try another model"
                )
        n_without = self._reasons.total()
        if n_without > refused_frac * self.rows:
            found.append(
                f"{n_without} of {self.rows} clips have no caption ({_list(self._reasons)}; warn_refused_frac "
                f"{refused_frac:g}): "
                "see `answer` and `message` in rows/caption; change the prompt or the model, then rerun"
            )
        n_objects, missing = self._phrases.total(), Counter({why: n for why, n in self._phrases.items() if why})
        if missing.total() > refused_frac * n_objects:
            found.append(
                f"{missing.total()} of {n_objects} objects have no phrase ({_list(missing)}; warn_refused_frac "
                f"{refused_frac:g}): docs/reference/captions.md lists the reasons; try another model or more frames"
            )
        if len(self._written) > 1:
            who = ", ".join(f"{one.model or one.captioner} x{n}" for one, n in self._written.most_common())
            found.append(
                f"captions of {len(self._written)} models are mixed ({who}): "
                "set one in caption.captioner_options.model and rerun the stage"
            )
        return found


def _list(reasons: Counter[str]) -> str:
    """The reasons with their counts, most frequent first."""
    return ", ".join(f"{name} x{n}" for name, n in sorted(reasons.items(), key=lambda one: (-one[1], one[0])))

"""Trust is the predicted IoU of a mask with the true mask.

The trust model's JSON file suggests two limits. Of the masks that a limit keeps, 95% have a true IoU of at least 0.7:

- `bounds.frames` keeps masks whose predicted IoU is at least this high.
- `bounds.masklets` keeps all masks of objects whose mean predicted IoU is at least this high. Use it for
  `segment.gate.min_trust`.

The 95% is an average over clips like those that the model was fitted to. A limit of 1.01 means that no limit reached
95%.

For each object, the `MaskRow` and the field `trust` of a sample's `.json` have the predicted IoU of every frame in
percent (-1 where there is no mask), the mean, the minimum, and the share of masks that reach `bounds.frames`.

The model is a sum of small decision trees, fitted to clips with known masks. It works only with the segmenter and
weights that it was fitted to, because the scores of others have a different meaning. With any others, the run is
refused.
"""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options
from mvideo_core.base.records import Record, TrustStats
from mvideo_core.perception.segmentation.trust_features import FEATURES

FIT = "python -m mvideo_core.miniworld.training.trust"
FILE = "trust.json"
NO_MASK = -1
NO_LIMIT = 1.01
"""A limit that no trust reaches."""


class TrustOptions(Options):
    """How far each mask can be trusted."""

    model: str = Field(
        default="",
        description='model that predicts the IoU of each mask with the true mask: "" = off, "mini" (shipped segmenter '
        "only), or the JSON file of your own fit",
    )
    features: bool = Field(default=False, description="store the features for a fit of your own, one file per clip")

    @property
    def on(self) -> bool:
        """Whether clips are measured."""
        return bool(self.model) or self.features


class Bounds(Record):
    """Limits found on calibration clips.

    Attributes:
        iou: from which a mask is right.
        share: minimum share of the kept masks that are right.
        frames: keep masks with this trust or more. 1.01 = no limit is high enough.
        masklets: keep objects whose mean trust is this or more, with all their masks.
        clips: number of calibration clips.
    """

    iou: float
    share: float
    frames: float
    masklets: float
    clips: int

    @model_validator(mode="after")
    def _check_limits(self) -> Self:
        for name, most in (("iou", 1.0), ("share", 1.0), ("frames", NO_LIMIT), ("masklets", NO_LIMIT)):
            if not 0 <= (value := getattr(self, name)) <= most:
                raise ValueError(f"{name} is {value:g}; expected 0 to {most:g}")
        return self


class TrustModel(Record):
    """A fitted predictor; L trees of depth D.

    Attributes:
        segmenter, weights: for which segmenter and SHA-256 of weight files it was fitted.
        data: what it was fitted and calibrated on, in words.
        features: names of the columns.
        columns: (L, 2^D - 1) feature of each inner node, level by level; a value above `limits` goes right.
        limits: same shape; NaN counts as lower than any.
        values: (L, 2^D) log-odds that the leaves add.
        slope, offset: of the final calibration, logit = slope * sum + offset.
    """

    version: Literal[1] = 1
    segmenter: str
    weights: dict[str, str]
    data: str
    features: list[str]
    columns: list[list[int]]
    limits: list[list[float]]
    values: list[list[float]]
    slope: float = 1.0
    offset: float = 0.0
    bounds: Bounds

    @model_validator(mode="after")
    def _check_trees(self) -> Self:
        counts = len(self.columns), len(self.limits), len(self.values)
        if len(set(counts)) > 1:
            raise ValueError(f"{counts[0]} columns, {counts[1]} limits and {counts[2]} values; expected one per tree")
        for n, (columns, limits, values) in enumerate(zip(self.columns, self.limits, self.values, strict=True)):
            nodes = len(columns)
            if nodes & (nodes + 1) or len(limits) != nodes or len(values) != nodes + 1:
                seen = f"{nodes} columns, {len(limits)} limits and {len(values)} values"
                raise ValueError(f"tree {n} has {seen}; expected 2^D - 1, as many, and one more")
            if wrong := [column for column in columns if not 0 <= column < len(FEATURES)]:
                raise ValueError(f"tree {n} has the feature {wrong[0]}; expected 0 to {len(FEATURES) - 1}")
            if np.isnan(limits).any() or not np.isfinite(values).all():
                raise ValueError(f"tree {n} has values that are not finite")
        if not np.isfinite([self.slope, self.offset]).all():
            raise ValueError(f"slope {self.slope:g}, offset {self.offset:g}; expected finite numbers")
        return self

    def check_features(self) -> None:
        """Raise ConfigError if it was fitted to other features."""
        if self.features != list(FEATURES):
            raise ConfigError(f"trust: fitted to {len(self.features)} features of another version; fit it again: {FIT}")

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Predicted IoU, float64 (...), of features (..., F); NaN where there is no mask.

        Raises:
            ConfigError: the predictor was fitted to other features.
        """
        self.check_features()
        flat = np.asarray(features, np.float32).reshape(-1, len(FEATURES))
        known = ~np.isnan(flat[:, 0])
        total = self.slope * self.sum_of_trees(flat[known]) + self.offset
        out = np.full(len(flat), np.nan)
        out[known] = 1 / (1 + np.exp(-total))
        return out.reshape(features.shape[:-1])

    def sum_of_trees(self, rows: np.ndarray) -> np.ndarray:
        """Log-odds (M,) before the final calibration, of features (M, F)."""
        rows = np.where(np.isnan(rows), -np.inf, rows)
        total, every = np.zeros(len(rows)), np.arange(len(rows))
        for columns, limits, values in zip(self.columns, self.limits, self.values, strict=True):
            node = np.zeros(len(rows), np.int64)
            column, limit = np.asarray(columns), np.asarray(limits, np.float32)
            while node.size and node[0] < len(columns):
                node = 2 * node + 1 + (rows[every, column[node]] > limit[node])
            total += np.asarray(values)[node - len(columns)]
        return total


def find_model(name: str, segmenter: str, weights: Mapping[str, str]) -> TrustModel:
    """The predictor, if it fits the segmenter.

    Args:
        name: "mini", a JSON file, or a folder with one.
        segmenter, weights: registry name of the run's segmenter, and the SHA-256 of its weight files.

    Raises:
        ConfigError: no such predictor, not readable, or fitted for another segmenter.
        ModelError: the shipped file is missing or damaged.
    """
    model = read_model(name)
    if (model.segmenter, model.weights) != (segmenter, dict(weights)):
        seen = _name(segmenter, weights)
        raise ConfigError(
            f"segment.trust.model {name}: fitted for {_name(model.segmenter, model.weights)}, but the run uses {seen}, "
            f'whose scores mean something else; set segment.trust.model to "" or fit your own: {FIT}'
        )
    try:
        model.check_features()
    except ConfigError as error:
        raise ConfigError(f"segment.trust.model {name}: {error}") from None
    return model


def read_model(name: str) -> TrustModel:
    """The predictor; see `find_model`."""
    path = model_path(name)
    return _read(str(path), path.stat().st_mtime_ns)


def model_path(name: str) -> Path:
    """Its file.

    Raises:
        ConfigError: there is none.
    """
    from mvideo_core.weights import entry, find

    own = Path(name).expanduser()
    path = own / FILE if own.is_dir() else own
    if not path.is_file():
        try:
            known = entry(name, kind="trust").name
        except ConfigError:
            raise ConfigError(
                f'segment.trust.model {name}: no such file; use "mini" or the file of your own fit: {FIT}'
            ) from None
        path = find(known, kind="trust") / FILE
    return path


@functools.lru_cache(maxsize=4)
def _read(path: str, _mtime_ns: int) -> TrustModel:
    try:
        model = TrustModel.model_validate(json.loads(Path(path).read_text(encoding="utf-8")))
        if not model.columns:
            raise ValueError("no trees")
        return model
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        what = ": ".join(filter(None, (place, first["msg"].removeprefix("Value error, "))))
        raise ConfigError(f"segment.trust.model {path}: not a fit of trust ({what}); make one: {FIT}") from error
    except (ValueError, RecursionError, OSError) as error:
        what = str(error).splitlines()[0]
        raise ConfigError(f"segment.trust.model {path}: not a fit of trust ({what}); make one: {FIT}") from error


def _name(segmenter: str, weights: Mapping[str, str]) -> str:
    return f"{segmenter} ({', '.join(f'{file} {sha[:8]}' for file, sha in sorted(weights.items())) or 'no weights'})"


def trust_stats(trust_TN: np.ndarray, bounds: Bounds) -> list[TrustStats]:
    """A record per object.

    Args:
        trust_TN: predicted IoU (T, N); NaN where there is no mask.
    """
    return [_stats(n, trust_TN[:, n], bounds) for n in range(trust_TN.shape[1])]


def _stats(n: int, trust_T: np.ndarray, bounds: Bounds) -> TrustStats:
    known = trust_T[~np.isnan(trust_T)]
    percent = np.where(np.isnan(trust_T), NO_MASK, np.floor(100 * np.nan_to_num(trust_T) + 1e-9)).astype(int)
    if not len(known):
        return TrustStats(object_id=n, mean=0.0, least=0.0, sure_frac=0.0, percent=percent.tolist())
    return TrustStats(
        object_id=n, mean=round(float(known.mean()), 4), least=round(float(known.min()), 4),
        sure_frac=round(float((known >= bounds.frames).mean()), 4), percent=percent.tolist(),
    )  # fmt: skip

"""What all records and rows have in common.

A row has one of three statuses: `ok`, `filtered(reason, value, threshold)` (a rule dropped it) or `failed(error,
message, attempts)` (the item is bad). Rows never hold timings or host names: the same input must give the same bytes.
"""

from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict

Status = Literal["ok", "filtered", "failed"]


class Record(BaseModel):
    """What the data is. Frozen, unknown keys forbidden."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Blob(Record):
    """One file of the workspace.

    Attributes:
        path: relative to the workspace root, forward slashes.
        sha256: of the bytes, 64 hex digits.
        size_bytes: length.
    """

    path: str
    sha256: str
    size_bytes: int


class Picture(Record):
    """How the video's samples become pictures; the cut stage and every other decode of the file follow it.

    Attributes:
        stream_index: of the video stream used, counted over all streams; -1 = the first that is not cover art.
        matrix: FFmpeg's name of the YCbCr matrix, "rgb" if there is none; "" = whatever FFmpeg finds.
        range: "tv" (limited) or "pc" (full).
        primaries, transfer: FFmpeg's names.
        gray_bits: depth of limited-range gray samples, which FFmpeg's scaler treats as full range; 0 = anything else.
        tagged: False if the file names no matrix and its size decided.
        interlaced: frames hold two fields; they are deinterlaced.
    """

    stream_index: int = -1
    matrix: str = ""
    range: str = ""
    primaries: str = "bt709"
    transfer: str = "bt709"
    gray_bits: int = 0
    tagged: bool = True
    interlaced: bool = False

    @property
    def hdr(self) -> bool:
        """Whether brightness is coded as PQ or HLG, which must be tone-mapped."""
        return self.transfer in ("smpte2084", "arib-std-b67")

    @property
    def wide(self) -> bool:
        """Whether its colors go beyond bt709 (HDR, bt2020, P3): they are then converted in linear light."""
        return self.hdr or self.primaries in ("bt2020", "smpte431", "smpte432")


class Row(Record):
    """Common fields of every row.

    Attributes:
        key: unique within the stage; letters, digits, "_" and "-" only (WebDataset splits names at the first dot).
        parent: key of the item it came from; "" at the first stage.
        reason, value, threshold: set when filtered; `reason` is a fixed word such as "shot_too_short".
        error, message, attempts: set when failed; `error` is the class name.
    """

    volatile: ClassVar[tuple[str, ...]] = ()
    """Fields that do not matter to later stages, such as where something is stored; they stay out of digests."""
    optional: ClassVar[tuple[str, ...]] = ()
    """Fields that digests and tables leave out at their default, so that rows keep their earlier bytes and keys."""

    key: str
    parent: str = ""
    status: Status = "ok"
    reason: str | None = None
    value: float | None = None
    threshold: float | None = None
    error: str | None = None
    message: str | None = None
    attempts: int = 0
    content_key: str = ""
    """Content key of the item that gave this row, set by the runner; lets later runs reuse the row."""

    def list_absent(self) -> set[str]:
        """Optional fields that have their default."""
        return {name for name in self.optional if getattr(self, name) == type(self).model_fields[name].default}

    @classmethod
    def filter_row(cls, key: str, parent: str, reason: str, value: float, threshold: float, **known: Any) -> Self:
        """A row that a rule dropped, with the value seen and the limit it violated."""
        return cls(key=key, parent=parent, status="filtered", reason=reason, value=value, threshold=threshold, **known)

    @classmethod
    def failure_row(cls, key: str, parent: str, error: str, message: str, attempts: int, **known: Any) -> Self:
        """A row whose item is bad; `error` is the exception's class name."""
        return cls(key=key, parent=parent, status="failed", error=error, message=message, attempts=attempts, **known)

"""A reviewer's decisions about clips and their objects are in a file of JSON lines, which the next run applies:

    {"clip": "9f2c...", "action": "reject", "name": "video_000003250", "who": "Ann"}
    {"clip": "51e0...", "action": "box", "object": 0, "masks": "0c9d2a...", "frame": 12, "box_xyxy": [40, 8, 96, 60]}

A decision identifies its clip by the SHA-256 of the clip's file, and an object by its number in the masks that the
reviewer saw (`masks`). A decision whose clip or masks no longer exist is ignored: the run ends with exit code 3 and a
warning with the line number. An invalid line stops the run.

You can edit the file by hand. Empty lines and lines that begin with "#" are ignored, and the review page preserves
them. To keep the decisions in another file, name it once with `mvideo review --decisions FILE`; later runs read that
file.
"""

import functools
import json
import math
from collections.abc import Iterable, Sequence, Set
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from mvideo_core.base.disk import write_whole
from mvideo_core.base.errors import ConfigError
from mvideo_core.base.listing import text_lines
from mvideo_core.base.options import Options, digest
from mvideo_core.base.records import DetectionRow
from mvideo_core.store.keys import row_digest
from mvideo_core.store.workspace import Workspace

DECISIONS = "review/decisions.jsonl"
"""In the workspace, unless `mvideo review --decisions` chose another place."""
POINTER = "review"
_REMEDY = "delete it, then name the file of the decisions again with `mvideo review --decisions`"
NOT_CONTENT = {"name", "who", "when"}
Action = Literal["accept", "reject", "relabel", "box", "point"]
NEEDS: dict[str, tuple[str, ...]] = {
    "accept": (),
    "reject": (),
    "relabel": ("object", "label"),
    "box": ("object", "frame", "box_xyxy"),
    "point": ("object", "frame", "point_xy"),
}
"""Fields that an action must have. Those that only other actions have are refused, but `label` names a new object."""


class Decision(Options):
    """One line of the file."""

    clip: str = Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of the clip's file")
    action: Action = Field(description="what to do with the clip, or with the object")
    object: int | None = Field(default=None, ge=0, description="number of the object; a new one gets the next number")
    masks: str = Field(default="", pattern="^([0-9a-f]{16})?$", description="which masks the object's number refers to")
    label: str = Field(default="", max_length=100, description="class name of the object")
    frame: int | None = Field(default=None, ge=0, description="frame of the clip")
    box_xyxy: tuple[float, float, float, float] | None = Field(default=None, description="pixels of the clip")
    point_xy: tuple[float, float] | None = Field(default=None, description="pixels of the clip")
    name: str = Field(default="", max_length=200, description="the clip's name, for readers of the file only")
    who: str = Field(default="", max_length=200, description="who decided")
    when: str = Field(default="", max_length=40, description="time of the decision")

    @model_validator(mode="after")
    def _check_fields(self) -> Self:
        given = {name for name in ("object", "label", "frame", "box_xyxy", "point_xy") if getattr(self, name) not in
                 (None, "")}  # fmt: skip
        needed = set(NEEDS[self.action])
        if missing := sorted(needed - given):
            raise ValueError(f"{self.action} needs {', '.join(missing)}")
        extra = given - needed - {"object"} - ({"label"} if self.prompts else set())
        if extra:
            raise ValueError(f"{self.action} has no {', '.join(sorted(extra))}; delete it")
        if self.object is not None and not self.masks:
            raise ValueError(f"object {self.object} needs masks, the 16 digits that the review page writes")
        if self.box_xyxy and not (self.box_xyxy[0] < self.box_xyxy[2] and self.box_xyxy[1] < self.box_xyxy[3]):
            raise ValueError(f"box_xyxy {list(self.box_xyxy)} must have x0 < x1 and y0 < y1")
        return self

    @property
    def prompts(self) -> bool:
        """Whether it shows the segmenter where an object is."""
        return self.action in ("box", "point")

    @property
    def slot(self) -> tuple[str, int | None, str]:
        """What it decides; a later decision about the same replaces it."""
        kind = f"frame {self.frame}" if self.prompts else "label" if self.action == "relabel" else "verdict"
        return self.clip, self.object, kind

    def content(self) -> dict[str, Any]:
        """What goes into keys: everything but who decided and when."""
        return self.model_dump(mode="json", exclude=NOT_CONTENT, exclude_defaults=True)

    def line(self) -> str:
        """The decision as it is written."""
        return json.dumps(self.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False)


class LocatedDecision(NamedTuple):
    """A decision and where it was read: "review/decisions.jsonl line 3"."""

    decision: Decision
    where: str


class DecisionFile:
    """The decisions of one workspace.

    Args:
        workspace: read and written only at this one place.
    """

    def __init__(self, workspace: Workspace):
        self.workspace = workspace
        self.chosen = str((workspace.pointer(POINTER, _REMEDY) or {}).get("path", ""))
        self.path = self.chosen or workspace.folder.at(DECISIONS)

    def choose(self, path: Path) -> None:
        """Keep the decisions in another file from now on; runs on other machines need it at the same path.

        Raises:
            ConfigError: its folder does not exist, or it holds something else.
        """
        self.chosen = self.path = str(path.expanduser().absolute())
        if path.expanduser().parent.is_dir() and not Path(self.chosen).exists():
            write_whole(Path(self.chosen), "")
        self.read()
        self.workspace.set_pointer(POINTER, self.chosen)

    def read(self) -> tuple[LocatedDecision, ...]:
        """All decisions in the order of the file; () if there is no file.

        Raises:
            ConfigError: a line that is not a decision, or two lines that decide the same; the message has its number.
        """
        return parse_decisions(self._text(), self.path)

    def put(self, decision: Decision) -> None:
        """Write one decision, in place of an earlier one about the same. Other lines stay as they are."""
        lines = [line for line, placed in self._lines() if placed is None or placed.slot != decision.slot]
        self._write([*lines, decision.line()])

    def take_back(self, clip: str) -> bool:
        """Remove the last decision about a clip; False if there is none."""
        lines = self._lines()
        about = [n for n, (_, placed) in enumerate(lines) if placed is not None and placed.clip == clip]
        if about:
            self._write([line for n, (line, _) in enumerate(lines) if n != about[-1]])
        return bool(about)

    def drop(self, clips: Set[str]) -> int:
        """Remove all decisions about some clips, given by the SHA-256 of their files; returns how many there were."""
        lines = self._lines()
        kept = [line for line, placed in lines if placed is None or placed.clip not in clips]
        if len(kept) < len(lines):
            self._write(kept)
        return len(lines) - len(kept)

    def _lines(self) -> list[tuple[str, Decision | None]]:
        text = self._text()
        parse_decisions(text, self.path)
        return [(line, _parse(line, self.path) if _says(line) else None) for line in text_lines(text)]

    def _text(self) -> str:
        if not self.chosen:
            content = self.workspace.folder.read_or_none(DECISIONS) or b""
        else:
            try:
                content = Path(self.chosen).read_bytes()
            except FileNotFoundError:
                gone = "file" if Path(self.chosen).parent.is_dir() else "folder"
                raise ConfigError(
                    f"{self.chosen}: the {gone} of the review's decisions is missing; restore it, or name another file "
                    "with `mvideo review --decisions`"
                ) from None
            except OSError as error:
                raise ConfigError(f"{self.chosen}: the review's decisions cannot be read: {error}") from None
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ConfigError(f"{self.path}: not UTF-8 at byte {error.start}; save the file as UTF-8") from None

    def _write(self, lines: Sequence[str]) -> None:
        content = "".join(f"{line}\n" for line in lines)
        if self.chosen:
            write_whole(Path(self.chosen), content)
        else:
            self.workspace.folder.write(DECISIONS, content.encode())


@functools.lru_cache(maxsize=4)
def parse_decisions(text: str, path: str) -> tuple[LocatedDecision, ...]:
    """The decisions of a file's text; see `DecisionFile.read`."""
    found: list[LocatedDecision] = []
    seen: dict[tuple[str, int | None, str], str] = {}
    for number, line in enumerate(text_lines(text), 1):
        if not _says(line):
            continue
        where = f"{path} line {number}"
        decision = _parse(line, where)
        if decision.slot in seen:
            raise ConfigError(f"{where}: decides the same as {seen[decision.slot]}; delete one of the two")
        seen[decision.slot] = f"line {number}"
        found.append(LocatedDecision(decision, where))
    return tuple(found)


def _says(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _parse(line: str, where: str) -> Decision:
    try:
        value = json.loads(line, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: not a JSON object ({error}); correct or delete the line") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: {str(line)[:60]!r} is not a JSON object; correct or delete the line")
    try:
        return Decision.parse(value, where)
    except ConfigError as error:  # several lines, for a profile; a list of decisions names one line in one line
        raise ConfigError(" ".join(str(error).split())) from None


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key!r} twice")
        found[key] = value
    return found


def masks_id(boxes: DetectionRow, model: str, weights_sha256: str) -> str:
    """16 hex digits for what the numbers of a clip's objects depend on: its boxes and the segmenter, not the gate."""
    return digest({"boxes": row_digest(boxes), "model": model, "weights": weights_sha256})[:16]


def check_place(placed: LocatedDecision, n_frames: int, width: int, height: int) -> None:
    """Refuse a box or point outside the clip.

    Raises:
        ConfigError: names the file and the line.
    """
    decision, where = placed
    if decision.frame is not None and decision.frame >= n_frames:
        raise ConfigError(f"{where}: frame {decision.frame}, but the clip has frames 0 to {n_frames - 1}")
    x0, y0, x1, y1 = decision.box_xyxy or (*(decision.point_xy or (0, 0)), math.inf, math.inf)
    if x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0 or (decision.point_xy and min(x0, y0) < 0):
        shown = list(decision.box_xyxy or decision.point_xy or ())
        raise ConfigError(f"{where}: {decision.action} {shown} is outside of the clip of {width}x{height} pixels")

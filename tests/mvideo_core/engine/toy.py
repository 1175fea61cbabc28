"""Two real stages on toy work: `letters` writes one file per source, `doubles` reads it. Their names start with toy."""

from pathlib import Path

from pydantic import Field

from mvideo_core.base.errors import KilledError, MediaError
from mvideo_core.base.options import Options
from mvideo_core.base.records import Blob, Row, SourceRow
from mvideo_core.engine import STAGES
from mvideo_core.engine.stage import Item, Stage, StageContext, Worker


class LetterOptions(Options):
    suffix: str = Field(default="!", description="Appended to the key.")
    bad: tuple[str, ...] = Field(default=(), description="Keys that count as damaged media.")
    short: tuple[str, ...] = Field(default=(), description="Keys that a rule filters.")


class LetterRow(Row):
    letter: Blob | None = None


class DoubleOptions(Options):
    times: int = Field(default=2, description="Repeats.")


class DoubleRow(Row):
    text: str = ""


class LetterWorker(Worker):
    worked: list[str] = []  # over all instances, for tests that count
    die_at: str | None = None
    kills_left: dict[str, int] = {}  # by key: how often a child is killed from outside over it

    def __init__(self, options: LetterOptions, context: StageContext):
        self.options, self.context = options, context

    def work(self, items: list[Item]) -> list[list[Row]]:
        return [[self._one(item)] for item in items]

    def _one(self, item: Item) -> Row:
        LetterWorker.worked.append(item.key)
        if item.key == LetterWorker.die_at:
            raise KeyboardInterrupt
        if LetterWorker.kills_left.get(item.key, 0) > 0:
            LetterWorker.kills_left[item.key] -= 1
            raise KilledError(f"{item.key}: killed by signal 9")
        if item.key in self.options.bad:
            raise MediaError(f"{item.key} is damaged")
        if item.key in self.options.short:
            return LetterRow.filter_row(key=item.key, parent=item.key, reason="short", value=1.0, threshold=2.0)
        content = f"{item.key}{self.options.suffix}".encode()
        blob = self.context.commit_bytes(content, f"{item.key}.txt", item.content_key)
        return LetterRow(key=item.key, parent=item.key, letter=blob)


class DoubleWorker(Worker):
    batch_size = 3
    worked: list[str] = []

    def __init__(self, options: DoubleOptions, context: StageContext):
        self.options, self.context = options, context

    def work(self, items: list[Item]) -> list[list[Row]]:
        DoubleWorker.worked += [item.key for item in items]
        rows = []
        for item in items:
            letter = item.rows["toy-letters"]
            text = Path(self.context.local(letter.letter)).read_text() * self.options.times
            rows.append([DoubleRow(key=item.key, parent=item.key, text=text)])
        return rows


LETTERS = Stage("toy-letters", 1, ("source",), LetterOptions, LetterRow, "cpu", LetterWorker)
DOUBLES = Stage("toy-doubles", 1, ("toy-letters",), DoubleOptions, DoubleRow, "gpu", DoubleWorker)
STAGES.register("toy-letters")(LETTERS)
STAGES.register("toy-doubles")(DOUBLES)


def sources(*keys: str) -> list[SourceRow]:
    return [SourceRow(key=key, uri=f"file:///{key}", fingerprint="1:1") for key in keys]


def forget() -> None:
    LetterWorker.worked, LetterWorker.die_at, DoubleWorker.worked = [], None, []
    LetterWorker.kills_left = {}

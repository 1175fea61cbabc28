"""Rows <-> Parquet bytes, with real columns derived from the row class. Same rows, same bytes."""

import io
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from mvideo_core.base.errors import StoreError
from mvideo_core.base.parquet import read_table
from mvideo_core.base.records import Row

if TYPE_CHECKING:  # imported only where rows are read or written: `mvideo status` reads just markers
    import pyarrow as pa

R = TypeVar("R", bound=Row)
SIMPLE = {str: "string", int: "int64", float: "float64", bool: "bool_"}
"""Names of pyarrow's types for the plain ones."""


@lru_cache(maxsize=64)
def schema_of(row_class: type[BaseModel]) -> "pa.Schema":
    """Arrow schema of a record class: one column per field, nested records as structs."""
    import pyarrow as pa

    return pa.schema([pa.field(name, _arrow(field.annotation)) for name, field in row_class.model_fields.items()])


def to_parquet(rows: Sequence[Row], row_class: type[Row]) -> bytes:
    """Rows sorted by key as one Parquet file (zstd), without optional fields that no row sets."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    ordered = sorted(rows, key=lambda row: row.key)
    table = pa.Table.from_pylist([row.model_dump() for row in ordered], schema=schema_of(row_class))
    table = table.drop_columns([name for name in row_class.optional if all(name in row.list_absent() for row in rows)])
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", row_group_size=4096)
    return sink.getvalue()


def find_misfit(rows: Sequence[Row], row_class: type[Row]) -> str:
    """Why a table cannot hold these rows (half a surrogate pair, a number too large); "" if it can."""
    if all(type(row) is row_class and _fits(row_class)(row) for row in rows):
        return ""
    import pyarrow as pa

    try:
        pa.Table.from_pylist([row.model_dump() for row in rows], schema=schema_of(row_class))
    except (ValueError, OverflowError, TypeError) as error:  # UnicodeEncodeError and pa.ArrowInvalid are ValueErrors
        return f"{type(error).__name__}: {error}"
    return ""


@lru_cache(maxsize=256)
def _fits(annotation: Any) -> Callable[[Any], bool]:
    """A quick check that a column of this type certainly holds a value; False = ask Arrow, which takes 100 times as
    long for a single row.
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is int:
        return lambda value: type(value) is int and -(2**63) <= value < 2**63
    if annotation is str or origin is typing.Literal:
        return lambda value: type(value) is str and (value.isascii() or _is_utf8(value))
    if annotation in (float, bool):
        return lambda value: type(value) is annotation
    if origin in (list, tuple):
        one = _fits(arguments[0])
        return lambda value: isinstance(value, list | tuple) and all(map(one, value))
    if origin in (typing.Union, types.UnionType):
        some = _fits(next(a for a in arguments if a is not type(None)))
        return lambda value: value is None or some(value)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        columns: dict[str, Any] = {name: field.annotation for name, field in annotation.model_fields.items()}
        fields = [(name, _fits(column)) for name, column in columns.items()]
        return lambda value: type(value) is annotation and all(fits(getattr(value, name)) for name, fits in fields)
    return lambda value: False


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return False
    return True


def from_parquet(content: bytes, row_class: type[R], where: str = "a table") -> list[R]:
    """Rows of a Parquet file; `where` names it in the error.

    Raises:
        StoreError: not Parquet, or columns that the row class does not have.
    """
    import pyarrow as pa

    try:
        table = read_table(content)
        return [row_class.model_validate(values) for values in table.to_pylist()]
    except (pa.ArrowInvalid, ValueError) as error:
        raise StoreError(
            f"{where}: its rows of {row_class.__name__} cannot be read ({' '.join(str(error).split())}); "
            "`mvideo verify` lists such files and how to make them again"
        ) from None


def _arrow(annotation: Any) -> "pa.DataType":
    import pyarrow as pa

    if annotation in SIMPLE:
        return getattr(pa, SIMPLE[annotation])()
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (list, tuple):
        return pa.list_(_arrow(arguments[0]))
    if origin is dict:
        return pa.map_(_arrow(arguments[0]), _arrow(arguments[1]))
    if origin is typing.Literal:
        return pa.string()
    if origin in (typing.Union, types.UnionType):
        return _arrow(next(a for a in arguments if a is not type(None)))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return pa.struct([(name, _arrow(field.annotation)) for name, field in annotation.model_fields.items()])
    raise TypeError(f"no Arrow type for {annotation!r}")


class RowIndex:
    """Rows by class and key, for code that needs several stages' rows of the same keys."""

    def __init__(self) -> None:
        self._by_class: dict[type[Row], dict[str, Any]] = {}

    def add(self, rows: Iterable[Row]) -> None:
        """Add rows of any class."""
        for row in rows:
            self._by_class.setdefault(type(row), {})[row.key] = row

    def of(self, row_class: type[R]) -> dict[str, R]:
        """Rows of a class by key."""
        return self._by_class.get(row_class, {})

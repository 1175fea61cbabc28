"""Types and ranges of values in words, for the tables of the reference."""

import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

PLAIN = {str: "text", int: "integer", float: "number", bool: "true or false", Path: "path", Any: "anything"}
LIMITS = {"ge": ">= ", "gt": "> ", "le": "<= ", "lt": "< ", "multiple_of": "a multiple of "}
SIZES = {"min_length": "at least ", "max_length": "at most "}


def type_text(annotation: Any) -> str:
    """An annotation in words: "list of integer", "integer or null"."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " / ".join(f'"{value}"' if value == "" else str(value) for value in inner)
    if origin in (Union, types.UnionType):
        return " or ".join("null" if one is type(None) else type_text(one) for one in inner)
    if hasattr(annotation, "__metadata__"):
        return ", ".join([type_text(annotation.__origin__), *limits(annotation.__metadata__)])
    if origin in (list, tuple, set, frozenset):
        return _sequence(origin, inner)
    if origin is dict:
        return "mapping" if inner[1] is Any else f"mapping of name to {type_text(inner[1])}"
    if annotation in PLAIN:
        return PLAIN[annotation]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation.__name__
    return str(getattr(annotation, "__name__", annotation))


def limits(metadata: Any) -> list[str]:
    """Bounds of a value in words, from pydantic's metadata."""
    found = []
    for one in metadata:
        for name, words in LIMITS.items():
            if getattr(one, name, None) is not None:
                found.append(f"{words}{getattr(one, name):g}")
        for name, words in SIZES.items():
            if getattr(one, name, None) is not None:
                found.append(f"length {words}{getattr(one, name)}")
        if getattr(one, "pattern", None):
            found.append(f"of the form {getattr(one.pattern, 'pattern', one.pattern)}")
    return found


def _sequence(origin: Any, inner: tuple[Any, ...]) -> str:
    if origin is tuple and inner and inner[-1] is not Ellipsis:
        return f"list of {len(inner)}: {', '.join(type_text(one) for one in inner)}"
    return f"list of {type_text(inner[0])}" if inner else "list"

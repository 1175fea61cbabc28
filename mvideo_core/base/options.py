"""Base class of all options, and the canonical JSON that content keys are computed from."""

import copy
import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, ClassVar, Self, Union, get_args, get_origin

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.listing import visible_files

SHOWN = {"for": "people"}
"""`context` of `model_dump` for a text that people read; stored options keep the former names of renamed fields."""
MAX_SEEN_CHARS = 200
"""What messages show of a value."""


class Options(BaseModel):
    """How to work. Frozen, unknown keys forbidden; every field has a description with unit and effect."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants", allow_inf_nan=False)
    GONE: ClassVar[dict[str, str]] = {}
    """Names from earlier versions, and what to use instead."""
    RENAMED: ClassVar[dict[str, str]] = {}
    """Names from earlier versions that are still read, and the new names."""

    @model_validator(mode="before")
    @classmethod
    def _check_names(cls, values: Any) -> Any:
        for old in cls.RENAMED.keys() & values.keys() if isinstance(values, dict) else ():
            if (new := cls.RENAMED[old]) in values:
                raise ValueError(f"{old} (seen {values[old]!r}) is the former name of {new}, also given; drop {old}")
            values = {new if name == old else name: value for name, value in values.items()}
        for name in cls.GONE.keys() & values.keys() if isinstance(values, dict) else ():
            raise ValueError(f"{name} (seen {values[name]!r}) is no longer an option; {cls.GONE[name]}")
        for name, value in values.items() if isinstance(values, dict) else ():
            if isinstance(value, bool) and (field := cls.model_fields.get(name)) and _takes_number(field.annotation):
                raise ValueError(f"{name} is {str(value).lower()}; expected a number (in YAML, yes and on mean true)")
        return values

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The allowed keys as an enum, so that whoever rejects an unknown key by this schema lists them."""
        found = handler(core)
        own = handler.resolve_ref_schema(found)
        if own.pop("additionalProperties", None) is False:
            own["propertyNames"] = {"enum": sorted(own.get("properties", {}))}
        return found

    @classmethod
    def parse(cls, values: dict[str, Any] | None, where: str = "options") -> Self:
        """Validated options.

        Args:
            values: plain mapping, e.g. from YAML.
            where: where the values came from; starts the message.

        Raises:
            ConfigError: an unknown key or a value out of range; the message lists the allowed keys.
        """
        try:
            return cls.model_validate(values or {})
        except ValidationError as error:
            problems = error.errors()
            misfits = [_describe_misfit(problem) for problem in problems]
            if all(misfits):
                raise ConfigError(f"{where}: {'; '.join(misfits)}") from None
            lines = [f"{where}: {cls.__name__} does not accept these values:"]
            for problem in problems:
                place = ".".join(str(step) for step in problem["loc"]) or "(whole)"
                seen = problem.get("input")
                hidden = isinstance(seen, str | list | dict) and _hides(cls, problem["loc"])
                shown = "(not shown)" if hidden else _shorten(repr(seen))
                lines.append(f"  {place}: {problem['msg']}; seen {shown}")
            place, record = _record_at(cls, problems[0]["loc"][:-1])
            keys = ", ".join(sorted(record.model_fields))
            lines.append(f"  allowed keys{f' of {place}' if place else ''}: {keys}")
            raise ConfigError("\n".join(lines)) from None

    @classmethod
    def of_profile(cls, folder: Path, name: str, overrides: dict[str, Any] | None = None) -> Self:
        """Options of a profile, with overrides on top.

        Args:
            folder: where profiles are.
            name: a file in `folder` without its extension, or the path of a YAML file; "" means the class's defaults.
            overrides: nested mapping such as {"cut": {"min_shot_s": 4}}; wins over the profile.

        Raises:
            ConfigError: no such profile, or a value that is not allowed, in the file or in the overrides.
        """
        if not name:
            return cls.parse(overrides or {}, where="options")
        path = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
        if not path.is_file():
            known = ", ".join(sorted(file.stem for file in visible_files(folder, ".yaml")))
            where = f"{folder.parent.name}/{folder.name}"
            raise ConfigError(f"no profile {name!r} in {where}; give the path of a YAML file or one of: {known}")
        values = read_yaml(path)
        own = cls.parse(values, where=str(path))
        return cls.parse(merge(values, overrides), where=f"values over the profile {name}") if overrides else own

    def at_default(self, *names: str) -> set[str]:
        """The named fields that have their default value: a digest that leaves them out survives their introduction."""
        fields = type(self).model_fields
        return {name for name in names if getattr(self, name) == fields[name].default}


@dataclass(frozen=True)
class Over:
    """Annotation of a parameter: values that override a profile's options of a class, as a mapping.

    `Annotated[dict[str, Any] | None, Over(CutOptions)]` has that class's JSON schema without defaults and required
    fields, so a form shows no value that the profile does not have. Given values are checked field by field and unknown
    keys are rejected.
    """

    record: type[Options]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Checked as the partial class, kept as a mapping; None is kept if allowed."""
        partial = handler.generate_schema(partial_of(self.record))
        kept = core_schema.no_info_after_validator_function(lambda own: own.model_dump(exclude_unset=True), partial)
        return core_schema.nullable_schema(kept) if NoneType in get_args(source) else kept

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The class or null; the allowed keys again outside of that choice, whose own messages list none."""
        return handler(core) | {"propertyNames": {"enum": sorted(self.record.model_fields)}}


@functools.cache
def partial_of(record: type[Options]) -> type[Options]:
    """The class with every field optional and without defaults; nested options likewise."""
    fields: dict[str, Any] = {}
    for name, field in record.model_fields.items():
        own = copy.copy(field)
        own.default, own.default_factory = None, None
        own.json_schema_extra = _without_default
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Options):
            inner = partial_of(inner)
        fields[name] = (inner, own)
    hides = bool(record.model_config.get("hide_input_in_errors"))
    partial = create_model(
        record.__name__,
        __base__=Options,
        __doc__=record.__doc__,
        __cls_kwargs__={"hide_input_in_errors": hides},
        **fields,
    )
    partial.GONE, partial.RENAMED = record.GONE, record.RENAMED
    return partial


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


def _takes_number(annotation: Any) -> bool:
    """Whether a field takes numbers and no bool, which pydantic would take for 0 or 1."""
    kinds = set(get_args(annotation)) if get_origin(annotation) in (Union, UnionType) else {annotation}
    return bool(kinds & {int, float}) and bool not in kinds


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_SEEN_CHARS else f"{text[:MAX_SEEN_CHARS]}... ({len(text)} characters)"


def _record_at(record: type[BaseModel], path: Sequence[int | str]) -> tuple[str, type[BaseModel]]:
    """The record that a path of fields leads to, and the path as text; `record` itself if it leads nowhere."""
    inner = record
    for step in path:
        field = inner.model_fields.get(str(step))
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return "", record
        inner = field.annotation
    return ".".join(str(step) for step in path), inner


def _describe_misfit(problem: Any) -> str:
    """The message of a record's own check of values that do not go together, where no single key is wrong; else ""."""
    if problem["type"] != "value_error" or not isinstance(problem["input"], dict):
        return ""
    place = ".".join(str(step) for step in problem["loc"])
    return f"{place}: {problem['ctx']['error']}" if place else str(problem["ctx"]["error"])


def _hides(record: type[BaseModel], path: Sequence[int | str]) -> bool:
    """Whether a record on the way to a value hides the input (`hide_input_in_errors`): it may hold a secret."""
    for step in path:
        if record.model_config.get("hide_input_in_errors"):
            return True
        field = record.model_fields.get(str(step))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return False
        record = inner
    return bool(record.model_config.get("hide_input_in_errors"))


def merge(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """`base` overridden by `top`, mappings merged key by key.

    A mapping of numbers on top of a list changes those entries, from 0: {"4": {"options": {"align": True}}}.

    Raises:
        ConfigError: an index that the list does not have, or another key.
    """
    result = dict(base)
    for key, value in top.items():
        inner = result.get(key)
        if isinstance(inner, list | tuple) and isinstance(value, dict):
            result[key] = _merge_lists(list(inner), value, key)
        else:
            result[key] = merge(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result


def _merge_lists(base: list[Any], top: dict[str, Any], name: str) -> list[Any]:
    for key, value in top.items():
        index = int(key) if str(key).isascii() and str(key).isdigit() else len(base)
        if index >= len(base):
            entries = f"{len(base)} entries, 0 to {len(base) - 1}" if base else "no entries"
            raise ConfigError(f"{name}.{key}: {name} is a list of {entries}; give an index or the whole list")
        old = base[index]
        base[index] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return base


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, pydantic models as plain mappings, floats as repr."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    return _CANONICAL.encode(value)


def digest(value: Any) -> str:
    """SHA-256 (64 hex digits) of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def parse_yaml(text: str, where: str) -> Any:
    """The value of a YAML text, safely (no object tags).

    Args:
        where: where the text came from; starts the message.

    Raises:
        ConfigError: not YAML, a date that does not exist, or a repeated key, which YAML would silently overwrite.
    """
    try:
        return yaml.load(text, _UniqueKeys)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: not valid YAML: {_yaml_words(error)}") from None


def problems_of(error: Exception) -> str:
    """An error in one line; pydantic's are lists of several lines."""
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, one['loc'])) or '(whole)'}: {one['msg']}" for one in error.errors()[:3])
    return " ".join(str(error).split())


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A YAML mapping from disk, safely (no object tags).

    Raises:
        ConfigError: missing file, not YAML, or not a mapping.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; give the path of a YAML options file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text ({error}); give a YAML options file") from None
    value = parse_yaml(text, str(path))
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected a mapping at the top level, got {type(value).__name__}")
    return value


def _yaml_words(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return " ".join(str(error).split())
    return f"line {mark.line + 1}, column {mark.column + 1}: {getattr(error, 'problem', '')}"


class _UniqueKeys(yaml.SafeLoader):
    """SafeLoader that rejects a repeated key in a mapping."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.value in seen and isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is given twice; keep one", key.start_mark
                )
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _to_plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no canonical JSON")


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=_to_plain)

"""Annotations of flow parameters whose JSON schema lets a server reject wrong values at submission.

They change the schema only. A JSON schema error lists the allowed values only if they come from an "enum"; "anyOf" and
"additionalProperties" list none, so enums are added next to them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema

from mvideo_core.base.listing import visible_files
from mvideo_core.base.options import Options, partial_of

YAML_PATH = r"^$|\.ya?ml$"
"""A profile by path; "" means no profile, for runs that carry all their options."""


@dataclass(frozen=True)
class ProfileName:
    """Annotation of a parameter: a profile, by the name of its file in `folder` or by the path of a YAML file."""

    folder: Path

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """A list of names to choose from, or a path."""
        names = sorted(file.stem for file in visible_files(self.folder, ".yaml"))
        path = {"type": "string", "pattern": YAML_PATH}
        return {
            "anyOf": [{"type": "string", "enum": names, "title": "name"}, {**path, "title": "path of a YAML file"}],
            "if": {"not": path},
            "then": {"enum": names},
        }


@dataclass(frozen=True)
class Values:
    """Annotation of a parameter: values that override options of a class, as a mapping checked at submission.

    A form shows one JSON box, whatever the class holds: its fields are patterns, which forms do not draw.
    """

    record: type[Options]

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Names, types and ranges of the class and of all options nested in it."""
        schema = partial_of(self.record).model_json_schema()
        boxed = _inline_schema(schema, schema.get("$defs", {}))
        return handler(core) | {name: boxed[name] for name in ("propertyNames", "patternProperties")}


def _inline_schema(schema: Any, definitions: dict[str, Any]) -> Any:
    """The schema without references, its fields as patterns."""
    if isinstance(schema, list):
        return [_inline_schema(one, definitions) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inline_schema(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    rest = {
        name: _inline_schema(value, definitions)
        for name, value in schema.items()
        if name not in ("properties", "$defs")
    }
    if "properties" in schema:
        fields = schema["properties"]
        rest["patternProperties"] = {f"^{name}$": _inline_schema(field, definitions) for name, field in fields.items()}
    return rest


def one_of(*names: str, required: bool = True) -> dict[str, Any]:
    """Keywords of a JSON schema: at most one of these text fields is set; the others are empty or absent.

    Args:
        required: one of them must be set.
    """
    return _one_of(names, {"required": [names[0]], **_texts(names[:1], minLength=1)} if required else {})


def _one_of(names: Sequence[str], none: dict[str, Any]) -> dict[str, Any]:
    if not names:
        return none
    return {
        "if": _texts(names[:1], maxLength=0),
        "then": _one_of(names[1:], none),
        "else": _texts(names[1:], maxLength=0),
    }


def _texts(names: Sequence[str], **keywords: int) -> dict[str, Any]:
    return {"properties": {name: dict(keywords) for name in names}}

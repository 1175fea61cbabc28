"""docs/reference/deployments.md: every deployment of prefect.yaml with the parameters of its flow."""

import inspect
import json
import re
from typing import Any

import yaml
from prefect.flows import Flow, load_flow_from_entrypoint
from pydantic import BaseModel

from tests.reference import HEADER, REPOSITORY, cell, code, table
from tests.reference.types import type_text

INTRODUCTION = f"""{HEADER}
# Deployments

What `mvideo server up` registers. `prefect deployment run NAME -p PARAMETER=VALUE` starts a run; values other than
plain text are JSON. A parameter that is left out has the value under "As deployed", otherwise the default. Fields of
option records: [options.md](options.md).
"""


def entries() -> dict[str, dict[str, Any]]:
    """Name -> entry of prefect.yaml."""
    read = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text(encoding="utf-8"))
    return {entry["name"]: entry for entry in read["deployments"]}


def flow_of(entry: dict[str, Any]) -> Flow[Any, Any]:
    """The flow that a deployment runs."""
    return load_flow_from_entrypoint(entry["entrypoint"], use_placeholder_flow=False)


def deployments_page() -> str:
    """The whole page."""
    return INTRODUCTION + "".join(_section(name, entry) for name, entry in entries().items())


def _section(name: str, entry: dict[str, Any]) -> str:
    flow = flow_of(entry)
    described = argument_texts(flow.fn.__doc__ or "")
    rows = [
        (
            code(one.name),
            cell(type_text(one.annotation)),
            "required" if one.default is one.empty else _value(one.default),
            _value(entry["parameters"][one.name]) if one.name in entry["parameters"] else "",
            cell(described.get(one.name, "")),
        )
        for one in inspect.signature(flow.fn, eval_str=True).parameters.values()
    ]
    return (
        f"\n## {name}\n\n{entry['description']} Queue `{entry['work_pool']['work_queue_name']}`.\n\n"
        + table(("Parameter", "Value", "Default", "As deployed", "Meaning"), rows)
    )  # fmt: skip


def argument_texts(docstring: str) -> dict[str, str]:
    """Name -> text of the `Args:` section of a docstring; "a, b: text" counts for both."""
    section = re.search(r"Args:\n(.*?)(?:\n\s*\n|\Z)", inspect.cleandoc(docstring), re.DOTALL)
    found: dict[str, str] = {}
    names: list[str] = []
    for line in inspect.cleandoc(section[1]).splitlines() if section else ():
        if head := re.match(r"(\w+(?:, \w+)*): (.*)", line):
            names = head[1].split(", ")
            found |= dict.fromkeys(names, head[2])
        else:
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found


def _value(value: Any) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, BaseModel):
        return "the record's defaults"
    return code(value if isinstance(value, str) else json.dumps(value))

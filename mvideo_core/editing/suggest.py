"""Shapes from a description: a chat model proposes them; we check and draw them.

The model sees the ten examples of `suggestions.yaml`. An answer that cannot be drawn is sent back once, with the
reason.
"""

import asyncio
import json
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from mvideo_core.base.disk import write_whole
from mvideo_core.base.errors import ConfigError, ModelError
from mvideo_core.base.options import parse_yaml
from mvideo_core.editing.draw import KINDS, CanvasOptions, ShapeOptions, draw, parse_shapes
from mvideo_core.masks.io.clip import MaskClip
from mvideo_core.perception.captioning.openai_compatible import OpenAICompatibleOptions, open_client

EXAMPLES = Path(__file__).with_name("suggestions.yaml")
TRIES = 2
INSTRUCTIONS = """You turn a description of motion into moving shapes, one per object. Answer with JSON alone:
{{"shapes": [{{KIND: {{OPTION: VALUE, ...}}}}, ...]}}. KIND is one of: {kinds}. Options:
{options}
x goes to the right and y down, both from 0 to 1 within the frame; times are shares such as "50%". Use one shape for
each object that is named, sizes as they would look in a film, and as few keys as the motion needs."""
_FENCE = re.compile(r"^```\w*\n(.*?)\n?```$", re.DOTALL)


class Suggestion(NamedTuple):
    """A model's proposal: the list under `shapes`, as in YAML, and the masks drawn from it."""

    shapes: list[dict[str, Any]]
    clip: MaskClip


@cache
def examples() -> tuple[dict[str, Any], ...]:
    """Prompts with shapes written by hand."""
    return tuple(parse_yaml(EXAMPLES.read_text(encoding="utf-8"), str(EXAMPLES)))


def server_of(values: dict[str, Any]) -> OpenAICompatibleOptions:
    """The captions' chat server, with room for a longer answer and a shorter timeout."""
    return OpenAICompatibleOptions.parse({"max_tokens": 2048, "load_timeout_s": 10.0, **values}, "suggest")


def suggest(words: str, canvas: CanvasOptions, server: OpenAICompatibleOptions) -> Suggestion:
    """Masks for a description in words.

    Args:
        words: motion of one or several objects, such as "a ball bounces twice to the right".
        server: the chat model's server; its prompt and frames are not used.

    Raises:
        ConfigError: an empty description, or the key is rejected.
        ModelError: no server or model, or no answer that can be drawn.
    """
    if not words.strip():
        raise ConfigError("suggest: say what moves and how, such as 'a ball bounces twice to the right'")
    return asyncio.run(_suggest(words, canvas, server))


def save(suggestion: Suggestion, words: str, path: Path) -> None:
    """Write the shapes for `mvideo masks draw --shapes`, to be edited by hand."""
    text = yaml.safe_dump({"shapes": suggestion.shapes}, sort_keys=False, default_flow_style=None, width=120)
    write_whole(path, f"# {' '.join(words.split())}\n{text}")


async def _suggest(words: str, canvas: CanvasOptions, server: OpenAICompatibleOptions) -> Suggestion:
    client = open_client(server)
    messages, problem = _messages(words), ""
    try:
        model = await client.find_model(server.model)
        for _ in range(TRIES):
            answer = await client.complete(_payload(model, messages, server), "suggest")
            if answer.refusal:
                raise ModelError(f"{model} refuses: {answer.refusal}")
            try:
                shapes = _shapes(answer.text)
                return Suggestion(shapes, draw(parse_shapes(shapes), canvas))
            except ConfigError as error:
                problem = str(error)
            again = f"That cannot be drawn: {problem}\nAnswer again with the whole JSON."
            messages += [{"role": "assistant", "content": answer.text}, {"role": "user", "content": again}]
    finally:
        await client.close()
    raise ModelError(f"{model} returned nothing that can be drawn in {TRIES} tries; last problem: {problem}")


def _messages(words: str) -> list[dict[str, str]]:
    options = "\n".join(f"- {name}: {field.description}" for name, field in ShapeOptions.model_fields.items())
    messages = [{"role": "system", "content": INSTRUCTIONS.format(kinds=", ".join(KINDS), options=options)}]
    for example in examples():
        answer = json.dumps({"shapes": example["shapes"]})
        messages += [{"role": "user", "content": example["prompt"]}, {"role": "assistant", "content": answer}]
    return [*messages, {"role": "user", "content": words}]


def _payload(model: str, messages: list[dict[str, str]], server: OpenAICompatibleOptions) -> dict[str, Any]:
    chosen = {"temperature": server.temperature, "seed": server.seed, "max_tokens": server.max_tokens}
    return {
        "model": model, "messages": messages, "response_format": {"type": "json_object"},
        **{name: value for name, value in chosen.items() if value is not None},
        **({"extra_body": server.extra_body} if server.extra_body else {}),
    }  # fmt: skip


def _shapes(text: str) -> list[dict[str, Any]]:
    """The list of an answer; a code fence around the JSON is removed.

    Raises:
        ConfigError: not JSON in this form.
    """
    inner = _FENCE.match(text.strip())
    try:
        found = json.loads(inner[1] if inner else text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"not JSON ({error})") from None
    if not isinstance(found, dict) or not isinstance(found.get("shapes"), list) or not found["shapes"]:
        raise ConfigError('expected a JSON object with a list under "shapes"')
    return list(found["shapes"])

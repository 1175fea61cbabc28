"""Prompt lists from VBench's own file, with a recorded choice.

The paper evaluates text-to-video on "the VBench test set" of 100 prompts and does not say which. None of VBench's lists
for the paper's three dimensions has 100 prompts: overall consistency and imaging quality share a list of 93, and motion
smoothness has another 72. Only the lists human_action and temporal_style have exactly 100. So the choice is an option,
and the result records it.
"""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options
from mvideo_core.base.records import Record

SOURCE = "https://github.com/Vchitect/VBench, file vbench/VBench_full_info.json"


class VBenchOptions(Options):
    """Which prompts."""

    full_info: str = Field(default="", description="path of VBench_full_info.json, which is not included")
    dimensions: list[str] = Field(
        default=["overall_consistency"],
        min_length=1,
        description="use prompts of these dimensions, in file order",
    )
    count: int = Field(default=100, ge=1, description="maximum number of prompts; the paper has 100")
    seed: int = Field(default=0, description="random seed, if the dimensions have more prompts than `count`")
    merge_equal: bool = Field(
        default=False, description="drop prompts that differ only in case; the suite itself keeps them"
    )


class VBenchPrompt(Record):
    """One prompt of the suite; `index` is its position in the file."""

    index: int
    prompt: str
    dimensions: list[str]
    auxiliary_info: dict[str, Any] = {}


class PromptSet(Record):
    """Chosen prompts and how they were chosen.

    Attributes:
        file_sha256: SHA-256 of VBench_full_info.json.
        available: prompts of the dimensions before sampling.
        wanted: `count` of the options.
    """

    options: dict[str, Any]
    file_sha256: str
    available: int
    wanted: int
    prompts: list[VBenchPrompt]


def read_full_info(path: str | Path) -> tuple[list[VBenchPrompt], str]:
    """Read all prompts of the suite's file; also returns the file's SHA-256.

    Raises:
        ConfigError: missing (the message names the source), or in another format.
    """
    if not str(path) or not Path(path).is_file():
        raise ConfigError(f"vbench.full_info={str(path)!r}: no such file; get it from {SOURCE} and set its path")
    content = Path(path).read_bytes()
    try:
        entries = json.loads(content)
        prompts = [
            VBenchPrompt(
                index=index, prompt=entry["prompt_en"], dimensions=entry["dimension"],
                auxiliary_info=entry.get("auxiliary_info") or {},
            )
            for index, entry in enumerate(entries)
        ]  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(f"{path}: expected a list of {{prompt_en, dimension}} ({SOURCE}): {error!r}") from None
    return prompts, hashlib.sha256(content).hexdigest()


def choose_prompts(prompts: Sequence[VBenchPrompt], file_sha256: str, options: VBenchOptions) -> PromptSet:
    """The prompts of the dimensions, all or a seeded sample of `count`, in file order.

    Args:
        prompts, file_sha256: from `read_full_info`.

    Raises:
        ConfigError: unknown dimension; the message lists the known ones.
    """
    sizes = Counter(name for one in prompts for name in one.dimensions)
    unknown = [name for name in options.dimensions if name not in sizes]
    if unknown:
        known = ", ".join(f"{name} {n}" for name, n in sorted(sizes.items()))
        raise ConfigError(f"no prompt has the dimension {unknown[0]!r}; the file has: {known}")
    found = [one for one in prompts if set(one.dimensions) & set(options.dimensions)]
    if options.merge_equal:
        found = list({one.prompt.casefold(): one for one in reversed(found)}.values())[::-1]
    chosen = found
    if len(found) > options.count:
        chosen = sorted(random.Random(options.seed).sample(found, options.count), key=lambda one: one.index)
    return PromptSet(
        options=options.model_dump(mode="json", exclude={"full_info"}), file_sha256=file_sha256, available=len(found),
        wanted=options.count, prompts=chosen,
    )  # fmt: skip

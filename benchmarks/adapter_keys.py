"""Which layers of an adapter other programs find, and how strongly they add them: the table in
docs/results/accuracy.md.

`python -m benchmarks.adapter_keys` writes an adapter for the mini transformer (24 layers, rank 16, alpha 8, random
values), exports it for each program, and searches each file as that program does. Exit code 1: an exported file is not
found completely, or not added exactly once.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from mvideo_core.cogvideox.adapter import LoraOptions, add_lora, list_trainable, save_adapter
from mvideo_core.cogvideox.adapter_export import export_adapter
from mvideo_core.cogvideox.adapter_files import LORA_FILE
from mvideo_core.cogvideox.base import random_base
from tests.mvideo_core.cogvideox.adapter_readers import READERS, Added, Reader, strength

HEAD = "| Reader | file as trained | the same without `transformer.` | `mvideo adapter export` |"


def main() -> int:
    """Print the table."""
    base: Any = random_base("mini-sincos", parts=("transformer",)).transformer
    other = random_base("mini-sincos", parts=("transformer",))
    trained: Any = other.transformer
    add_lora(trained, LoraOptions(rank=16, alpha=8))
    for value in list_trainable(trained).values():
        torch.nn.init.normal_(value, std=0.1, generator=torch.manual_seed(1))
    wanted = {
        name: 8 / 16 * module.lora_B["default"].weight.detach() @ module.lora_A["default"].weight.detach()
        for name, module in trained.named_modules()
        if hasattr(module, "lora_A")
    }
    with tempfile.TemporaryDirectory() as place:
        save_adapter(Path(place) / "adapter", trained, other.format)
        lines = list(table(Path(place), base, wanted))
    print("\n".join([HEAD, "|---|---|---|---|", *lines]))
    return 0 if all(line.endswith(f"{len(wanted)} of {len(wanted)}, once |") for line in lines) else 1


def table(place: Path, base: Any, wanted: Added) -> Iterator[str]:
    """One line per reader."""
    written = load_file(place / "adapter" / LORA_FILE)
    bare = {name.removeprefix("transformer."): value for name, value in written.items()}
    for name, (target, reader) in READERS.items():
        made = export_adapter(place / "adapter", target, place / f"{target}.safetensors", overwrite=True)
        cells = [count_layers(reader, tensors, base, wanted) for tensors in (written, bare, load_file(made.path))]
        yield f"| {name}, `--for {target}` | " + " | ".join(cells) + " |"


def count_layers(reader: Reader, tensors: dict[str, Any], base: Any, wanted: Added) -> str:
    """ "24 of 24, once": layers found, and how many times the trained change is added."""
    try:
        added = reader(tensors, base)
    except AssertionError as error:
        return str(error)
    if not added:
        return f"0 of {len(wanted)}"
    times = f"{strength(added, wanted):.2f}"
    return f"{len(added)} of {len(wanted)}, {'once' if times == '1.00' else f'{times} times'}"


if __name__ == "__main__":
    sys.exit(main())

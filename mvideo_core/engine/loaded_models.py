"""Models of this process: loaded once per set of options, shared by all parts, replaced when the options change."""

import functools
import json
from pathlib import Path
from typing import Any

from mvideo_core.base.devices import default_device
from mvideo_core.base.listing import visible_files
from mvideo_core.base.options import Options, canonical_json
from mvideo_core.base.registry import Registry


def load_plugin(registry: Registry[Any], name: str, options: dict[str, Any]) -> Any:
    """The plugin `name` of a registry, loaded with these options on this process's device.

    Raises:
        ConfigError: unknown name or options. ModelError: weights absent.
    """
    return _load(registry, name, canonical_json(options), default_device())


def plugin_options(registry: Registry[Any], name: str, options: dict[str, Any]) -> Options:
    """Options of a plugin, checked by its own class."""
    chosen = registry.get(name)
    return chosen.Options.parse(options, f"options of {registry.kind} {name}")


def model_in_use(registry: Registry[Any], name: str, options: dict[str, Any]) -> str:
    """A plugin and its weights, or the model requested from a server: "groundingdino, weights mini"."""
    chosen = plugin_options(registry, name, options)
    named = {field: getattr(chosen, field, "") for field in ("weights", "model")}
    return ", ".join([name, *(f"{field} {value}" for field, value in named.items() if value)])


def weights_digests(registry: Registry[Any], name: str, options: dict[str, Any], kind: str) -> dict[str, str]:
    """SHA-256 of every weight file that a plugin's `weights` option names; {} if it has none.

    Raises:
        ModelError: the weights are not on this machine, and the message says which file to put where; or they are of
            another kind (`check_weights` of the plugin, if it has one).
    """
    from mvideo_core.weights import find

    weights = getattr(plugin_options(registry, name, options), "weights", "")
    if not weights:
        return {}
    given = Path(weights).expanduser()
    is_checkpoint = kind == "segmenter" and given.is_file()  # SAM2's .pt; detectors need a folder
    place = given if is_checkpoint else Path(find(weights, kind=kind))
    getattr(registry.get(name), "check_weights", lambda _: None)(place)
    endings = (".safetensors", ".pth", ".pt", ".bin")
    known = [place] if place.is_file() else visible_files(place, *endings, recursive=True)
    return {file.name: _sha256(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in known}


@functools.lru_cache(maxsize=4)
def _load(registry: Registry[Any], name: str, options_json: str, where: str) -> Any:
    return registry.get(name).load(plugin_options(registry, name, json.loads(options_json)), where)


@functools.lru_cache(maxsize=64)
def _sha256(path: str, _size: int, _mtime_ns: int) -> str:
    from mvideo_core.base.digests import file_sha256

    return file_sha256(Path(path))

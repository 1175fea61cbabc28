"""The files of an adapter: what a path refers to, and whether the files are complete and match a base, before loading.

A path is a path: only `hub:owner/name@COMMIT` contacts the Hugging Face hub.
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mvideo_core.base.digests import file_sha256
from mvideo_core.base.errors import ConfigError, ModelError
from mvideo_core.base.listing import visible_files
from mvideo_core.base.options import digest
from mvideo_core.cogvideox.expected import Shapes, compute_shapes
from mvideo_core.cogvideox.weights_digest import CONDITIONING_CONFIG, NEW_PARAMETERS, file_tensors
from mvideo_core.weights.catalog import entries, find
from mvideo_core.weights.fetch import fetch_repository
from mvideo_core.weights.file_checks import content_problem, safetensors_header
from mvideo_core.weights.reading import explain_failures
from mvideo_core.weights.records import Repository, WeightsEntry, WeightsFile
from mvideo_core.weights.tensors import StoredTensor, first_not_finite, list_stored

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)
LORA_FILE = "pytorch_lora_weights.safetensors"
CONDITIONING_FILE = "mvideo_conditioning.safetensors"
CONFIG_FILE = "mvideo_config.json"
ADAPTER_FOLDER = "adapter"
"""Subfolder in a checkpoint, and in a pipeline saved with its adapter."""
ADAPTER_NAME = "default"
"""Name of the adapter within a model."""
BASE_CONFIG = ("num_layers", "num_attention_heads", "attention_head_dim", "use_rotary_positional_embeddings")
PREFIX = "transformer."
HUB = "hub:"
A_ENDING, B_ENDING = ".lora_A.weight", ".lora_B.weight"


class AdapterFiles(NamedTuple):
    """Where an adapter is.

    Attributes:
        lora: the file of the LoRA.
        ours: it has conditioning and a configuration next to it; otherwise it is a plain CogVideoX LoRA.
    """

    lora: Path
    ours: bool

    @property
    def folder(self) -> Path:
        """The folder that holds the files."""
        return self.lora.parent


def find_adapter(given: str | Path, option: str = "adapter") -> AdapterFiles:
    """The adapter that a path refers to.

    Args:
        given: name of an adapter in the catalog (`mvideo-mini`), folder of an adapter, checkpoint folder, run folder
            (its newest checkpoint is used and logged), the .safetensors file of a plain LoRA, or hub:owner/name@COMMIT.
        option: the option with the path; starts the messages.

    Raises:
        ConfigError: no such path. ModelError: there is no adapter in it, or one of its files is missing or has changed.
    """
    if str(given).startswith(HUB):
        return find_adapter(_from_hub(str(given), option), option)
    path = find(str(given), "adapter") if given in catalog_adapters() else Path(given).expanduser()
    if not path.exists():
        raise ConfigError(f"{option}: {given}: no such file or folder; use a training output folder, such as "
                          "RUN/checkpoints/step-.../adapter")  # fmt: skip
    if path.is_file() and path.name != LORA_FILE:
        return AdapterFiles(path, ours=False)
    start = path.parent if path.is_file() else path
    for folder in _candidates(start):
        held = [name for name in (LORA_FILE, CONDITIONING_FILE, CONFIG_FILE) if _there(folder / name)]
        if not held:
            continue
        absent = {LORA_FILE, CONDITIONING_FILE, CONFIG_FILE} - set(held)
        if absent and held != [LORA_FILE]:
            raise ModelError(
                f"{option}: {folder / sorted(absent)[0]} is missing; {' and '.join(held)} are there, and all three "
                "files belong together: copy the folder again"
            )
        if changed := _find_changed_file(folder):
            change = f"{option}: {folder / changed} has changed since its checkpoint was written"
            if folder in (start, start / ADAPTER_FOLDER):
                raise ModelError(f"{change}; use the previous checkpoint, or copy it again")
            log.warning("%s; using the previous checkpoint", change)
            continue
        if folder != start:
            log.info("%s: %s: taking %s", option, given, folder.relative_to(start))
        return AdapterFiles(folder / LORA_FILE, ours=not absent)
    single = visible_files(start, ".safetensors")
    if len(single) == 1:
        return AdapterFiles(single[0], ours=False)
    if (start / "checkpoints").is_dir():
        raise ModelError(f"{option}: {given}: a run folder without a complete checkpoint; train longer, or use another")
    raise ModelError(
        f"{option}: {given}: no {LORA_FILE} here or in adapter/; use RUN/checkpoints/step-.../adapter, or the folder "
        "or file of a CogVideoX LoRA"
    )


def catalog_adapters() -> dict[str, str]:
    """The catalog's adapters, and the base that each was trained with."""
    return {item.name: item.base for item in entries() if item.kind == "adapter"}


def adapter_for(base: str) -> str:
    """The catalog's adapter for a base; "" if there is none.

    Args:
        base: name or alias of a generator; a path or `random:SIZE` has none.
    """
    names = {item.alias: item.name for item in entries() if item.kind == "generator" and item.alias}
    return next((name for name, own in catalog_adapters().items() if own == names.get(base, base)), "")


def _from_hub(given: str, option: str) -> Path:
    """Folder of an adapter `hub:owner/name@COMMIT`, fetched if it is not on this disk yet.

    Raises:
        ConfigError: not in this form; a branch or tag is not allowed, since it may point to a different adapter
            tomorrow.
        ModelError: the hub refuses or cannot be reached, or the repository has no LoRA with this name.
    """
    name, _, commit = given.removeprefix(HUB).partition("@")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise ConfigError(f"{option}: {given}: expected hub:owner/name@COMMIT; for a folder on this disk, drop `hub:`")
    if not re.fullmatch("[0-9a-f]{40}", commit):
        seen = f"{commit!r} may move" if commit else "there is no commit"
        raise ConfigError(
            f"{option}: {given}: {seen}; write hub:{name}@COMMIT with the 40 digits that the hub shows under History"
        )
    repository = Repository(
        name=name, revision=commit, weights=[LORA_FILE.removesuffix(".safetensors")],
        also=[CONDITIONING_FILE, CONFIG_FILE],
    )  # fmt: skip
    folder = f"adapters/{name.replace('/', '--')}@{commit[:12]}"
    files = [WeightsFile(path=LORA_FILE)]
    return fetch_repository(
        WeightsEntry(name=folder, kind="adapter", repository=repository, license="see the hub", files=files)
    )


def check_adapter(files: AdapterFiles, config: Mapping[str, Any], option: str = "adapter") -> None:
    """Reject an adapter that is damaged, incomplete or for another model; nothing is loaded.

    Args:
        config: of the base's transformer.
        option: starts the messages.

    Raises:
        ModelError: a file is bad. ConfigError: trained with a different configuration of the model.
    """
    own = [files.folder / CONDITIONING_FILE, files.folder / CONFIG_FILE] if files.ours else []
    for path in (files.lora, *own):
        if problem := content_problem(path):
            raise ModelError(f"{option}: {path}: {problem}; copy the adapter again")
    with explain_failures(files.lora):
        shapes = compute_shapes("transformer", config)
    record = read_config(files.folder) if files.ours else {}
    if files.ours:
        check_configuration(files.folder / CONFIG_FILE, record, config)
        _check_conditioning(files.folder / CONDITIONING_FILE, shapes, option)
    tensors = list_stored([files.lora])
    if problem := lora_problem(tensors, shapes, *_read_rank_and_targets(files.lora, record)):
        raise ModelError(f"{option}: {files.lora}: {problem}; it is incomplete, or does not belong to this base")
    for path in (files.lora, *own[:1]):
        if bad := first_not_finite(list_stored([path]), deep=True):
            raise ModelError(f"{option}: {path}: {bad} has non-finite values (NaN or infinity); use another")
    check_companions(files, record, option)


def check_configuration(path: Path, record: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Compare the configuration an adapter was trained with and a model's.

    Raises:
        ConfigError: they differ.
    """
    here = {field: _field(config, field) for field in (*CONDITIONING_CONFIG, *BASE_CONFIG)}
    there = record["conditioning"] | record["base"]
    wrong = [
        f"{field}: {there.get(field)!r}, the model has {here[field]!r}"
        for field in here
        if there.get(field) != here[field]
    ]
    if wrong:
        raise ConfigError(f"{path}: trained with a different model: {'; '.join(wrong)}")


def lora_problem(
    tensors: Mapping[str, StoredTensor], shapes: Shapes, rank: int | None, targets: tuple[str, ...] | None
) -> str:
    """What is wrong with the tensors of a LoRA; "" if nothing.

    Args:
        shapes: of the model's tensors.
        rank, targets: from its configuration or metadata; None if they do not say, and then only pairs and sizes are
            compared.
    """
    layers = {name.removesuffix(".weight"): shape for name, shape in shapes.items()
              if name.endswith(".weight") and len(shape) == 2}  # fmt: skip
    ours = {name for name in tensors if _layer(name) in layers}
    if odd := sorted(set(tensors) - ours):
        some = "none" if not ours else f"{len(ours)} of {len(tensors)}"
        return f"{some} of its tensors belong to a layer of the model, {odd[0]} does not"
    if targets is not None:
        chosen = [layer for layer in layers if any(layer == end or layer.endswith(f".{end}") for end in targets)]
    else:
        chosen = sorted({_layer(name) for name in tensors})
    wanted = {f"{PREFIX}{layer}{side}" for layer in chosen for side in (A_ENDING, B_ENDING)}
    if missing := sorted(wanted - ours):
        return f"{len(missing)} of {len(wanted)} tensors are missing, such as {missing[0]}"
    if extra := sorted(ours - wanted):
        return f"{len(extra)} tensors belong to no target layer, such as {extra[0]}"
    for layer in chosen:
        first, second = tensors[f"{PREFIX}{layer}{A_ENDING}"].shape, tensors[f"{PREFIX}{layer}{B_ENDING}"].shape
        own = rank if rank is not None else first[0] if first else 0
        if (first, second) != ((own, layers[layer][1]), (layers[layer][0], own)):
            expected = f"expected {[own, layers[layer][1]]} and {[layers[layer][0], own]} at rank {own}"
            return f"layer {layer} has A and B of shape {list(first)} and {list(second)}; {expected}"
    return "" if chosen else "it has no tensors"


def tensors_digest(path: Path) -> str:
    """SHA-256 (hex) over name, dtype, shape and bytes of a file's tensors; independent of the header's order."""
    return digest(file_tensors(path))


def read_config(folder: str | Path) -> dict[str, Any]:
    """The mapping in `mvideo_config.json`: format, conditioning, base, lora, and files if it has them.

    Raises:
        ModelError: missing, or not such a file.
    """
    path = require_file(Path(folder), CONFIG_FILE)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        needed = {name: dict(record[name]) for name in ("format", "conditioning", "base", "lora")}
        return needed | {"files": dict(record.get("files", {}))}
    except (json.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{path}: not a configuration written by this project ({error}); copy the adapter again"
        ) from None


def adapter_tensors(folder: Path) -> "dict[str, torch.Tensor]":
    """All tensors of an adapter's folder by their parameter names in a model with adapters."""
    from safetensors.torch import load_file

    lora = {parameter_name(name): value for name, value in load_file(folder / LORA_FILE).items()}
    return lora | load_file(folder / CONDITIONING_FILE)


def parameter_name(name: str) -> str:
    """ "transformer.x.lora_A.weight" of diffusers -> "x.lora_A.default.weight" of peft."""
    stem, _, kind = name.removeprefix(PREFIX).rpartition(".lora_")
    return f"{stem}.lora_{kind.replace('.weight', f'.{ADAPTER_NAME}.weight')}" if stem else name


def require_file(folder: Path, file: str) -> Path:
    """Path of one of the files. Raises ModelError: it is missing."""
    path = folder / file
    if not path.is_file():
        raise ModelError(
            f"adapter: {path} is missing; use a training output folder ({LORA_FILE}, {CONDITIONING_FILE}, "
            f"{CONFIG_FILE})"
        )
    return path


def _candidates(start: Path) -> Iterator[Path]:
    """An adapter's folder, a checkpoint's, a run's: the newest complete checkpoint first."""
    yield start
    yield start / ADAPTER_FOLDER
    steps = [path for path in (start / "checkpoints").glob("step-*") if (path / "state.json").is_file()]
    for step in sorted(steps, reverse=True):
        yield step / ADAPTER_FOLDER


def _find_changed_file(folder: Path) -> str:
    """Name of the first file of a checkpoint's adapter whose bytes differ from its state.json; "" if none do.

    An adapter elsewhere has no such record; then `check_adapter` compares its files with each other.
    """
    try:
        known = json.loads((folder.parent / "state.json").read_text(encoding="utf-8"))["sha256"]
        names = [name for name in known if name.startswith(f"{folder.name}/")]
        return next((Path(n).name for n in names if file_sha256(folder.parent / n) != known[n]), "")
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _field(config: Mapping[str, Any], field: str) -> Any:
    """A field of the transformer's configuration, or the class's default."""
    import inspect

    from mvideo_core.cogvideox.transformer import MVideoTransformer3DModel

    defaults = inspect.signature(MVideoTransformer3DModel.__init__).parameters
    value = config[field] if field in config else defaults[field].default
    return _field(config, "in_channels") if field == "mask_channels" and value is None else value


def _layer(name: str) -> str:
    """The layer that a LoRA tensor belongs to; "" for another name."""
    for side in (A_ENDING, B_ENDING):
        if name.startswith(PREFIX) and name.endswith(side):
            return name.removeprefix(PREFIX).removesuffix(side)
    return ""


def _read_rank_and_targets(lora: Path, record: Mapping[str, Any]) -> tuple[int | None, tuple[str, ...] | None]:
    """Rank and targets, from our configuration, else from diffusers' metadata; None if neither has them."""
    if record:
        return int(record["lora"]["rank"]), tuple(record["lora"]["target_modules"])
    noted = lora_settings(lora)
    targets, rank = noted.get(f"{PREFIX}target_modules"), noted.get(f"{PREFIX}r")
    if not isinstance(rank, int) or noted.get(f"{PREFIX}rank_pattern") or noted.get(f"{PREFIX}layers_to_transform"):
        return None, None
    return rank, tuple(targets) if isinstance(targets, list) else None


def lora_settings(lora: Path) -> dict[str, Any]:
    """diffusers' settings in the LoRA file, by `transformer.<field of LoraConfig>`; or {}."""
    from safetensors import safe_open

    with explain_failures(lora), safe_open(lora, "np") as file:
        noted = json.loads((file.metadata() or {}).get("lora_adapter_metadata", "{}"))
    return noted if isinstance(noted, dict) else {}


def _check_conditioning(path: Path, shapes: Shapes, option: str) -> None:
    header = safetensors_header(path)
    seen = {} if isinstance(header, str) else {name: tuple(one["shape"]) for name, one in header.items()}
    wanted = {name: shape for name, shape in shapes.items() if name in NEW_PARAMETERS}
    if seen != wanted:
        raise ModelError(f"{option}: {path}: {seen}; expected {wanted}; it does not belong to this base")


def check_companions(files: AdapterFiles, record: Mapping[str, Any], option: str = "adapter") -> None:
    """Check that the configuration has the digests of the other two files, and that the LoRA's metadata has its alpha.

    Raises:
        ModelError: they differ.
    """
    for name, then in record.get("files", {}).items():
        path = files.folder / name
        if name in (LORA_FILE, CONDITIONING_FILE) and (now := tensors_digest(path)) != then:
            raise ModelError(
                f"{option}: {path}: sha256 of its tensors is {now[:12]}, {CONFIG_FILE} was written with {then[:12]}; "
                "files of two adapters are mixed, or it was changed: copy the folder again"
            )
    if not record:
        return
    noted = lora_settings(files.lora)
    alpha = noted.get(f"{PREFIX}lora_alpha", record["lora"]["alpha"])
    if alpha != record["lora"]["alpha"]:
        raise ModelError(
            f"{option}: {files.lora}: alpha {alpha} in its metadata, {record['lora']['alpha']} in {CONFIG_FILE}; files "
            "of two adapters are mixed: copy the folder again"
        )

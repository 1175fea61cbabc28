"""Checks a CogVideoX pipeline folder before loading: files, configurations, tensors, tokenizer, values.

`load_base` (train, encode, generate) runs it for the parts it needs, `mvideo weights check` and `list` for all of them.
It reads headers and a few values of each tensor, so it takes under a second even for CogVideoX-5b; `deep` reads all.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mvideo_core.base.errors import ConfigError, ModelError
from mvideo_core.cogvideox.expected import Shapes, compute_shapes, n_layers
from mvideo_core.cogvideox.sizes import SIZES
from mvideo_core.cogvideox.weights_digest import NEW_PARAMETERS
from mvideo_core.weights import entries
from mvideo_core.weights.file_checks import content_problem, folder_problems
from mvideo_core.weights.reading import explain_failures
from mvideo_core.weights.records import Needs
from mvideo_core.weights.tensors import StoredTensor, first_not_finite, list_stored, weight_files

PIPELINES = ("CogVideoXPipeline", "MVideoPipeline")
SCHEDULERS = ("CogVideoXDDIMScheduler", "CogVideoXDPMScheduler")
STEMS = {"transformer": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"}
SCHEDULER_CONFIG = "scheduler/scheduler_config.json"
SENTENCE = "a red kite over a meadow"
_NOT_READ = ("patch_embed.pos_embedding", "encoder.embed_tokens.weight")
"""Tensors that a checkpoint may contain although the models compute them or take them from elsewhere."""
_WIDTHS = (
    ("transformer", "text_embed_dim", 4096, "text_encoder", "d_model", 512),
    ("transformer", "in_channels", 16, "vae", "latent_channels", 16),
    ("transformer", "in_channels", 16, "transformer", "out_channels", 16),
)
"""Fields that must be equal: part, field and the class's default, twice."""


class Problem(NamedTuple):
    """What is wrong, and in which file."""

    path: Path
    text: str


def is_cogvideox(folder: Path) -> bool:
    """Whether a folder claims to be a CogVideoX or MVideo text-to-video pipeline."""
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(index, dict) and index.get("_class_name") in PIPELINES


def check_model(folder: Path, parts: Collection[str], name: str = "") -> None:
    """Reject a folder that cannot be loaded, or would be loaded wrong.

    Args:
        parts: those that will be loaded: "vae", "text_encoder" (with tokenizer), "transformer".
        name: what the user called it, for the message.

    Raises:
        ModelError: the first problem, with the remedy.
    """
    problems = model_problems(folder, parts)
    if not problems:
        return
    path, text = problems[0]
    name = name or str(folder)
    more = f"; {len(problems) - 1} more: `mvideo weights check {name}`" if len(problems) > 1 else ""
    remedy = f"copy the folder of {name} again" if "/" in name else f"run `mvideo weights fetch {name}`"
    raise ModelError(f"weights: {path}: {text}; {remedy}, or use other weights{more}")


def model_problems(folder: Path, parts: Collection[str] = tuple(STEMS), deep: bool = False) -> list[Problem]:
    """All problems of a folder, the most basic first; empty if there are none.

    The contents of damaged files cannot be checked, so later checks run only on complete files.

    Args:
        deep: check every value of every tensor for NaN and infinity, not a sample.
    """
    files = _file_problems(folder, parts)
    if files:
        return files
    configs = {part: _config(folder, part) for part in STEMS if (folder / part / "config.json").is_file()}
    problems = [*_compare_parts(folder, configs), *_scheduler_problems(folder)]
    for part in STEMS:
        if part in parts:
            problems += _part_problems(folder, part, configs[part], deep)
    if "text_encoder" in parts:
        problems += _tokenizer_problems(folder / "tokenizer", configs["text_encoder"])
    return problems


def _file_problems(folder: Path, parts: Collection[str]) -> list[Problem]:
    files = ["model_index.json", SCHEDULER_CONFIG, *(f"{part}/config.json" for part in ("transformer", *parts))]
    stems = tuple(f"{part}/{STEMS[part]}" for part in STEMS if part in parts)
    if "text_encoder" in parts:
        files.append("tokenizer/tokenizer_config.json")
        own = folder / "tokenizer" / "tokenizer.json"
        files.append("tokenizer/tokenizer.json" if own.exists() else "tokenizer/spiece.model")
    found = folder_problems(folder, Needs(tuple(dict.fromkeys(files)), stems))
    problems = [Problem(folder / name, text) for name, text in found.items() if text]
    return problems or _index_problems(folder / "model_index.json")


def _index_problems(path: Path) -> list[Problem]:
    index = _json(path)
    kind = index.get("_class_name")
    if kind not in PIPELINES:
        return [Problem(path, f"it is a {kind}; expected a text-to-video {' or '.join(PIPELINES)}")]
    absent = [part for part in (*STEMS, "tokenizer", "scheduler") if not isinstance(index.get(part), list)]
    return [Problem(path, f"it names no {', '.join(absent)}")] if absent else []


def _compare_parts(folder: Path, configs: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    """Fields of one part that do not match those of another."""
    for part, field, default, other, other_field, other_default in _WIDTHS:
        if part not in configs or other not in configs:
            continue
        seen = configs[part].get(field, default)
        wanted = configs[other].get(other_field, other_default)
        if seen != wanted:
            where = f"{other_field} of {other}/config.json"
            yield Problem(folder / part / "config.json", f"{field} is {seen}, {where} is {wanted}{_image(field, seen)}")
    yield from _position_problems(folder / "transformer" / "config.json", configs["transformer"])
    for item in entries():
        expects = item.expects.get("transformer/config.json", {}) if item.name == folder.name else {}
        for field, value in expects.items():
            if (seen := configs["transformer"].get(field)) != value:
                text = f"{field} is {seen}, expected {value}: the folder is called {item.name} but holds another model"
                yield Problem(folder / "transformer" / "config.json", text)


def _image(field: str, seen: Any) -> str:
    return " (more input channels: an image-to-video or control model)" if field == "in_channels" and seen != 16 else ""


def _position_problems(path: Path, config: Mapping[str, Any]) -> Iterator[Problem]:
    """The kind of positions leaves no trace in the tensors, but the two public models have known sizes."""
    fields = ("num_attention_heads", "attention_head_dim", "num_layers")
    rope = "use_rotary_positional_embeddings"
    for name in ("cogvideox-2b", "cogvideox-5b"):
        plan = SIZES[name].transformer
        seen = bool(config.get(rope, False))
        if all(config.get(field, plan[field]) == plan[field] for field in fields) and seen != plan[rope]:
            if config.get("num_layers") is None:
                continue
            yield Problem(path, f"{rope} is {seen}, expected {plan[rope]} for a model of the size of {name}")


def _scheduler_problems(folder: Path) -> Iterator[Problem]:
    import diffusers

    path = folder / SCHEDULER_CONFIG
    config = _json(path)
    kind = config.get("_class_name")
    if kind not in SCHEDULERS:
        yield Problem(path, f"scheduler {kind!r} is unknown; expected one of {', '.join(SCHEDULERS)}")
        return
    if (seen := config.get("prediction_type", "epsilon")) != "v_prediction":
        yield Problem(path, f"prediction_type is {seen!r}; CogVideoX predicts 'v_prediction'")
        return
    try:
        with explain_failures(path):
            betas = getattr(diffusers, str(kind)).from_config(config).alphas_cumprod
    except ModelError as error:
        yield Problem(path, _reason(error, path))
        return
    if not bool(betas.isfinite().all()):
        yield Problem(path, "its betas give a non-finite noise schedule")


def _part_problems(folder: Path, part: str, config: Mapping[str, Any], deep: bool) -> Iterator[Problem]:
    path = folder / part / "config.json"
    try:
        with explain_failures(path):
            shapes = compute_shapes(part, config)
            tensors = list_stored(weight_files(folder / part, STEMS[part]))
    except (ModelError, ConfigError) as error:
        yield Problem(path, _reason(error, path))
        return
    where = next(iter(tensors.values())).path if tensors else path
    differences = tensor_differences(shapes, tensors, optional=NEW_PARAMETERS)
    if differences:
        layers, wanted = n_layers(tensors), n_layers(shapes)
        hint = f" ({layers} layers found, num_layers is {wanted})" if layers != wanted else ""
        yield Problem(where, f"its tensors do not match {part}/config.json: {differences}{hint}")
        return
    if bad := first_not_finite(tensors, deep):
        yield Problem(tensors[bad].path, f"tensor {bad} has non-finite values (NaN or infinity)")


def tensor_differences(shapes: Shapes, tensors: Mapping[str, StoredTensor], optional: Collection[str] = ()) -> str:
    """What differs between expected and existing tensors, with an example of each kind; "" if they match."""
    missing = sorted(shapes.keys() - tensors.keys() - set(optional))
    extra = sorted(tensors.keys() - shapes.keys() - set(_NOT_READ))
    other = sorted(name for name in shapes.keys() & tensors.keys() if shapes[name] != tensors[name].shape)
    notes = [f"{len(missing)} missing, such as {missing[0]}"] if missing else []
    notes += [f"{len(extra)} too many, such as {extra[0]}"] if extra else []
    if other:
        seen, wanted = (_sides(side) for side in (tensors[other[0]].shape, shapes[other[0]]))
        notes.append(f"{len(other)} with a wrong shape, such as {other[0]}: {seen}, expected {wanted}")
    return "; ".join(notes)


def _tokenizer_problems(folder: Path, text_config: Mapping[str, Any]) -> Iterator[Problem]:
    """Encode and decode one sentence, and check that no token id exceeds the text encoder's table."""
    from transformers import AutoTokenizer

    try:
        with explain_failures(folder):
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            ids = tokenizer(SENTENCE).input_ids
            text = str(tokenizer.decode(ids, skip_special_tokens=True))
    except ModelError as error:
        spiece = folder / "spiece.model"
        damaged = not (folder / "tokenizer.json").exists() and not _is_sentencepiece(spiece)
        yield Problem(spiece, "no SentencePiece model") if damaged else Problem(folder, _reason(error, folder))
        return
    if "".join(text.split()) != "".join(SENTENCE.split()):
        yield Problem(folder, f"{SENTENCE!r} becomes the tokens {ids}, which read {text!r}: its vocabulary is damaged")
    rows = text_config.get("vocab_size", 32128)
    if max(ids, default=0) >= rows or len(tokenizer) > rows:
        yield Problem(folder, f"{len(tokenizer)} tokens, vocab_size of text_encoder/config.json is {rows}")


def _is_sentencepiece(path: Path) -> bool:
    """Whether the file has pieces; transformers blames a different kind of file if not."""
    from sentencepiece import SentencePieceProcessor

    try:
        return bool(SentencePieceProcessor().LoadFromSerializedProto(path.read_bytes()))
    except (RuntimeError, OSError):
        return False


def _config(folder: Path, part: str) -> dict[str, Any]:
    return _json(folder / part / "config.json")


def _json(path: Path) -> dict[str, Any]:
    """A JSON object; {} for anything else, which the checks then report as missing fields."""
    if content_problem(path):
        return {}
    value = json.loads(path.read_text(encoding="utf-8"))
    return value if isinstance(value, dict) else {}


def _sides(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a single value"


def _reason(error: Exception, path: Path) -> str:
    """Our own message without what the problem's line already says."""
    return str(error).removeprefix("weights: ").removeprefix(f"{path}: ").removesuffix("; copy it again")

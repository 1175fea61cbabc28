"""The headers of an adapter's files describe the adapter to other programs; `mvideo adapter show PATH` prints them.

| Keys | Defined by | Contents |
|---|---|---|
| `modelspec.*` | Stability AI's Model Metadata Standard 1.0.1 | filled from `card.*` of the training options |
| `ss_*` | kohya's sd-scripts | only keys that apply to this training run |
| `mvideo.*` | this project | version; SHA-256 of base, VAE, text encoder and training latents |
| `lora_adapter_metadata` | diffusers | peft's settings |

`modelspec.date` is left out, so that the same adapter gives the same bytes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

import mvideo_core
from mvideo_core.base.options import Options
from mvideo_core.cogvideox.adapter_files import BASE_CONFIG
from mvideo_core.weights.reading import explain_failures

CONTENT_KEYS = {"modelspec.hash_sha256": "0x"}
"""Keys that `write_tensors` fills with the SHA-256 of the tensors' bytes."""
PUBLISHED = {(30, 30, 64, False): "cogvideox-2b", (42, 48, 64, True): "cogvideox-5b"}
"""Layers, heads, width of a head, rotary positions -> the published CogVideoX that has them."""
NEEDS_US = (
    "Masks and the previous clip need mvideo_conditioning.safetensors and the mvideo package; without them this is a "
    "plain CogVideoX LoRA."
)


class CardOptions(Options):
    """What an adapter says about itself when it is shared; it does not affect the training."""

    title: str = Field(default="", description='name shown by other programs; empty: "MVideo LoRA over <base>"')
    author: str = Field(default="", description="who made it")
    description: str = Field(default="", description="what it was trained on and what it does; Markdown is allowed")
    license: str = Field(default="", description="name or text of the license; empty: none")
    trigger: str = Field(default="", description="words in a prompt that trigger what was trained")
    tags: str = Field(default="", description="categories, separated by commas")

    def keys(self) -> dict[str, str]:
        """The non-empty fields, by header key."""
        named = {"trigger": "trigger_phrase"}
        given = self.model_dump(exclude_defaults=True)
        return {f"modelspec.{named.get(name, name)}": str(value) for name, value in given.items() if value}


class Training(NamedTuple):
    """What a training run did.

    Attributes:
        base: name of the base weights; for a path, its last part.
        data_sha256: digest of the latents.
        precision: bf16 (autocast) or fp32.
    """

    base: str
    data_sha256: str
    seed: int
    step: int
    global_batch: int
    peak_rate: float
    precision: str

    def keys(self) -> dict[str, str]:
        """By key of the header."""
        base = Path(self.base).name
        return {
            "mvideo.data_sha256": self.data_sha256,
            "modelspec.title": f"MVideo LoRA over {base}",
            "ss_sd_model_name": base,
            "ss_seed": str(self.seed),
            "ss_steps": str(self.step),
            "ss_total_batch_size": str(self.global_batch),
            "ss_learning_rate": str(self.peak_rate),
            "ss_mixed_precision": {"fp32": "no"}.get(self.precision, self.precision),
        }


ABOUT = {
    *("modelspec." + name for name in ("title", "author", "description", "license", "trigger_phrase", "tags")),
    *Training("", "", 0, 0, 0, 0.0, "").keys(),
}


def about_of(header: Mapping[str, str]) -> dict[str, str]:
    """The keys of a file's header that are not derived from its tensors and configuration."""
    return {key: value for key, value in header.items() if key in ABOUT}


def architecture(base: Mapping[str, Any]) -> str:
    """ "cogvideox-2b" and the like; the sizes if no published model has them; "cogvideox" if none are known."""
    if any(name not in base for name in BASE_CONFIG):
        return "cogvideox"
    layers, heads, head, rotary = (base[name] for name in BASE_CONFIG)
    positions = "rope" if rotary else "sincos"
    return PUBLISHED.get((layers, heads, head, rotary), f"cogvideox-{layers}x{heads * head}-{positions}")


def lora_header(record: Mapping[str, Any], about: Mapping[str, str], dropout: float = 0.0) -> dict[str, str]:
    """Metadata of the LoRA file.

    Args:
        record: content of `mvideo_config.json`: format, base, lora.
        about: keys of `CardOptions.keys` and `Training.keys`; they take precedence.
        dropout: of the adapters' inputs in training.
    """
    lora, form = record["lora"], record["format"]
    base = architecture(record["base"])
    size = f"{form['width_px']}x{form['height_px']}"
    own = _common(f"{base}/lora", "diffusers", record["base"]) | {
        "modelspec.usage_hint": NEEDS_US,
        "modelspec.resolution": size,
        "modelspec.prediction_type": "v",
        "ss_base_model_version": base,
        "ss_network_dim": str(lora["rank"]),
        "ss_network_alpha": str(lora["alpha"]),
        "ss_network_dropout": str(dropout),
        "ss_resolution": f"({form['width_px']}, {form['height_px']})",
    }
    whole = own | dict(about)
    return whole | {"ss_output_name": whole["modelspec.title"]}


def conditioning_header(record: Mapping[str, Any], about: Mapping[str, str]) -> dict[str, str]:
    """Metadata of the conditioning file, which only MVideo reads; arguments as for `lora_header`."""
    form = record["format"]
    own = _common(f"{architecture(record['base'])}/mvideo-conditioning", "mvideo", record["base"]) | {
        "modelspec.implementation_version": mvideo_core.__version__,
        "modelspec.resolution": f"{form['width_px']}x{form['height_px']}",
    }
    return own | {key: value for key, value in about.items() if not key.startswith(("ss_", "modelspec.trigger"))}


def _common(architecture: str, implementation: str, base: Mapping[str, Any]) -> dict[str, str]:
    digests = {"base_sha256": "sha256", "vae_sha256": "vae", "text_encoder_sha256": "text_encoder"}
    return {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": architecture,
        "modelspec.implementation": implementation,
        "modelspec.title": f"MVideo LoRA over {architecture.partition('/')[0]}",
        "mvideo.version": mvideo_core.__version__,
    } | {f"mvideo.{key}": str(base[name]) for key, name in digests.items() if base.get(name)}


def read_header(path: Path) -> dict[str, str]:
    """Metadata of a safetensors file; {} if it has none.

    Raises:
        ModelError: not such a file.
    """
    from safetensors import safe_open

    with explain_failures(path), safe_open(path, "np") as file:
        return dict(sorted((file.metadata() or {}).items()))

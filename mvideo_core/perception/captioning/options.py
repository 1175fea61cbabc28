"""Options of the caption stage."""

from typing import Any

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from mvideo_core.base.options import Options
from mvideo_core.perception.captioning.base import CAPTIONERS, CaptionerOptions
from mvideo_core.perception.captioning.connections import refuse_secrets
from mvideo_core.perception.captioning.length import T5_TOKENS
from mvideo_core.perception.captioning.phrases import GRAMMAR


class CaptionOptions(Options):
    """Captioner, length limits, and warning thresholds."""

    model_config = ConfigDict(hide_input_in_errors=True)  # the input may contain a key

    captioner: str = Field(default="motion", description="name in the registry (docs/reference/captions.md lists them)")
    captioner_options: dict[str, Any] = Field(default={}, validate_default=True, description="options of the captioner")
    max_tokens: int = Field(
        default=T5_TOKENS,
        ge=8,
        le=4096,
        description="maximum tokens of the text encoder; longer captions are cut at a sentence",
    )
    tokenizer_dir: str = Field(
        default="",
        description="folder of the text encoder's tokenizer for an exact count; empty = conservative estimate",
    )
    min_words: int = Field(
        default=1, ge=0, description="captions with fewer words are filtered (reason caption_too_short)"
    )
    phrases: bool = Field(
        default=False,
        description="also write a phrase per object: measured by `motion`, asked of a model by the others "
        "(one more request per clip, two if its answer has gaps)",
    )
    warn_equal_frac: float = Field(
        default=0.1, ge=0, le=1, description="warn if more than this fraction of clips have the same caption"
    )
    warn_refused_frac: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="warn if more than this fraction of answers were rejected, empty or failed",
    )

    @field_validator("captioner")
    @classmethod
    def _check_captioner(cls, name: str) -> str:
        if name not in CAPTIONERS.names():
            raise ValueError(f"unknown captioner {name!r}; known: {', '.join(CAPTIONERS.names())}")
        return name

    @field_validator("captioner_options")
    @classmethod
    def _check_options(cls, values: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        """Fill in every option of the captioner, so that typos are caught here and defaults are visible."""
        if "captioner" not in info.data:
            return values
        refuse_secrets(values, "captioner_options.")
        return captioner_options(info.data["captioner"], values).model_dump(mode="json")


def captioner_options(name: str, values: dict[str, Any]) -> CaptionerOptions:
    """Parse a captioner's options with its own class.

    Raises:
        ConfigError: unknown name, unknown key or value out of range.
    """
    parsed = CAPTIONERS.get(name).Options.parse(values, f"options of captioner {name}")
    assert isinstance(parsed, CaptionerOptions)
    return parsed


def content_of(options: CaptionOptions) -> dict[str, Any]:
    """The options that affect the captions; server address, rate and warning thresholds do not."""
    values = options.model_dump(mode="json", exclude={"warn_equal_frac", "warn_refused_frac", "phrases"})
    if options.phrases:
        values["phrases"] = GRAMMAR
    inner = captioner_options(options.captioner, options.captioner_options)
    values["captioner_options"] = inner.model_dump(mode="json", exclude=set(inner.not_content))
    return values

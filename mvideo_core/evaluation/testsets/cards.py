"""Data cards, `datasets/<name>.yaml`: source, license, size, and how to rebuild the data."""

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationError, model_validator

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.listing import visible_files
from mvideo_core.base.options import Options, read_yaml
from mvideo_core.base.shipped import shipped_path


class SourceEntry(Options):
    """One source of the data."""

    name: str = Field(description="name of the source")
    url: str = Field(default="", description="page that describes or offers it; empty if there is none")
    reference: str = Field(default="", description="paper or report, with arXiv number if available")
    obtained_by: str = Field(description="how users obtain it; the project does not download it")


class LicenseEntry(Options):
    """License of one part of the data."""

    part: str = Field(description="annotations, videos, prompts, names...")
    name: str = Field(description="license name, or 'owners keep their rights'")
    allows: str = Field(description="permitted use, in one sentence")
    redistribution: str = Field(description="what may be redistributed, and under which conditions")


class CountEntry(Options):
    """A number and its source."""

    what: str = Field(description="videos, clips, hours, prompts, classes...")
    count: float = Field(ge=0, description="the number")
    stated_by: str = Field(description="the paper, the source's page, or our own count")


class SplitEntry(Options):
    """One split."""

    name: str = Field(description="train, test...")
    rule: str = Field(description="how items are assigned")
    count: float | None = Field(default=None, ge=0, description="size, if known")


class ClassEntry(Options):
    """A class name with its synonyms."""

    name: str = Field(description="name as used in detector prompts")
    synonyms: list[str] = Field(default=[], description="synonyms; a text with one of them may refer to the class")


class DatasetCard(Options):
    """One data card, written for users who want to know what the data is."""

    RENAMED: ClassVar[dict[str, str]] = {"licences": "licenses"}

    name: str = Field(pattern=r"^[a-z0-9-]+$", description="file name without extension")
    title: str = Field(description="one line")
    kind: Literal["source", "train", "test", "prompts", "classes", "synthetic"] = Field(description="purpose")
    role: str = Field(description="how the paper and this project use it")
    sources: list[SourceEntry] = Field(min_length=1, description="sources")
    licenses: list[LicenseEntry] = Field(min_length=1, description="licenses, part by part")
    consent_basis: str = Field(description="legal basis for images of people, and how removal works")
    counts: list[CountEntry] = Field(min_length=1, description="sizes")
    splits: list[SplitEntry] = Field(min_length=1, description="train and test splits, and how they are separated")
    resolution: str = Field(default="", description="sizes and frame rates")
    shard_digest: str = Field(default="", description="digest of the shard list of a published copy; empty = none")
    classes: list[ClassEntry] = Field(default=[], description="class names, in order")
    options: dict[str, dict[str, Any]] = Field(default={}, description="stage or builder -> options that reproduce it")
    known_biases: list[str] = Field(min_length=1, description="over- and underrepresentation, and known defects")
    not_stated: list[str] = Field(default=[], description="what the paper does not state, and our choice")
    rebuild: list[str] = Field(min_length=1, description="steps to rebuild it, with commands")

    @model_validator(mode="after")
    def _unique_names(self) -> "DatasetCard":
        names = [one.name for one in self.classes]
        if len(set(names)) != len(names):
            raise ValueError("duplicate class name")
        return self

    def terms(self) -> list[str]:
        """Names and synonyms of all classes, sorted and unique."""
        return sorted({word for one in self.classes for word in (one.name, *one.synonyms)})


def read_card(path: str | Path) -> DatasetCard:
    """Read and validate a card.

    Raises:
        ConfigError: not YAML, or an invalid field; the message names it.
    """
    values = read_yaml(path)
    try:
        card = DatasetCard.model_validate(values)
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, one['loc'])) or '(whole)'}: {one['msg']}" for one in error.errors()]
        raise ConfigError("\n".join([f"{path}: not a data card:", *lines])) from None
    if card.name != Path(path).stem:
        raise ConfigError(f"{path}: its name is {card.name!r}; it must match the file name")
    return card


def read_cards(folder: str | Path) -> dict[str, DatasetCard]:
    """All cards in a folder, by name."""
    return {path.stem: read_card(path) for path in visible_files(folder, ".yaml")}


def card_path(name: str) -> Path:
    """Path of a card `datasets/<name>.yaml` included in the project.

    Raises:
        ConfigError: unknown name.
    """
    path = shipped_path(f"datasets/{name}.yaml")
    if not path.is_file():
        known = ", ".join(sorted(read_cards(path.parent)))
        raise ConfigError(f"{path}: no such data card; available: {known}")
    return path

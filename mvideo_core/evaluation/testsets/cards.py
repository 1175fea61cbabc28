"""Cards about data, `datasets/<name>.yaml`: where it comes from, under which terms, how much, how to make it again."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.listing import visible_files
from mvideo_core.base.options import Options, read_yaml
from mvideo_core.base.shipped import shipped_path


class SourceEntry(Options):
    """One place that the data comes from."""

    name: str = Field(description="what it is called")
    url: str = Field(default="", description="where it is described or offered; empty when there is no such page")
    reference: str = Field(default="", description="paper or report, with its arXiv number if it has one")
    obtained_by: str = Field(description="how a user gets it; the project fetches nothing by itself")


class LicenceEntry(Options):
    """Terms of one part of the data."""

    part: str = Field(description="annotations, videos, prompts, names...")
    name: str = Field(description="name of the licence, or 'owners keep their rights'")
    allows: str = Field(description="what one may do, in a sentence")
    redistribution: str = Field(description="what one may pass on, and with which obligations")


class CountEntry(Options):
    """A number and who says so."""

    what: str = Field(description="videos, clips, hours, prompts, classes...")
    count: float = Field(ge=0, description="the number")
    stated_by: str = Field(description="the paper, the source's own page, or a count made here")


class SplitEntry(Options):
    """One split."""

    name: str = Field(description="train, test...")
    rule: str = Field(description="what decides on which side an item is")
    count: float | None = Field(default=None, ge=0, description="size where known")


class ClassEntry(Options):
    """A class name with the words that also mean it."""

    name: str = Field(description="name as detectors are asked for it")
    synonyms: list[str] = Field(default=[], description="other words; a text that holds one may show the class")


class DatasetCard(Options):
    """One data card. Every list may be read aloud to a user who asks what the data is."""

    name: str = Field(pattern=r"^[a-z0-9-]+$", description="file name without extension")
    title: str = Field(description="one line")
    kind: Literal["source", "train", "test", "prompts", "classes", "synthetic"] = Field(description="what it serves as")
    role: str = Field(description="what the paper and this project use it for")
    sources: list[SourceEntry] = Field(min_length=1, description="where it comes from")
    licences: list[LicenceEntry] = Field(min_length=1, description="terms, part by part")
    consent_basis: str = Field(description="on what ground people's images are used, and how removal works")
    counts: list[CountEntry] = Field(min_length=1, description="sizes")
    splits: list[SplitEntry] = Field(min_length=1, description="train and test, and what keeps them apart")
    resolution: str = Field(default="", description="sizes and frame rates")
    shard_digest: str = Field(default="", description="digest of the shard list of a published copy; empty: none is")
    classes: list[ClassEntry] = Field(default=[], description="class names, in their own order")
    options: dict[str, dict[str, Any]] = Field(default={}, description="stage or builder -> options that make it")
    known_biases: list[str] = Field(min_length=1, description="what it over- or under-represents, and known defects")
    not_stated: list[str] = Field(default=[], description="what the paper leaves open, and what is done here instead")
    rebuild: list[str] = Field(min_length=1, description="steps, with commands")

    @model_validator(mode="after")
    def _unique_names(self) -> "DatasetCard":
        names = [one.name for one in self.classes]
        if len(set(names)) != len(names):
            raise ValueError("a class name occurs twice")
        return self

    def class_names(self) -> list[str]:
        """Names of the classes, in order."""
        return [one.name for one in self.classes]

    def terms(self) -> list[str]:
        """Names and synonyms of all classes, sorted, each once."""
        return sorted({word for one in self.classes for word in (one.name, *one.synonyms)})


def read_card(path: str | Path) -> DatasetCard:
    """A card, checked.

    Raises:
        ConfigError: not YAML, or not of this form; the message names the field.
    """
    values = read_yaml(path)
    try:
        card = DatasetCard.model_validate(values)
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, one['loc'])) or '(whole)'}: {one['msg']}" for one in error.errors()]
        raise ConfigError("\n".join([f"{path}: not a data card:", *lines])) from None
    if card.name != Path(path).stem:
        raise ConfigError(f"{path}: its name is {card.name!r}; name and file name must agree")
    return card


def read_cards(folder: str | Path) -> dict[str, DatasetCard]:
    """All cards of a folder, by name."""
    return {path.stem: read_card(path) for path in visible_files(folder, ".yaml")}


def card_path(name: str) -> Path:
    """The card `datasets/<name>.yaml` that comes with the project.

    Raises:
        ConfigError: there is none of this name.
    """
    path = shipped_path(f"datasets/{name}.yaml")
    if not path.is_file():
        known = ", ".join(sorted(read_cards(path.parent)))
        raise ConfigError(f"{path}: no such data card; known: {known}")
    return path

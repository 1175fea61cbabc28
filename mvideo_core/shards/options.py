"""How triplets become a dataset: shard sizes, split, exclusions."""

from typing import Any, ClassVar

from pydantic import Field, SerializationInfo, SerializerFunctionWrapHandler, model_serializer

from mvideo_core.base.options import SHOWN, Options

TERMS_HELP = (
    "class names and synonyms; samples with one in labels, caption or title are excluded (reason excluded_class)"
)


class ShardOptions(Options):
    """Sizes, split and exclusions of the written dataset."""

    RENAMED: ClassVar[dict[str, str]] = {"licence": "license"}

    samples_per_shard: int = Field(default=500, ge=1, description="maximum samples per tar")
    max_shard_bytes: int = Field(
        default=3_000_000_000, ge=1, description="maximum bytes per tar; a single larger sample gets its own tar"
    )
    test_frac: float = Field(
        default=0.0, ge=0, lt=1, description="fraction of source videos whose clips all go to the test split"
    )
    split_seed: int = Field(default=0, description="seed of the split by source video and of the order of samples")
    removal_list: str = Field(
        default="",
        description="text file of video ids, clip keys, file names, source URLs or SHA-256s to exclude, one per line",
    )
    held_out_list: str = Field(
        default="", description="like removal_list, for videos that a test set uses (reason held_out)"
    )
    allow_unmatched: bool = Field(
        default=False, description="accept entries of the two lists that match nothing in this workspace"
    )
    exclude_terms: list[str] = Field(default=[], description=TERMS_HELP)
    exclude_whole_video: bool = Field(
        default=True,
        description="an excluded class excludes every clip of the source video, not only the clip that shows it",
    )
    drop_duplicates: bool = Field(
        default=True, description="keep only one of the samples with equal source bytes and times (reason duplicate)"
    )
    license: str = Field(
        default="", description="license text for the data card; each sample has the license of its source"
    )
    title: str = Field(default="Mask-to-video dataset", description="heading of the data card")

    @model_serializer(mode="wrap")
    def _dump_former_name(self, dump: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        """Stored with the license under its former name: keys of parts and dataset.json stay what they were."""
        name = "license" if info.context == SHOWN else "licence"
        return {name if one == "license" else one: value for one, value in dump(self).items()}

"""Video sources: a folder, an HD-VILA list with downloaded files, or a manifest. Listing opens no video."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Self

from pydantic import Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic_core import CoreSchema

from mvideo_core.base.forms import one_of
from mvideo_core.base.local_paths import check_local
from mvideo_core.base.options import Options
from mvideo_core.base.records import Record

EXTENSIONS = ("mp4", "m4v", "mov", "mkv", "webm", "avi", "ts", "flv", "ogv", "3gp")


class SourceItem(Record):
    """One video to ingest.

    Attributes:
        video_id: key of the video: letters, digits, "_" and "-".
        uri: `file://` URI; "" if the listed file is missing (not downloaded).
        root: `file://` URI of the folder that links must stay inside; "" = anywhere.
        spans_s: spans from the source's metadata, in seconds.
    """

    video_id: str
    uri: str = ""
    root: str = ""
    source_url: str = ""
    licence: str = ""
    title: str = ""
    spans_s: list[list[float]] = []


class SourceOptions(Options):
    """Where the videos are: set exactly one of `folder`, `hdvila` and `manifest`."""

    RENAMED: ClassVar[dict[str, str]] = {"licence": "license"}

    folder: str = Field(default="", description="folder to search for videos")
    patterns: list[str] = Field(
        default=[f"*.{extension}" for extension in EXTENSIONS],
        description="case-insensitive globs on file names in `folder`; a glob with '/' matches the whole path",
    )
    recursive: bool = Field(default=True, description="include subfolders of `folder`")
    hdvila: str = Field(default="", description="HD-VILA JSONL file, or a folder of them")
    hdvila_videos: str = Field(
        default="", description="folder of downloaded files, each named after its video id: VIDEO_ID.mp4"
    )
    manifest: str = Field(
        default="", description="CSV or JSONL with `path` (or `uri`), video_id, source_url, license, title"
    )
    root: str = Field(
        default="", description="folder that links must stay inside; default: the folder of the videos (manifest: none)"
    )
    license: str = Field(default="", description="license for videos whose source states none")

    _local = field_validator("folder", "hdvila", "hdvila_videos", "manifest", "root")(check_local)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Add the one-source rule, so that a server rejects zero or two sources when a run is submitted."""
        found = super().__get_pydantic_json_schema__(core, handler)
        handler.resolve_ref_schema(found).update(one_of("folder", "hdvila", "manifest"))
        return found

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in ("folder", "hdvila", "manifest") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"exactly one of folder, hdvila, manifest must be set; seen {given or 'none'}")
        if bool(self.hdvila) != bool(self.hdvila_videos):
            raise ValueError("set hdvila and hdvila_videos (folder of downloaded files) together")
        return self


def list_sources(options: SourceOptions) -> Iterator[SourceItem]:
    """Every video of the source, in an order that depends on names only.

    Memory use: one folder's names plus 8 bytes per listed id, regardless of the number of videos.

    Raises:
        ConfigError: a missing folder or list, a bad line, or a duplicate id; the message gives file and line.
    """
    from mvideo_core.curation.ingest import folder, hdvila, manifest

    listing: Callable[[SourceOptions], Iterator[SourceItem]]
    if options.folder:
        listing = folder.list_folder
    elif options.hdvila:
        listing = hdvila.list_hdvila
    else:
        listing = manifest.list_manifest
    return listing(options)

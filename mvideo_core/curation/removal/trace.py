"""Everything in a workspace that came from a source: rows of every stage, current or not, and the files they name."""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from mvideo_core.base.digests import file_sha256
from mvideo_core.base.errors import ConfigError
from mvideo_core.base.listing import is_file
from mvideo_core.base.records import (
    Blob,
    ClipRow,
    LatentShardRow,
    Record,
    Row,
    ShardPlanRow,
    ShardRow,
    SourceRow,
    VideoRow,
)
from mvideo_core.curation.ingest.naming import path_of, uri_of
from mvideo_core.curation.pipeline import workspace_rows
from mvideo_core.curation.removal.mentions import ContentIds, find_mentions
from mvideo_core.store.decisions import DecisionFile
from mvideo_core.store.workspace import POINTERS, SOURCE_STAGE, Marker, Workspace, blobs_of

SHA256 = re.compile(r"[0-9a-fA-F]{64}")
OWN_AREAS = ("blobs", "datasets", "done", "heads", "latents", "locks", "rows")
"""Areas whose files are named by rows, markers and heads; the others are searched."""
SHOWN = 4


class TracedSource(Record):
    """A source to forget.

    Attributes:
        why: "named", or what it has in common with a named one.
    """

    key: str
    uri: str = ""
    source_url: str = ""
    title: str = ""
    sha256: str = ""
    size_bytes: int = 0
    why: str = "named"

    @property
    def file_name(self) -> str:
        """Name of the source file; "" if there is none."""
        return Path(path_of(self.uri)).name if self.uri else ""


class Trace(Record):
    """What a workspace holds of some sources.

    Attributes:
        clips: keys of their clips, whether or not they became samples.
        rows: number of rows by stage, in current parts and in earlier ones.
        files: clips, mask sequences, and the tars of datasets and latents that have at least one of their samples.
        mentions: other files with one of their ids: journals, reports, exports.
        decisions: of a reviewer, about their clips.
        samples: of the current dataset.
        published: path of the current dataset, latents and report, with the digest where there is one.
    """

    sources: list[TracedSource]
    clips: list[str]
    rows: dict[str, int]
    files: list[Blob]
    mentions: list[str]
    decisions: int
    samples: list[str]
    published: dict[str, dict[str, str]]
    digests: list[str]

    def ids(self) -> ContentIds:
        """What the content is called anywhere."""
        urls = {one for source in self.sources for one in (source.uri, source.source_url) if one}
        return ContentIds({one.key for one in self.sources}, set(self.clips), urls, set(self.digests))


def trace(workspace: Workspace, chosen: Sequence[TracedSource]) -> Trace:
    """Follow sources through all stages; nothing is changed.

    Args:
        chosen: what `choose_sources` found.
    """
    ids = ContentIds({one.key for one in chosen}, digests={one.sha256 for one in chosen if one.sha256})
    rows: Counter[str] = Counter()
    files: dict[str, Blob] = {}
    clip_files: set[str] = set()
    samples: set[str] = set()
    for stage, marker, found in _find_rows(workspace, ids):
        rows[stage] += len(found)
        current = workspace.head(stage, marker.index) == marker.key
        for row in found:
            files |= {blob.path: blob for blob in blobs_of(row) if workspace.folder.exists(blob.path)}
            if isinstance(row, ShardRow) and current:
                samples |= {one.key for one in row.samples if one.video_id in ids.sources}
            if isinstance(row, ShardRow | LatentShardRow | ShardPlanRow):
                continue
            ids.digests |= {blob.sha256 for blob in blobs_of(row)} | ({row.content_key} - {""})
            if isinstance(row, ClipRow):
                ids.clips.add(row.key)
                clip_files |= {blob.sha256 for blob in blobs_of(row)}
    decisions = sum(placed.decision.clip in clip_files for placed in DecisionFile(workspace).read())
    ids.urls = {one for source in chosen for one in (source.uri, source.source_url) if one}
    return Trace(
        sources=list(chosen),
        clips=sorted(ids.clips),
        rows=dict(rows),
        files=[files[path] for path in sorted(files)],
        mentions=sorted(one.path for one in find_mentions(workspace.folder, ids, _list_paths(workspace))),
        decisions=decisions,
        samples=sorted(samples),
        published=find_published(workspace),
        digests=sorted(ids.digests),
    )


def choose_sources(workspace: Workspace, names: Sequence[str]) -> list[TracedSource]:
    """The sources with these names, and those with the same bytes.

    Args:
        names: each a key, a source URL, the SHA-256 of a source file, or a path to one.

    Raises:
        ConfigError: a name matches no source of the workspace, now or earlier.
    """
    known = known_sources(workspace)
    chosen: dict[str, TracedSource] = {}
    for name in names:
        found = _match(name, known.values())
        if not found:
            raise ConfigError(_describe_unknown(workspace, name, known))
        chosen |= {one.key: one for one in found}
    digests = {one.sha256: one.key for one in chosen.values() if one.sha256}
    for one in known.values():
        if one.key not in chosen and one.sha256 in digests:
            chosen[one.key] = one.model_copy(update={"why": f"same bytes as {digests[one.sha256]}"})
    return [chosen[key] for key in sorted(chosen)]


def known_sources(workspace: Workspace) -> dict[str, TracedSource]:
    """Every source that rows of any plan name, by key."""
    found: dict[str, TracedSource] = {}
    for marker in workspace.markers(SOURCE_STAGE):
        for row in workspace.rows(marker, SourceRow) if workspace.holds(marker.rows) else ():
            found[row.key] = TracedSource(key=row.key, uri=row.uri, source_url=row.source_url, title=row.title)
    for marker in workspace.markers("ingest"):
        for video in workspace.rows(marker, VideoRow) if workspace.holds(marker.rows) else ():
            before = found.get(video.key, TracedSource(key=video.key))
            facts = {
                name: getattr(video, name) or getattr(before, name)
                for name in ("uri", "source_url", "title", "sha256", "size_bytes")
            }
            found[video.key] = before.model_copy(update=facts)
    return found


def find_published(workspace: Workspace) -> dict[str, dict[str, str]]:
    """The current dataset, latents and report: path, and digest where there is one."""
    pointers = {name: workspace.pointer(name) for name in POINTERS}
    return {name: {key: str(value) for key, value in one.items()} for name, one in pointers.items() if one}


def concerns(row: Row, ids: ContentIds) -> bool:
    """Whether a row is about one of the sources, one of their clips, or a tar that has one."""
    if any(name in ids.sources or name in ids.clips for name in (row.key, row.parent)):
        return True
    if isinstance(row, ShardPlanRow | ShardRow):
        return any(one.video_id in ids.sources for one in row.samples)
    if isinstance(row, LatentShardRow):
        return any(one.video_id in ids.sources for one in row.windows)
    return False


def _find_rows(workspace: Workspace, ids: ContentIds) -> Iterator[tuple[str, Marker, list[Row]]]:
    """Rows of the sources, part by part, in the order of the stages; clips that `cut` rows name are added to the ids
    by the caller before later stages are read.
    """
    for stage, row_class in workspace_rows(workspace).items():
        for marker in workspace.markers(stage):
            if workspace.holds(marker.rows):
                found = [row for row in workspace.rows(marker, row_class) if concerns(row, ids)]
                if found:
                    yield stage, marker, found


def _list_paths(workspace: Workspace) -> Iterator[str]:
    return (path for path in workspace.folder.walk("") if path.split("/")[0] not in OWN_AREAS)


def _match(name: str, known: Iterable[TracedSource]) -> list[TracedSource]:
    if SHA256.fullmatch(name):
        return [one for one in known if one.sha256 == name.lower()]
    if found := [one for one in known if name in (one.key, one.source_url)]:
        return found
    if is_file(name):
        uri, sha256 = uri_of(name), file_sha256(Path(name))
        return [one for one in known if one.uri == uri or one.sha256 == sha256]
    return [one for one in known if name == one.file_name]


def _describe_unknown(workspace: Workspace, name: str, known: Mapping[str, TracedSource]) -> str:
    near = difflib.get_close_matches(name, known, SHOWN) or sorted(known)[:SHOWN]
    return (
        f"{workspace.url}: no source is called {name!r}; give the id, the URL, the SHA-256 or the file of one of its "
        f"{len(known)} sources, such as {', '.join(near) or '(there is none)'}"
    )

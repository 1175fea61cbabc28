"""Video manifests, CSV with a header or JSON lines: path or uri, video_id, source_url, license, title."""

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.local_paths import local_path
from mvideo_core.curation.ingest.naming import check_id, path_of, uri_of, video_id_of
from mvideo_core.curation.ingest.seen import SeenIds
from mvideo_core.curation.ingest.sources import SourceItem, SourceOptions

COLUMNS = ("path", "uri", "video_id", "source_url", "license", "licence", "title")
"""`licence` is also read as `license`."""


def list_manifest(options: SourceOptions) -> Iterator[SourceItem]:
    """Videos in manifest order; paths are relative to the manifest's folder; extra columns are ignored.

    Raises:
        ConfigError: no such file, no path column, a bad line, or a duplicate id.
    """
    manifest = Path(options.manifest)
    if not manifest.is_file():
        raise ConfigError(f"source.manifest={options.manifest!r}: no such file")
    rows = _json_rows(manifest) if manifest.suffix.lower() in (".jsonl", ".ndjson") else _csv_rows(manifest)
    seen = SeenIds()
    for where, row in rows:
        item = _item(row, where, manifest, options)
        seen.add(item.video_id, where)
        yield item


def _item(row: dict[str, str], where: str, manifest: Path, options: SourceOptions) -> SourceItem:
    if row.get("uri"):
        try:
            path = os.fsencode(path_of(row["uri"]))
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
    elif row.get("path"):
        local_path(row["path"], f"{where}: path")
        path = os.path.join(os.fsencode(manifest.parent), os.fsencode(row["path"]))  # noqa: PTH118 - bytes
    else:
        raise ConfigError(f"{where}: `path` or `uri` required; columns seen: {', '.join(row)}")
    given = row.get("video_id", "")
    name = os.path.relpath(path, os.fsencode(manifest.parent))
    return SourceItem(
        video_id=check_id(given, where) if given else video_id_of(name),
        uri=uri_of(path) if os.path.lexists(path) else "",
        root=uri_of(options.root) if options.root else "",
        source_url=row.get("source_url", ""),
        licence=row.get("license", "") or row.get("licence", "") or options.license,
        title=row.get("title", ""),
    )


def _csv_rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as handle:
        reader = csv.DictReader(handle)
        if not {"path", "uri"} & set(reader.fieldnames or ()):
            raise ConfigError(f"{path}: the header needs a `path` or `uri` column; seen {reader.fieldnames}")
        try:
            for row in reader:
                where = f"{path}:{reader.line_num}"
                if None in row:
                    raise ConfigError(
                        f"{where}: more values than columns, {row[None]} seen; quote values that contain commas"
                    )
                yield where, {name: value for name, value in row.items() if value is not None}
        except csv.Error as error:
            raise ConfigError(f"{path}:{reader.line_num}: not CSV: {error}") from None


def _json_rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="\n") as lines:
        for number, line in enumerate(lines, 1):
            where = f"{path}:{number}"
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ConfigError(f"{where}: not JSON: {error}") from None
            if not isinstance(row, dict):
                raise ConfigError(f"{where}: expected an object, got {type(row).__name__}")
            for name in COLUMNS:
                if not isinstance(row.get(name, ""), str | None):
                    raise ConfigError(f"{where}: {name} is {row[name]!r}; expected a quoted string")
            yield where, {name: row[name] for name in COLUMNS if row.get(name)}

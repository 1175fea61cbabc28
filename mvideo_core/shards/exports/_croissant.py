"""Croissant: a JSON-LD file by which dataset search engines and `mlcroissant` find and read an export's metadata.

Source: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.0.html
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mvideo_core.base.digests import file_sha256
from mvideo_core.base.disk import write_whole

NAME = "croissant.json"
_TERMS = (
    "citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty", "fileObject", "fileSet", "format",
    "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex",
    "repeated", "replace", "samplingRate", "separator", "source", "subField", "transform",
)  # fmt: skip
CONTEXT = {
    "@language": "en", "@vocab": "https://schema.org/", "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/", "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"}, "examples": {"@id": "cr:examples", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
} | {term: f"cr:{term}" for term in _TERMS}  # fmt: skip


def write_croissant(
    out: Path, about: Mapping[str, Any], lists: Mapping[str, str], files: Mapping[str, str], columns: Mapping[str, str]
) -> None:
    """Write `croissant.json` into the folder of an export.

    Args:
        about: name, description, license.
        lists: split -> path of its metadata, JSON lines.
        files: name -> pattern of the videos.
        columns: column of the metadata -> "Text", "Float", "Integer"; with "*" behind it, a list of them.
    """
    distribution: list[dict[str, Any]] = [
        {
            "@type": "cr:FileObject", "@id": f"{split}-metadata", "name": f"{split}-metadata", "contentUrl": path,
            "encodingFormat": "application/jsonlines", "sha256": file_sha256(out / path),
        }
        for split, path in lists.items()
    ]  # fmt: skip
    distribution += [
        {"@type": "cr:FileSet", "@id": name, "name": name, "encodingFormat": "video/mp4", "includes": pattern}
        for name, pattern in files.items()
    ]
    facts = {
        "@context": CONTEXT, "@type": "sc:Dataset", "conformsTo": "http://mlcommons.org/croissant/1.0", **about,
        "distribution": distribution,
        "recordSet": [
            {"@type": "cr:RecordSet", "@id": split, "name": split, "field": _fields(split, columns)} for split in lists
        ],
    }  # fmt: skip
    write_whole(out / NAME, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")


def _fields(split: str, columns: Mapping[str, str]) -> Sequence[dict[str, Any]]:
    return [
        {
            "@type": "cr:Field", "@id": f"{split}/{column}", "name": column, "dataType": f"sc:{kind.rstrip('*')}",
            **({"repeated": True} if kind.endswith("*") else {}),
            "source": {"fileObject": {"@id": f"{split}-metadata"}, "extract": {"column": column}},
        }
        for column, kind in columns.items()
    ]  # fmt: skip

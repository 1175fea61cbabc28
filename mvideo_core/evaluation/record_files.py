"""Records of an evaluation as files, written atomically."""

import json
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from mvideo_core.base.disk import write_whole
from mvideo_core.base.errors import StoreError
from mvideo_core.base.options import problems_of
from mvideo_core.base.records import Record

Kind = TypeVar("Kind", bound=Record)


def read_record(kind: type[Kind], path: Path) -> Kind | None:
    """Read a record written by `write_record`; None if there is none.

    Raises:
        StoreError: the file was not written by this project.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        text = f"{path}: not a {kind.__name__} of this version ({problems_of(error)}); delete it to rescore its videos"
        raise StoreError(text) from None


def write_record(path: Path, record: Record) -> None:
    """Write a record. Raises StoreError: the folder cannot be written."""
    write_whole(path, json.dumps(record.model_dump(mode="json"), sort_keys=True) + "\n")

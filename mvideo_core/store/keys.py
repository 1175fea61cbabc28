"""The key of a part is a hash of the stage's name and revision, of the options that affect the output, and of the
digests of the weights, the removal and held-out lists, and the upstream `ok` rows. Therefore

- rerunning the same command finds the markers and runs nothing;
- changing one option reruns its stage and the stages that depend on it, nothing else;
- going back to the old value finds the old results again (until `mvideo gc --delete`);
- new weights under an old name count as new;
- an update of MVideo that changes a stage's results runs that stage again.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mvideo_core.base.options import canonical_json
from mvideo_core.base.records import Row

KEY_HEX_DIGITS = 32
NOT_CONTENT = ("attempts", "message", "content_key")


def row_digest(row: Row) -> str:
    """A row's content as 64 hex digits, without fields that only say where something is stored or how it failed."""
    content = row.model_dump(mode="json", exclude={*NOT_CONTENT, *type(row).volatile, *row.list_absent()})
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def rows_digest(rows: Iterable[Row]) -> str:
    """Digest of the `ok` rows of a part, in key order. Filtered and failed rows do not reach later stages."""
    state = hashlib.sha256()
    for row in sorted((row for row in rows if row.status == "ok"), key=lambda row: row.key):
        state.update(f"{row.key}:{row_digest(row)}\n".encode())
    return state.hexdigest()


def settings_digest(stage: str, revision: int, options: Any, externals: Mapping[str, str]) -> str:
    """What a stage would do, whatever its input: name, revision, options, digests of weights and side files.

    Args:
        options: an Options record, or the part of one that decides the output, as plain values.
    """
    return _key({"stage": stage, "revision": revision, "options": options, "externals": dict(externals)})


def part_key(settings: str, inputs: Mapping[str, str]) -> str:
    """Key of one part: the stage's settings digest and the digest of each upstream part."""
    return _key({"settings": settings, "inputs": dict(inputs)})


def item_key(settings: str, inputs: Mapping[str, Row], decisions: Sequence[Any] = ()) -> str:
    """Key of one item: the stage's settings digest, the content of its upstream rows, a reviewer's decisions if any."""
    rows = {name: row_digest(row) for name, row in inputs.items()}
    return _key({"settings": settings, "rows": rows} | ({"decisions": list(decisions)} if decisions else {}))


def _key(value: Any) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:KEY_HEX_DIGITS]

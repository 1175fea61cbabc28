"""Which files of a workspace's stages are damaged or missing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from mvideo_core.base.records import Record, Row
from mvideo_core.store.workspace import Workspace, blobs_of, head_path

PARTS_AT_ONCE = 16


class Problem(Record):
    """One finding of `mvideo verify`: which file, what is wrong, how to fix it."""

    path: str
    what: str
    fix: str


def verify_stage(workspace: Workspace, stage: str, row_class: type[Row], deep: bool) -> Iterator[Problem]:
    """Check every current part: marker, rows and blobs exist at their recorded sizes; `deep` also checks SHA-256."""
    indices = range(workspace.parts_of(stage))
    if workspace.folder.is_local:
        for index in indices:
            yield from _verify_part(workspace, stage, index, row_class, deep)
        return
    for start in range(0, len(indices), PARTS_AT_ONCE):  # an object store handles many requests at once
        with ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
            jobs = [
                pool.submit(lambda index: list(_verify_part(workspace, stage, index, row_class, deep)), index)
                for index in indices[start : start + PARTS_AT_ONCE]
            ]
        for job in jobs:
            yield from job.result()


def _verify_part(workspace: Workspace, stage: str, index: int, row_class: type[Row], deep: bool) -> Iterator[Problem]:
    marker = workspace.current(stage, index)
    if marker is None:
        if workspace.head(stage, index) is not None:
            what = "points to a part without a readable marker"
            yield Problem(path=head_path(stage, index), what=what, fix=f"run stage {stage} again")
        return
    fix = f"run stage {marker.stage} again; only what is missing is redone"
    if not workspace.holds(marker.rows):
        yield Problem(path=marker.rows.path, what="missing, or its size differs from the recorded one", fix=fix)
        return
    if deep and workspace.folder.sha256(marker.rows.path) != marker.rows.sha256:
        yield Problem(path=marker.rows.path, what="content differs from its recorded SHA-256", fix=fix)
        return
    for row in workspace.rows(marker, row_class):
        for blob in blobs_of(row):
            if not workspace.holds(blob):
                yield Problem(path=blob.path, what="missing, or its size differs from the recorded one", fix=fix)
            elif deep and workspace.folder.sha256(blob.path) != blob.sha256:
                yield Problem(path=blob.path, what="content differs from its recorded SHA-256", fix=f"delete it, {fix}")

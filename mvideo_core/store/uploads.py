"""Multipart uploads that a killed process left unfinished in an S3 bucket: no listing shows them, and they use storage.

Other stores do not need this: Google's and Azure's unfinished uploads expire after a week.
"""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from mvideo_core.base.errors import StoreError
from mvideo_core.store.files import Folder
from mvideo_core.store.remote import remote_errors

log = logging.getLogger(__name__)


class Upload(NamedTuple):
    """One unfinished upload; `key` within the bucket."""

    bucket: str
    key: str
    upload_id: str


def abort_uploads(folder: Folder, before_s: float | None, dry_run: bool) -> tuple[int, int]:
    """Abort unfinished uploads below a folder.

    Args:
        before_s: only those started before this time, seconds since 1970; a running process's own are younger. None =
            all.
        dry_run: only count.

    Returns:
        How many were aborted (or would be), and how many were kept because they are younger. If the bucket refuses the
        request, a warning is logged.
    """
    call = getattr(folder.fs, "call_s3", None)
    if folder.is_local or call is None:
        return 0, 0
    old: list[Upload] = []
    n_found = n_gone = 0
    try:
        with remote_errors(folder.url, "looking for unfinished uploads"):
            for upload, started_s in _uploads(call, folder):
                n_found += 1
                old += [upload] if before_s is None or started_s < before_s else []
            for upload in () if dry_run else old:
                call("abort_multipart_upload", Bucket=upload.bucket, Key=upload.key, UploadId=upload.upload_id)
                n_gone += 1
    except StoreError as error:
        log.warning("%s", error)
        return n_gone, 0
    return len(old), n_found - len(old)


def _uploads(call: Any, folder: Folder) -> Iterator[tuple[Upload, float]]:
    """Each unfinished upload below the folder and its start time, page by page."""
    bucket, _, prefix = folder.root.partition("/")
    query = {"Bucket": bucket, "Prefix": f"{prefix.rstrip('/')}/" if prefix else ""}
    markers: dict[str, str] = {}
    while True:
        page = call("list_multipart_uploads", **query, **markers)
        for one in page.get("Uploads", ()):
            yield Upload(bucket, one["Key"], one["UploadId"]), _seconds(one["Initiated"])
        if not page.get("IsTruncated"):
            return
        markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}


def _seconds(started: datetime) -> float:
    return (started if started.tzinfo else started.replace(tzinfo=UTC)).timestamp()

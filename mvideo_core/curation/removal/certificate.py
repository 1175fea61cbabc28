"""The certificate of a removal: what was touched, digests before and after, which training runs saw which sample.

It names what was forgotten, so it is kept outside of the workspace. It is written before anything is changed, and again
when all is done; in between, it is what a killed removal continues from.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from mvideo_core import __version__
from mvideo_core.base.disk import write_whole
from mvideo_core.base.errors import ConfigError, StoreError
from mvideo_core.base.options import digest, problems_of
from mvideo_core.base.records import Record
from mvideo_core.curation.removal.elsewhere import Elsewhere, Retraining
from mvideo_core.curation.removal.trace import Trace
from mvideo_core.store.workspace import Workspace

LAYOUT = 1


class Certificate(Record):
    """The record of one removal.

    Attributes:
        names: as given on the command line.
        status: "finished" once no file of the workspace mentions the sources.
        before: everything that was found: sources, clips, files with their digests, published folders.
        elsewhere: what was found outside of the workspace: which training runs saw which sample at which step, videos,
            exports.
        retraining: how the training runs continue without the sources.
        after: published folders after the removal.
        files_searched: files of the workspace that were searched for the content ids at the end.
        steps: what was done, in order.
        own_digest: SHA-256 of the rest of the record.
    """

    layout: int = LAYOUT
    written_by: str = f"mvideo {__version__}"
    workspace: str
    names: list[str]
    status: Literal["unfinished", "finished"] = "unfinished"
    started: str = ""
    finished: str = ""
    before: Trace
    elsewhere: Elsewhere = Elsewhere()
    retraining: list[Retraining] = []
    after: dict[str, dict[str, str]] = {}
    files_searched: int = 0
    steps: list[str] = []
    own_digest: str = ""

    @property
    def content_digest(self) -> str:
        """The correct value of `own_digest`."""
        return digest(self.model_dump(mode="json", exclude={"own_digest"}))


class CertificateFile:
    """Where the certificate of a removal is.

    Args:
        path: "" = `forget-<digest of workspace and names>.json` in the current folder, so that the same command finds
            it again.

    Raises:
        ConfigError: the place is inside of the workspace.
    """

    def __init__(self, workspace: Workspace, names: list[str], path: str = ""):
        self.workspace, self.names = workspace, names
        self.path = Path(path or f"forget-{digest([workspace.folder.url, sorted(names)])[:12]}.json").absolute()
        if workspace.folder.is_local and self.path.resolve().is_relative_to(Path(workspace.folder.root).resolve()):
            raise ConfigError(
                f"--certificate {self.path}: inside of the workspace, which must not name what was forgotten; "
                "give a path outside"
            )

    def read(self) -> Certificate | None:
        """The certificate of an earlier run of the same removal; None if there is none.

        Raises:
            ConfigError: it is of another removal, or of one that is finished.
            StoreError: it is damaged.
        """
        if not self.path.exists():
            return None
        try:
            found = Certificate.model_validate(json.loads(self.path.read_bytes()))
        except ValueError as error:
            raise StoreError(
                f"{self.path}: not a certificate ({problems_of(error)}); give another --certificate"
            ) from None
        if found.own_digest != found.content_digest:
            raise StoreError(f"{self.path}: changed since it was written; give another --certificate")
        if found.status == "finished" or sorted(found.names) != sorted(self.names):
            raise ConfigError(
                f"{self.path}: the {found.status} certificate of {', '.join(found.names)}; give another --certificate"
            )
        return found

    def write(self, certificate: Certificate) -> Certificate:
        """Replace the file; returns the record with its digest."""
        full = certificate.model_copy(update={"own_digest": certificate.content_digest})
        write_whole(self.path, full.model_dump_json(indent=1) + "\n")
        return full


def now() -> str:
    """The time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")

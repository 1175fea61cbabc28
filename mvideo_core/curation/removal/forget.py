"""One removal, from the search to the certificate; a killed one continues from its certificate."""

from collections.abc import Callable, Sequence
from pathlib import Path

from mvideo_core.curation.removal.certificate import Certificate, CertificateFile, now
from mvideo_core.curation.removal.copies import Copy, find_copies
from mvideo_core.curation.removal.elsewhere import look_elsewhere, open_courses, plan_retraining, remove_elsewhere
from mvideo_core.curation.removal.rebuild import plan_rebuild, remove_sources
from mvideo_core.curation.removal.trace import TracedSource, choose_sources, find_published, trace
from mvideo_core.store.workspace import Workspace


class Removal:
    """What would be removed; nothing is changed before `apply`.

    Args:
        names: of the sources, see `choose_sources`.
        certificate: path of the certificate; see `CertificateFile`.
        search: folders of training runs, generated videos and exports.
        copies: include re-uploads of the sources (`copies.py`).

    Attributes:
        before: what the workspace holds of them, or held when a killed removal began.
        elsewhere: what the searched folders hold, or held.
        shared: sources that have some clips in common with them, but less than half of their own; they stay.

    Raises:
        ConfigError: a name matches nothing, or the certificate is of another removal.
    """

    def __init__(
        self,
        workspace: Workspace,
        names: list[str],
        certificate: str = "",
        search: Sequence[Path] = (),
        copies: bool = False,
    ):
        self.workspace, self.names = workspace, names
        self.shared: list[Copy] = []
        self.file = CertificateFile(workspace, names, certificate)
        self.started = self.file.read()
        if self.started is not None:
            self.before, self.elsewhere = self.started.before, self.started.elsewhere
            return
        chosen = choose_sources(workspace, names)
        self.before = trace(workspace, [*chosen, *self._copies(chosen)] if copies else chosen)
        self.elsewhere = look_elsewhere(search, self.before.ids())

    def _copies(self, chosen: Sequence[TracedSource]) -> list[TracedSource]:
        """Re-uploads of some sources."""
        found = find_copies(self.workspace, [one.key for one in chosen])
        self.shared = [one for one in found if not one.whole]
        whole = {one.key: one for one in found if one.whole}
        traced = choose_sources(self.workspace, list(whole)) if whole else []
        return [
            one.model_copy(update={"why": whole[one.key].words()}) if one.key in whole else one
            for one in traced
            if one.key not in {named.key for named in chosen}
        ]

    def apply(self, say: Callable[[str], None]) -> Certificate:
        """Remove, rebuild, search, certify.

        Args:
            say: called with each step when it is done.

        Returns:
            The finished certificate.

        Raises:
            ConfigError, ModelError: the rebuilding would change more than the removal; nothing was touched.
            StoreError: a live process uses the workspace, or a file still mentions a source.
        """
        redo = plan_rebuild(self.workspace, self.before)
        record = self.started or Certificate(
            workspace=self.workspace.url, names=self.names, before=self.before, elsewhere=self.elsewhere, started=now()
        )
        courses = open_courses(self.elsewhere)
        self.file.write(record)
        steps: list[str] = []

        def note(step: str) -> None:
            steps.append(step)
            say(step)

        n_files = remove_sources(self.workspace, self.before, redo, note)
        dataset, latents = (self._find_published(name) for name in ("dataset", "latents"))
        retraining = plan_retraining(self.elsewhere, courses, latents)
        remove_elsewhere(self.elsewhere, self.before.ids(), dataset, note)
        done = {
            "status": "finished", "finished": now(), "after": find_published(self.workspace), "files_searched": n_files,
            "steps": [*record.steps, *steps], "retraining": retraining,
        }  # fmt: skip
        return self.file.write(record.model_copy(update=done))

    def _find_published(self, name: str) -> str:
        """Folder of the current dataset or latents; "" if there is none."""
        pointer = self.workspace.pointer(name)
        return f"{self.workspace.folder.url.rstrip('/')}/{pointer['path']}" if pointer else ""

"""A process that runs one stage and stops in the middle: files of its first batch are written, nothing says so yet.

python -m tests.mvideo_core.engine.held WORKSPACE STAGE FLAGS [OPTIONS]

It makes FLAGS/held, waits for FLAGS/go, and finishes. OPTIONS is JSON over the options of the profile mini.
"""

import dataclasses
import json
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from mvideo_core.engine.stage import Item, Stage
from mvideo_core.store.workspace import Workspace

WAIT_S = 120.0


@contextmanager
def held(workspace: Workspace, stage: str, flags: Path, wait_s: float = WAIT_S, **options):
    """The process, held; after the block it is let go and must end well, unless the block killed it."""
    flags.mkdir()
    words = [workspace.folder.root, stage, str(flags), json.dumps(options)]
    child = subprocess.Popen([sys.executable, "-m", __name__, *words], stderr=subprocess.PIPE, text=True)
    try:
        wait_for(flags / "held", child, wait_s)
        yield child
        (flags / "go").touch()
        errors = child.communicate(timeout=WAIT_S)[1]
        assert child.returncode in (0, -9), errors
    finally:
        child.kill()
        child.wait()


def wait_for(path: Path, child: subprocess.Popen | None = None, wait_s: float = WAIT_S) -> None:
    deadline = time.monotonic() + wait_s
    while not path.exists():
        if child is not None and child.poll() is not None:
            raise AssertionError(f"the child ended: {child.communicate()[1]}")
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)


class Pause:
    def __init__(self, flags: Path):
        self.flags = flags

    def __call__(self) -> None:
        if not (self.flags / "held").exists():
            (self.flags / "held").touch()
            wait_for(self.flags / "go")


def pausing(stage: Stage, pause: Pause) -> Stage:
    """The same stage; its worker pauses when the first batch is worked on, before its rows are journaled."""

    def open_(options, context):
        worker = stage.open(options, context)
        stream = worker.stream

        def paused(items: list[Item]):
            results = list(stream(items))
            pause()
            yield from results

        worker.stream = paused
        return worker

    return dataclasses.replace(stage, open=open_)


def main(url: str, name: str, flags: str, options: str) -> None:
    from mvideo_core.curation.pipeline import load_profile
    from mvideo_core.curation.stages.encode import plan_latents
    from mvideo_core.curation.stages.publish import publish_dataset
    from mvideo_core.curation.stages.publish_latents import publish_latents
    from mvideo_core.curation.stages.samples import plan_dataset
    from mvideo_core.engine import STAGES
    from mvideo_core.engine.run import run_stage
    from mvideo_core.pages.data_report import build as report
    from tests.mvideo_core.engine import toy

    workspace, pause = Workspace(url), Pause(Path(flags))
    if name == "report":
        render = report.render_report
        report.render_report = lambda *given: (pause(), render(*given))
        report.build_report(workspace)
        return
    stage = STAGES.get(name)
    assert toy.LETTERS.name in STAGES.names()
    given = json.loads(options)
    profile = load_profile("mini", {} if name.startswith("toy") or name == "encode" else {name: given})
    chosen = profile.of(name) if hasattr(profile, name) else stage.options.parse(given)
    parts = None
    if name == "shard":
        parts = range(plan_dataset(workspace, chosen))
    if name == "encode":
        parts = range(plan_latents(workspace))
    run_stage(workspace, pausing(stage, pause), chosen, parts=parts)
    if name == "shard":
        publish_dataset(workspace, chosen)
    if name == "encode":
        publish_latents(workspace, chosen)


if __name__ == "__main__":
    main(*sys.argv[1:])

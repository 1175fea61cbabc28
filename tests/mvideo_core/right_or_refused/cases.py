"""What the cases share: their registration, the command line, refusals, and a finished run."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from mvideo_core.base.errors import MVideoError
from mvideo_core.cli import main
from mvideo_core.store.workspace import Workspace
from tests.mvideo_core.engine.finished import finish


class Cases(dict):
    """Name of a kind of silent wrongness -> its case, a function of an empty folder."""

    def kind(self, name):
        """Decorator that registers the case of a kind."""

        def add(function):
            self[name] = function
            return function

        return add


def mvideo(*words):
    """(exit code, what was printed, our error) of a command."""
    done = CliRunner().invoke(main.app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit | MVideoError):
        raise done.exception
    return done.exit_code, done.output, done.exception if isinstance(done.exception, MVideoError) else None


def refusal(work, *words):
    """The one line of an error of ours, with words that it must hold."""
    with pytest.raises(MVideoError) as caught:
        work()
    said = str(caught.value)
    assert "\n" not in said
    assert all(str(word) in said for word in words), said


def finished(tmp_path, **videos):
    workspace = Workspace(str(tmp_path / "ws"))
    finish(workspace, tmp_path, videos or {"a": 2})
    return workspace


def published(workspace):
    return Path(workspace.folder.at(workspace.pointer("dataset")["path"]))

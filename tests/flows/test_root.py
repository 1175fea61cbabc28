import logging
import os
from pathlib import Path

import pytest

from mvideo.flows._root import enter_root, in_root, root
from mvideo_core.base.errors import ConfigError
from tests.reference import REPOSITORY


def test_the_variable_wins_over_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MVIDEO_ROOT", str(tmp_path))
    assert root() == (tmp_path, "MVIDEO_ROOT")
    monkeypatch.delenv("MVIDEO_ROOT")
    assert root().path == REPOSITORY


@pytest.mark.parametrize("value", ["relative", "/no/such/folder"])
def test_a_root_that_is_no_folder_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MVIDEO_ROOT", value)
    with pytest.raises(ConfigError, match=f"MVIDEO_ROOT={value}: no such folder; give the absolute path"):
        root()


def test_entering_moves_the_process_and_names_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setenv("MVIDEO_ROOT", str(tmp_path))
    with caplog.at_level(logging.INFO, "mvideo.flows._root"):
        enter_root()
    assert Path.cwd() == tmp_path
    assert caplog.messages == [f"relative paths count from {tmp_path} (MVIDEO_ROOT)"]


def test_a_direct_call_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert in_root(os.getcwd)() == str(tmp_path)

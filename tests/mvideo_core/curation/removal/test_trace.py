"""Which sources a name stands for."""

from pathlib import Path

import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.records import VideoRow
from mvideo_core.curation.removal.trace import choose_sources
from mvideo_core.store.workspace import Workspace
from tests.mvideo_core.engine.finished import commit, finish


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two sources with the same bytes, one of them with an address."""
    workspace = Workspace(str(tmp_path / "ws"))
    finish(workspace, tmp_path, {"a": 1, "b": 1})
    same = {"sha256": "5" * 64, "source_url": "https://host/a"}
    rows = [VideoRow(key="a", parent="a", **same), VideoRow(key="b", parent="b", sha256="5" * 64)]
    commit(workspace, "ingest", 0, rows)
    return workspace


def test_byte_equal_sources_go_together(workspace: Workspace) -> None:
    found = choose_sources(workspace, ["https://host/a"])
    assert [(one.key, one.why) for one in found] == [("a", "named"), ("b", "same bytes as a")]
    assert [one.why for one in choose_sources(workspace, ["5" * 64])] == ["named", "named"]


def test_a_name_that_matches_nothing_is_answered_with_similar_ones(workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match=r"no source is called 'https://host/c'; .* such as a, b$"):
        choose_sources(workspace, ["a", "https://host/c"])

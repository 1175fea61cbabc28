from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from mvideo.tasks import _items
from mvideo.tasks.encode import plan_encode
from mvideo.tasks.report import report
from mvideo.tasks.shard import plan_shards
from mvideo.tasks.stages import Parts
from mvideo_core.base.errors import ConfigError
from mvideo_core.shards.options import ShardOptions
from mvideo_core.store.workspace import Workspace
from tests.flows.toy import ToyOptions, planned, toy_a, toy_b


def test_a_task_works_without_a_server_and_reuses_what_is_there(tmp_path: Path) -> None:
    url, n_parts = planned(tmp_path, ["a", "bb", "ccc", "dddd", "bad"], part_size=5)
    parts = Parts(workspace=url, indices=(0,))
    assert n_parts == 1
    first = toy_a.fn(parts, ToyOptions(factor=3))
    assert first.counts == {"items": 5, "reused": 0, "ok": 4, "filtered": 0, "failed": 1}
    assert first.reused == 0
    again = toy_a.fn(parts, ToyOptions(factor=3))
    assert again.reused == 1
    assert again.counts == first.counts
    marker = Workspace(url).current("toy-a", 0)
    assert marker is not None
    from tests.flows.toy import ToyRow

    numbers = {row.key: row.number for row in Workspace(url).rows(marker, ToyRow) if row.status == "ok"}
    assert numbers == {"a": 3, "bb": 6, "ccc": 9, "dddd": 12}


def test_a_stage_before_its_upstream_says_which_command_is_missing(tmp_path: Path) -> None:
    url, _ = planned(tmp_path, ["a"])
    with pytest.raises(ConfigError, match="mvideo stage toy-a"):
        toy_b.fn(Parts(workspace=url, indices=(0,)), ToyOptions())


def test_labels_name_single_parts_and_slices() -> None:
    assert Parts(workspace="w", indices=(3,)).label == "part 3"
    assert Parts(workspace="w", indices=(0, 1, 2)).label == "parts 0-2"
    assert Parts(workspace="w", indices=(0, 4, 9)).label == "parts 0-9 (3)"


def test_item_counts_keep_what_was_there_at_first() -> None:
    _items.forget("w", "cut")
    for done in (2, 3, 7):
        _items.note("w", "cut", 0, done, 10)
    _items.note("w", "cut", 1, 5, 5)
    assert _items.item_counts("w", "cut") == {0: (2, 7, 10), 1: (5, 5, 5)}
    _items.forget("w", "cut")
    assert _items.item_counts("w", "cut") == {}


@pytest.mark.parametrize("task", [report.fn, plan_encode.fn, partial(plan_shards.fn, options=ShardOptions())])
def test_a_task_that_reads_a_workspace_refuses_a_missing_one_and_creates_nothing(
    task: Callable[[str], object], tmp_path: Path
) -> None:
    missing = tmp_path / "ws"
    with pytest.raises(ConfigError, match="no workspace there"):
        task(str(missing))
    assert not missing.exists()

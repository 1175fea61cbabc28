"""TensorBoard and W&B files, read back with their own readers: one value per step over a crash and a resume."""

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from mvideo_core.base.errors import ConfigError
from mvideo_core.training import main
from mvideo_core.training.callbacks.base import Callback
from mvideo_core.training.callbacks.metrics import read_metrics
from mvideo_core.training.distributed import World
from mvideo_core.training.options import TrainOptions

Make = Callable[..., TrainOptions]
ALONE = World(0, 0, 1, torch.device("cpu"))
NAMES = ("train/loss", "train/rate", "val/loss_diffusion")


class Crash(Callback):
    """Last in the list: step 3 is in the trackers, and after the newest checkpoint."""

    def __init__(self, seen: Callable[[], Any]):
        self.seen, self.at_crash = seen, None

    def on_step(self, trainer: Any, metrics: dict[str, Any]) -> None:
        if trainer.step == 3:
            self.at_crash = self.seen()
            raise RuntimeError("as if killed")


def crashed_and_resumed(make: Make, seen: Callable[[], Any], **tracker: Any) -> tuple[TrainOptions, Any]:
    """A run of five steps with checkpoints after 2 and 4 that dies in step 3, and what `seen` gave just before."""
    values: dict[str, Any] = {"steps": 5, "validation": {"every": 2, "bins": 2}, "metrics": {"every": 1, **tracker}}
    trainer, close = main.build(make(**values), ALONE)
    crash = Crash(seen)
    trainer.callbacks.append(crash)
    with pytest.raises(RuntimeError, match="as if killed"):
        trainer.fit()
    close()
    options = make(**values, optimizer={"rate": {"peak": 5e-4}}, allow=["optimizer.rate.peak"])
    main.train(options)
    return options, crash.at_crash


def expected(options: TrainOptions, name: str) -> list[tuple[int, float]]:
    return [(line["step"], line[name]) for line in read_metrics(options.out) if name in line]


def scalars(folder: Path, name: str) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


def test_tensorboard_has_each_step_once_with_the_values_of_the_metrics_file(tiny: Make, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "run" / "tensorboard"
    options, at_crash = crashed_and_resumed(tiny, lambda: scalars(folder, "train/loss"), tensorboard=True)
    assert [step for step, _ in at_crash] == [1, 2, 3]  # nothing waits in memory for a crash
    for name in NAMES:
        read = scalars(folder, name)
        assert [step for step, _ in read] == [step for step, _ in expected(options, name)], name
        for (_, value), (_, wanted) in zip(read, expected(options, name), strict=True):
            assert value == pytest.approx(wanted, rel=1e-5), name
    assert [rate for _, rate in scalars(folder, "train/rate")] == pytest.approx([1e-3, 1e-3, 5e-4, 5e-4, 5e-4])
    events = EventAccumulator(str(folder))
    events.Reload()
    (mark,) = events.Tensors("changed/text_summary")
    assert (mark.step, mark.tensor_proto.string_val[0].decode()) == (
        3, "optimizer.rate.peak 0.001 -> 0.0005 after step 2",
    )  # fmt: skip


def records(path: Path) -> Iterator[bytes]:
    """Records of a .wandb file: 7 bytes of its own, then LevelDB's log format, blocks of 32 KiB.

    Each piece has a checksum (4 bytes), a length (2) and a kind (1: whole, 2: first, 3: middle, 4: last).
    """
    content, place, whole = path.read_bytes(), 7, b""
    assert content[:4] == b":W&B"
    while place + 7 <= len(content):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        whole += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            yield whole
            whole = b""


def wandb_runs(run: Path) -> list[tuple[str, str, int | None, list[dict[str, Any]]]]:
    """(id, project, exit code, lines of history) of each start, oldest first."""
    from wandb.proto.wandb_internal_pb2 import Record

    starts = []
    for path in sorted(run.glob("wandb/offline-run-*/*.wandb"), key=lambda one: one.stat().st_mtime_ns):
        id_, project, code, history = "", "", None, []
        for content in records(path):
            record = Record.FromString(content)
            kind = record.WhichOneof("record_type")
            if kind == "run":
                id_, project = record.run.run_id, record.run.project
            elif kind == "exit":
                code = record.exit.exit_code
            elif kind == "history":
                items = {
                    item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item
                }
                history.append(items | {"_step": record.history.step.num})
        starts.append((id_, project, code, history))
    return starts


@pytest.mark.slow
def test_wandb_has_each_step_once_in_one_run(tiny: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Step 3 was there before the crash: W&B keeps its first value, all others are those of the metrics file."""
    import wandb

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    options, _ = crashed_and_resumed(tiny, lambda: None, wandb_project="mvideo-test")
    wandb.teardown()  # finish() returns before W&B's own process has written everything
    starts = wandb_runs(tmp_path / "run")
    assert len(starts) == 2
    assert len({id_ for id_, *_ in starts}) == 1
    assert [project for _, project, *_ in starts] == ["mvideo-test"] * 2
    assert [code for *_, code, _ in starts] == [1, 0]
    history = [line for *_, lines in starts for line in lines if "train/loss" in line]
    assert [line["_step"] for line in history] == [1, 2, 3, 4, 5]
    for name in NAMES:
        read = [(line["_step"], line[name]) for line in history if name in line]
        wanted = [(step, value) for step, value in expected(options, name) if step != 3]
        assert [pair for pair in read if pair[0] != 3] == wanted, name
    assert history[2]["train/rate"] == 1e-3


def test_wandb_that_cannot_start_is_one_line(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    wandb.teardown()  # forget the mode of the other test
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "")
    with pytest.raises(ConfigError, match=r"wandb_project p: W&B does not start \(.*WANDB_MODE=offline"):
        main.train(tiny(metrics={"wandb_project": "p"}))

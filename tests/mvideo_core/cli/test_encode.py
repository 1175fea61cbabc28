from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

from mvideo_core.base.errors import ConfigError
from mvideo_core.cli import encode
from mvideo_core.store.workspace import Workspace
from mvideo_core.training.latents.cache import LatentDataset
from tests.mvideo_core.training.latents.drawn import dataset


@pytest.fixture
def run():
    app = typer.Typer()
    app.callback()(lambda: None)  # a group, also with a single command
    encode.add_to(app)
    return lambda *words: CliRunner().invoke(app, ["encode", *(str(word) for word in words)])


def test_options_file_settings_and_weights_and_what_is_told(run, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    dataset(Workspace(str(tmp_path / "ws")), tmp_path, {"a": 17, "b": 8, "c": 9})
    options = tmp_path / "latents.yaml"
    options.write_text("base: {weights: nowhere, dtype: fp32}\nstore_logvar: true\n")
    words = ("-w", tmp_path / "ws", "-o", options, "-s", "store_logvar=false", "--weights", "random:tiny-sincos")
    first = run(*words)
    assert first.exit_code == 0, first.exception
    lines = first.output.splitlines()
    assert lines[0].startswith("encode   1 shards, 1 clips filtered in ")
    assert lines[0].endswith("s, 0 of 1 parts were already done (filtered:clip_too_short x1)")
    found = LatentDataset(lines[1].removeprefix("latents: "))
    assert sorted(found.ids) == ["a-w00008", "c-w00000"]
    assert found.get(0).target_logvar_FCHW is None
    assert lines[2].startswith("train  2 windows (1 with history) of 2 clips, 0.0 MB")
    assert "1 of 1 parts were already done" in run(*words).output


def test_an_unknown_option_lists_the_known_ones(run, tmp_path: Path) -> None:
    failed = run("-w", tmp_path / "ws", "-s", "batch=3")
    assert isinstance(failed.exception, ConfigError)
    assert "batch_size" in str(failed.exception)

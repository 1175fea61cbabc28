"""The command line imports what a command needs, when it is used, and nothing heavier than that for a help page."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from mvideo_core.cli.commands import COMMANDS, load
from mvideo_core.cli.main import app
from mvideo_core.store.workspace import Workspace
from tests.mvideo_core.engine.finished import finish

HEAVY = {"torch", "torchvision", "diffusers", "transformers", "prefect", "pyarrow", "av", "cv2", "ray", "tensorboard"}
NOT_FOR_A_LIST = {*HEAVY, "numpy", "pydantic", "yaml", "httpx"}

EVERY_HELP = """
from typer._click.core import Context
from mvideo_core.cli.commands import COMMANDS, load

def show(command, parent, name):
    context = Context(command, info_name=name, parent=parent)
    command.get_help(context)
    for inner in getattr(command, "commands", {}):
        show(command.commands[inner], context, inner)
    return 1 + len(getattr(command, "commands", {}))

n_pages = sum(show(load(name), None, name) for name in (*COMMANDS, "server"))
assert n_pages > 50, n_pages
"""


def imported(code: str) -> set[str]:
    """Top-level packages that a fresh Python has imported after the code, in a process of its own."""
    tail = "\nimport sys; print('MODULES', *sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code + tail], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return set(done.stdout.rpartition("MODULES")[2].split())


def of_command(*words: str) -> set[str]:
    """The same after `mvideo WORDS`."""
    return imported(
        f"import sys\nsys.argv = {['mvideo', *words]!r}\nfrom mvideo_core.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code"
    )


def test_the_list_of_commands_imports_next_to_nothing() -> None:
    found = of_command("--help")
    assert "typer" in found
    assert not NOT_FOR_A_LIST & found


def test_status_of_finished_parts_imports_no_model_no_server_and_no_table_reader(tmp_path: Path) -> None:
    finish(Workspace(str(tmp_path / "ws")), tmp_path, {"a": 1})
    found = of_command("status", "--workspace", str(tmp_path / "ws"))
    assert "pydantic" in found
    assert not HEAVY & found


def test_no_help_page_imports_anything_heavy() -> None:
    assert not HEAVY & imported(EVERY_HELP)


def test_the_check_sees_a_heavy_import() -> None:
    code = "from mvideo_core.store.tables import schema_of\nfrom mvideo_core.base.records import ClipRow\n"
    assert "pyarrow" in imported(f"{code}schema_of(ClipRow)")


@pytest.mark.parametrize("module", sorted({entry.module for entry in COMMANDS.values()}))
def test_the_index_names_every_command_of_a_module(module: str) -> None:
    whole = typer.Typer()
    whole.callback()(lambda: None)
    importlib.import_module(f"mvideo_core.cli.{module}").add_to(whole)
    commands = typer.main.get_command(whole).commands  # type: ignore[attr-defined]
    assert set(commands) == {name for name, entry in COMMANDS.items() if entry.module == module}


def test_a_name_is_loaded_and_a_wrong_one_is_answered_with_names_like_it() -> None:
    assert load("status").name == "status"
    assert load("server").name == "server"
    assert load("statu") is None
    wrong = CliRunner().invoke(app, ["statu"])
    assert wrong.exit_code == 2
    assert "'status'" in wrong.output
    assert "Prefect server and workers" in CliRunner().invoke(app, ["--help"]).output

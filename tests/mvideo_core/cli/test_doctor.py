"""`mvideo doctor` as a program: text, JSON, exit codes, and what it does not import."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mvideo_core.cli import doctor, main


@pytest.fixture(scope="module")
def run():
    app = main.typer.Typer()
    app.callback()(lambda: None)
    doctor.add_to(app)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def test_this_machine_is_fine_and_the_json_says_the_same_as_the_text(run) -> None:
    text, answer = run("doctor"), run("doctor", "--json")
    assert (text.exit_code, answer.exit_code) == (0, 0)
    found = json.loads(answer.output)
    assert found["problems"] == 0
    assert {one["check"] for one in found["findings"]} >= {"ffmpeg", "torch", "python", "open files", "prefect"}
    assert text.output.splitlines()[-1].startswith("0 problems, ")


def test_a_large_profile_fails_here_with_a_next_step_for_each_problem(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MVIDEO_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    done = run("doctor", "--training", "mvideo-2b", "--json")
    assert done.exit_code == 1
    problems = [one for one in json.loads(done.output)["findings"] if one["status"] == "problem"]
    assert {one["check"] for one in problems} == {"training", "weights"}
    assert all("Options" in one["what"] or "weights" in one["what"] for one in problems)


def test_doctor_alone_does_not_import_torch_or_prefect() -> None:
    code = (
        "import sys; from mvideo_core.doctor import ALL, CheckContext, run_checks; "
        "list(run_checks(ALL, CheckContext()));"
        "print([name for name in ('torch', 'prefect', 'diffusers', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {})
    assert done.stdout.strip() == "[]", done.stderr

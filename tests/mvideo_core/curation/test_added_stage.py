"""A stage of another package, put between two others by an entry point: run, report, form, task and deployment."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.tiny import draw_videos, write_models, write_profile

STAGE = '''
from pydantic import Field
from mvideo_core.base.options import Options
from mvideo_core.base.records import ClipRow, Row
from mvideo_core.engine.stage import Stage, Worker


class LateOptions(Options):
    """Which clips count as late."""

    from_s: float = Field(default=1.5, description="Start of a clip in its video from which it is kept, seconds.")


class LateRow(Row):
    """When a clip starts."""

    start_s: float = 0.0


class LateWorker(Worker):
    def __init__(self, options, context):
        self.options = options

    def work(self, items):
        return [[self.judge(item.row(ClipRow))] for item in items]

    def judge(self, clip):
        if clip.start_s < self.options.from_s:
            return LateRow.filter_row(clip.key, clip.key, "early", clip.start_s, self.options.from_s)
        return LateRow(key=clip.key, parent=clip.key, start_s=clip.start_s)


STAGE = Stage(
    name="late", revision=1, reads=("cut",), options=LateOptions, row=LateRow, resource="cpu", open=LateWorker,
    title="Keeps clips that start late.", before="detect",
)
'''
COMMANDS = """
import json, sys
from mvideo_core.cli.main import app
for words in json.loads(sys.argv[1]):
    app(words, standalone_mode=False)
    print("-- end of command --", flush=True)
"""
"""Several command lines in one process, which imports the networks once."""

FORM = """
import json
from prefect.utilities.callables import parameter_schema
from mvideo.deployments._setup import in_pool
from mvideo.deployments.prefect_plugin import asks_for_ours, with_full_names
from mvideo.flows import stages
from mvideo.flows.build_mask_dataset import build_mask_dataset
from mvideo.tasks.stages import TASKS
form = parameter_schema(build_mask_dataset)
command = with_full_names("prefect deployment run late".split())
print(json.dumps({
    "fields": sorted(form.definitions["LateOptions"]["properties"]), "parameter": "late" in form.properties,
    "task": [TASKS["late"].name, *TASKS["late"].tags], "flow": stages.late.name,
    "deployment": next(one["entrypoint"] for one in in_pool("ours")["deployments"] if one["name"] == "late"),
    "command": command, "needs a server": asks_for_ours(command),
}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos of two shots, a profile, and a package with the stage, as an installer would leave it."""
    folder = tmp_path_factory.mktemp("added")
    draw_videos(folder / "videos", 2)
    write_profile(folder / "tiny.yaml", write_models(folder / "models"), part_size=2)
    install(folder / "packages", STAGE)
    return folder


def install(place: Path, code: str) -> None:
    """The module `late_clips` and its entry point."""
    facts = place / "late_clips-1.0.dist-info"
    facts.mkdir(parents=True)
    (place / "late_clips.py").write_text(code)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: late-clips\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[mvideo.stages]\nlate = late_clips:STAGE\n")


def python(packages: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A Python process that has the package."""
    path = os.pathsep.join([str(packages), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, env=environment, check=False)


def mvideo(packages: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return python(packages, "-m", "mvideo_core.cli.main", *words)


def test_it_runs_between_its_neighbors_and_stands_in_the_report(folder: Path) -> None:
    ws = str(folder / "ws")
    words = ["run", "-w", ws, "--folder", str(folder / "videos"), "-p", str(folder / "tiny.yaml")]
    commands = [words, ["status", "-w", ws], [*words, "--set", "late.from_s=0"]]
    done = python(folder / "packages", "-c", COMMANDS, json.dumps(commands))
    assert done.returncode == 0, done.stderr
    first, status, again, _ = done.stdout.split("-- end of command --\n")
    counts = re.findall(r"^(\w+) +(\d+) ok, (\d+) filtered", first, re.MULTILINE)
    assert [name for name, *_ in counts] == ["ingest", "cut", "late", "detect", "segment", "caption", "shard"]
    by_name = {name: (int(ok), int(out)) for name, ok, out in counts}
    assert by_name["cut"][0] == 4  # two videos of two shots
    assert by_name["late"] == (2, 2)  # the second shot of each starts after 3 s, the first at its start
    assert by_name["detect"][0] == 2  # works on what is left
    page = Path(re.findall(r"report: (\S+)", first)[0]).read_text()
    assert page.index("cut") < page.index("early")
    assert re.search(r"^late ", status, re.MULTILINE), status
    keys = {line.split("/")[-1] for line in status.splitlines() if "segment" in line}
    assert keys
    assert re.search(r"^late +4 ok, 0 filtered", again, re.MULTILINE), again + done.stderr
    assert re.search(r"^detect +4 ok", again, re.MULTILINE)


def test_form_task_flow_and_deployment_follow_from_its_declaration(folder: Path) -> None:
    done = python(folder / "packages", "-c", FORM)
    assert json.loads(done.stdout) == {
        "fields": ["from_s"], "parameter": True, "task": ["late", "cpu"], "flow": "late",
        "deployment": "mvideo.flows.stages.late", "command": ["prefect", "deployment", "run", "late/late"],
        "needs a server": True,
    }  # fmt: skip


MISFITS = [
    ('before="detect"', 'before="nowhere"', "before='nowhere'; allowed: cut, clean, detect, segment, caption"),
    ('reads=("cut",)', 'reads=("segment",)', "reads=('segment',); allowed before detect: source, ingest, cut"),
    ('name="late"', 'name="later"', "its entry point is named 'late'; give both the same name"),
    ("STAGE = Stage(", "STAGE = dict(", "is a dict, not a Stage"),
]
MORE_MISFITS = [
    ('name="late"', 'name="cut"', "the name is taken"),
    ('name="late"', 'name="run"', "the name is taken"),
    ('title="Keeps', 'unit="sample", title="Keeps', "allowed before the samples: video, clip"),
    ("row=LateRow", "row=ClipRow", "row=ClipRow belongs to stage cut"),
    ("revision=1, ", "", "does not load: TypeError"),
    ("import Stage, Worker", "import Stage, Workers", "does not load"),
]


@pytest.mark.parametrize(
    ("old", "new", "message"), [*MISFITS, *(pytest.param(*one, marks=pytest.mark.slow) for one in MORE_MISFITS)]
)
def test_one_that_does_not_fit_is_refused_in_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    install(tmp_path / "packages", STAGE.replace(old, new))
    done = mvideo(tmp_path / "packages", "profiles", "mini")
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1

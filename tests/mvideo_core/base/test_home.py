"""Users without a home: unit cases, and the command line under a user id that /etc/passwd does not know."""

import os
import pwd
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.home import ensure_home

FOREIGN = 12345
HERE = Path(__file__).parents[3]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_home_that_is_there_is_left_alone(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "USER": "me"}
    assert ensure_home(environment) is None
    assert environment == {"HOME": str(tmp_path), "USER": "me"}
    assert ensure_home(without := {}) is None  # the passwd entry has one
    assert "HOME" not in without


def test_a_home_that_does_not_exist_becomes_a_private_folder(temporary: Path, caplog: pytest.LogCaptureFixture) -> None:
    environment = {"HOME": "/nonexistent", "USER": "me"}
    made = temporary / f"mvideo-home-{os.getuid()}"
    assert ensure_home(environment) == made == Path(environment["HOME"])
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert f"(HOME is /nonexistent): using {made}; set HOME, or MVIDEO_WEIGHTS and MVIDEO_STATE" in caplog.text
    assert ensure_home(dict(environment)) is None


def test_a_folder_of_somebody_else_is_refused(temporary: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (temporary / f"mvideo-home-{os.getuid()}").symlink_to(tmp_path / "theirs")
    with pytest.raises(ConfigError, match="belongs to another user; set HOME"):
        ensure_home({"HOME": "/nonexistent"})


@pytest.fixture
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The start of a Python command line under a foreign user id without HOME; it may read everything."""
    if os.getuid() != 0:
        pytest.skip("another user id needs root")
    with pytest.raises(KeyError):
        pwd.getpwuid(FOREIGN)
    place = Path(tempfile.mkdtemp(prefix="mvideo-foreign-"))
    place.chmod(0o777)
    unset = [
        word for name in ("HOME", "XDG_CACHE_HOME", "USER", "LOGNAME", "LNAME", "USERNAME") for word in ("-u", name)
    ]
    ids = ["--reuid", str(FOREIGN), "--regid", str(FOREIGN), "--clear-groups"]
    reading = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]  # an interpreter in somebody's home
    start = ["setpriv", *ids, *reading, "env", *unset, f"TMPDIR={place}", f"PYTHONPATH={HERE}", sys.executable]
    if subprocess.run([*start, "-c", ""], cwd=place, capture_output=True).returncode:
        pytest.skip("setpriv may not change the user here")
    yield start
    subprocess.run(["rm", "-r", place], check=True)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("weights", "list"), 0, "groundingdino-mini"),
        (("server", "status"), 1, "nothing is running; start it with `mvideo server up`"),
        (("doctor", "--help"), 0, "Usage"),
    ],
)
def test_commands_work_under_a_foreign_user_id_without_home(
    foreign: list[str], words: tuple[str, ...], code: int, said: str
) -> None:
    done = subprocess.run(
        [*foreign, "-m", "mvideo_core.cli.main", *words], capture_output=True, text=True, cwd=HERE, timeout=120
    )
    assert done.returncode == code, done.stderr
    assert said in done.stdout
    assert "Traceback" not in done.stderr
    (warning,) = done.stderr.strip().splitlines()
    assert warning.startswith(f"user {FOREIGN} has no home directory (HOME is not set): using ")


@pytest.mark.slow
def test_torch_finds_a_place_for_its_compile_cache(foreign: list[str]) -> None:
    code = (
        "import getpass; from mvideo_core.base.home import ensure_home; ensure_home(); print(getpass.getuser())\n"
        "from torch._inductor.runtime.cache_dir_utils import cache_dir; print(cache_dir())"
    )
    own = {name: value for name, value in os.environ.items() if name != "TORCHINDUCTOR_CACHE_DIR"}  # set by compiling
    done = subprocess.run([*foreign, "-c", code], capture_output=True, text=True, cwd=HERE, timeout=120, env=own)
    assert done.stdout.splitlines()[0] == f"uid{FOREIGN}", done.stderr
    assert done.stdout.splitlines()[1].endswith(f"torchinductor_uid{FOREIGN}")


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Path]:
    """A dataset and latents that everybody may read, and a folder that everybody may write into."""
    from mvideo_core.store.workspace import Workspace
    from tests.fixtures.drawn_latents import draw_latents
    from tests.mvideo_core.training.latents.drawn import dataset

    place = Path(tempfile.mkdtemp(prefix="mvideo-shared-"))
    dataset(Workspace(str(place / "ws")), tmp_path, {"a": 17})
    draw_latents(place / "latents")
    (place / "out").mkdir()
    subprocess.run(["chmod", "-R", "a+rwX", place], check=True)
    yield place
    subprocess.run(["rm", "-r", place], check=True)


def run_as(foreign: list[str], *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [*foreign, "-m", "mvideo_core.cli.main", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=HERE, timeout=500)


def test_a_sample_is_extracted_under_a_foreign_user_id_without_home(foreign: list[str], shared: Path) -> None:
    from mvideo_core.curation.stages.publish import first_sample
    from mvideo_core.store.workspace import Workspace

    root, key = first_sample(Workspace(str(shared / "ws"))).split("#")
    done = run_as(foreign, "dataset", "extract", root, key, "--out", shared / "out" / "sample")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert (shared / "out" / "sample" / f"{key}.overlay.mp4").stat().st_uid == FOREIGN


@pytest.mark.slow
def test_a_training_ends_under_a_foreign_user_id_without_home(foreign: list[str], shared: Path) -> None:
    import yaml

    from tests.mvideo_core.training.conftest import TINY

    (shared / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    run = shared / "out" / "run"
    done = run_as(foreign, "train", "run", run, "--latents", shared / "latents", "-o", shared / "tiny.yaml")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert (run / "checkpoints" / "step-00000004" / "state.json").is_file()

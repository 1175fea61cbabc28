"""A wheel of this tree, and a virtual environment that has it instead of the checkout."""

import os
import shutil
import site
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

from tests.reference import REPOSITORY

PARTS = ("mvideo", "mvideo_core", "flows", "tasks", "deployments", "datasets", "prefect.yaml")


def build_wheel(folder: Path) -> Path:
    """Build a wheel from a copy of the tree, so that leftovers of other builds cannot get into it."""
    source = folder / "source"
    source.mkdir(parents=True)
    for name in (*PARTS, "pyproject.toml", "README.md", "LICENSE"):
        path = REPOSITORY / name
        if path.is_dir():
            shutil.copytree(path, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source / name)
    pip(sys.executable, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source))
    (wheel,) = folder.glob("*.whl")
    return wheel


def pip(python: str, *words: str) -> None:
    """Run this environment's pip for a Python."""
    command = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "--quiet", *words]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class Installed(NamedTuple):
    """A virtual environment with the wheel, and a home directory of its own.

    Attributes:
        added: top-level names that the wheel put into site-packages.
    """

    bin: Path
    home: Path
    added: frozenset[str]

    def environment(self, **more: str) -> dict[str, str]:
        """Variables of a user who knows nothing of a checkout."""
        kept = {name: os.environ[name] for name in ("LANG", "TMPDIR", "OMP_NUM_THREADS") if name in os.environ}
        path = f"{self.bin}:/usr/local/bin:/usr/bin:/bin"
        return {**kept, "HOME": str(self.home), "PATH": path, "DO_NOT_TRACK": "1", **more}

    def run(self, *words: str, cwd: Path, **more: str) -> "subprocess.CompletedProcess[str]":
        """One command line of this environment to its end."""
        return subprocess.run(
            [str(self.bin / words[0]), *words[1:]],
            cwd=cwd, env=self.environment(**more), capture_output=True, text=True, timeout=1200, check=False,
        )  # fmt: skip


def install(wheel: Path, folder: Path) -> Installed:
    """Make the environment: the wheel itself, and all other packages from the environment that runs the tests.

    A line of a .pth file adds a folder without reading the .pth files in it, so the checkout stays out of sight.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    binaries = folder / "venv" / "bin"
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    pip(str(binaries / "python"), "install", "--no-deps", "--no-index", str(wheel))
    added = frozenset(path.name for path in packages.iterdir() if not path.name.endswith(".dist-info"))
    (packages / "others.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    prefect = binaries / "prefect"
    prefect.write_text(
        textwrap.dedent(
            f"""\
            #!{binaries}/python
            import sys
            from prefect.cli import app
            sys.exit(app())
            """
        )
    )
    prefect.chmod(0o755)
    home = folder / "home"
    home.mkdir()
    return Installed(binaries, home, added)

"""Checks against machines that are really so: a driver's program, an ffmpeg, limits and disks of this test."""

import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from mvideo.deployments import checks as prefect_checks
from mvideo_core.base.errors import ConfigError, ModelError
from mvideo_core.doctor import ALL, CheckContext, Finding, check, require, run_checks
from mvideo_core.doctor.base import CHECKS
from mvideo_core.doctor.checks import disk, gpu, media, needed, system
from mvideo_core.training.options import load_profile

H100 = "0, GPU-aa, NVIDIA H100 80GB HBM3, {driver}, 81559, {free}, {capability}"


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts an nvidia-smi on the path that lists one GPU."""

    def put(driver: str = "580.95.05", free: int = 81000, capability: str = "9.0") -> None:
        program = tmp_path / "bin" / "nvidia-smi"
        program.parent.mkdir(exist_ok=True)
        line = H100.format(driver=driver, free=free, capability=capability)
        program.write_text(f"#!/bin/sh\necho '{line}'\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return put


def one(found: Iterator[Finding]) -> Finding:
    (finding,) = found
    return finding


def test_gpu_and_driver_are_named(driver) -> None:
    driver()
    assert one(gpu.gpu(CheckContext())).what == "GPU 0: NVIDIA H100 80GB HBM3, driver 580.95.05, 79.1 of 79.6 GiB free"


def test_two_opencvs_are_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The full one as pip leaves it: a folder of metadata on the path."""
    assert one(system.opencv(CheckContext())).what == "one OpenCV: opencv-python-headless"
    metadata = tmp_path / "opencv_python-4.11.0.86.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: opencv-python\nVersion: 4.11.0.86\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = one(system.opencv(CheckContext()))
    assert found.status == "problem"
    assert found.what.startswith("opencv-python-headless and opencv-python are installed into the same folder")
    assert "pip uninstall -y opencv-python-headless opencv-python`" in found.next_step


def test_no_gpu_is_a_problem_only_where_one_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert one(gpu.gpu(CheckContext())).status == "warning"
    cuda = load_profile("mini", {"distributed": {"device": "cuda"}})
    assert one(gpu.gpu(CheckContext(training=cuda))).status == "problem"


def test_a_torch_without_cuda_beside_a_gpu(driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of that name, as its CPU build writes its version."""
    package = tmp_path / "site" / "torch"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    version = "from typing import Optional\n__version__ = '2.15.0+cpu'\ncuda: Optional[str] = None\n"
    (package / "version.py").write_text(version)
    driver()
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.syspath_prepend(tmp_path / "site")
    found = one(gpu.torch_build(CheckContext()))
    assert found.status == "problem"
    assert found.what.startswith("torch 2.15.0+cpu, without CUDA, and this machine has 1 GPU")
    assert "install the build of torch" in found.next_step


def test_versions_of_the_installed_torch_are_read_without_importing_it() -> None:
    import torch

    assert gpu.torch_versions() == (torch.__version__, torch.version.cuda or "")


def test_an_old_driver_and_an_old_gpu(driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "torch_versions", lambda: ("2.15.0+cu132", "13.2"))
    driver(driver="535.10.01", capability="7.5")
    assert "needs driver 580.65 or newer; 535.10.01 is loaded" in one(gpu.torch_build(CheckContext())).what
    assert one(gpu.bf16(CheckContext())).status == "warning"
    found = one(gpu.bf16(CheckContext(training=load_profile("mvideo-2b-1gpu"))))
    assert (found.status, "compute capability 7.5; bf16 needs 8.0" in found.what) == ("problem", True)


def test_memory_of_a_training_against_what_is_free(driver) -> None:
    training = load_profile("mini", {"base": {"weights": "random:tiny-rope"}, "launch": {"processes": 1}})
    driver(free=80000)
    assert one(gpu.gpu_memory(CheckContext(training=training))).status == "ok"
    driver(free=200)  # less than CUDA's own share
    found = one(gpu.gpu_memory(CheckContext(training=training)))
    assert found.status == "problem"
    assert "0.2 GiB free" in found.what
    assert "execution.gradient_checkpointing=full" in found.next_step


def test_an_ffmpeg_without_x264(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert one(media.ffmpeg(CheckContext())).status == "ok"
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho 'ffmpeg version 9 Copyright'; echo 'libavcodec 63. 1.102'\n")
    program.chmod(0o755)
    monkeypatch.setenv("MVIDEO_FFMPEG", str(program))
    assert one(media.ffmpeg(CheckContext())).what == f"{program} (ffmpeg version 9) has no encoder libx264"
    monkeypatch.setenv("MVIDEO_FFMPEG", str(tmp_path / "absent"))
    assert one(media.ffmpeg(CheckContext())).status == "problem"
    assert one(media.av(CheckContext())).status == "ok"


@pytest.mark.parametrize(("limit", "status"), [(4096, "ok"), (512, "warning"), (64, "problem")])
def test_open_files(limit: int, status: str) -> None:
    """A child of this test lowers its own limit."""
    code = (
        "import resource; from mvideo_core.doctor import CheckContext; from mvideo_core.doctor.checks import system; "
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]; "
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, hard)); "
        "print(next(system.open_files(CheckContext())).status)"
    )
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] >= limit
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == status


def test_python_and_clock_and_shared_memory_of_this_machine() -> None:
    assert one(system.python(CheckContext())).status == "ok"
    assert one(system.clock(CheckContext())).status == "ok"
    assert one(system.shared_memory(CheckContext())).status in ("ok", "warning")


def test_missing_weights_are_named_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MVIDEO_WEIGHTS", str(tmp_path))
    context = CheckContext(training=load_profile("mvideo-5b-1gpu"))
    found = list(needed.present(context))
    assert [item.status for item in found] == ["problem"]
    assert "cogvideox-5b" in found[0].what
    with pytest.raises(ModelError, match="cogvideox-5b"):
        require("train", context)
    assert one(needed.present(CheckContext(training=load_profile("mini")))).status == "ok"


def test_disk_of_checkpoints_and_of_a_workspace(tmp_path: Path) -> None:
    """By hand: 3 kept and one being written; weights, two means, EMA in fp32."""
    training = load_profile("mvideo-5b-1gpu", {"out": str(tmp_path)})
    assert "about 8.5 GB (4 checkpoints)" in one(disk.checkpoints(CheckContext(training=training))).what
    assert round(4 * 4 * 4 * 132_323_328 / 1e9, 1) == 8.5
    huge = CheckContext(workspace=str(tmp_path / "new"), source_bytes=10**17)
    found = one(disk.workspace(huge))
    assert (found.status, found.kind) == ("problem", "StoreError")
    (tmp_path / "new").mkdir()  # resumed: the run has written part of it
    assert one(disk.workspace(huge)).status in ("ok", "warning")


class _Answer(BaseHTTPRequestHandler):
    version, seconds = "", 0.0

    def do_GET(self) -> None:
        body = json.dumps(self.version).encode()
        self.send_response_only(200)
        self.send_header("Date", formatdate(__import__("time").time() + self.seconds, usegmt=True))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


ANSWERS = [("client", 0.0, "ok", "ok"), ("2.20.1", 0.0, "problem", "ok"), ("3.7.4", 0.0, "problem", "ok")]
ANSWERS += [("3.8.8", 0.0, "warning", "ok"), ("4.0.0", 0.0, "problem", "ok")]
ANSWERS += [("client", -20.0, "ok", "warning"), ("client", 3600.0, "ok", "problem")]


@pytest.mark.parametrize(("version", "seconds", "status", "clock"), ANSWERS)
def test_prefect_server_version_and_clock(
    version: str, seconds: float, status: str, clock: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server on loopback that answers /api/admin/version as Prefect's does."""
    import importlib.metadata

    _Answer.version = importlib.metadata.version("prefect") if version == "client" else version
    _Answer.seconds = seconds
    server = HTTPServer(("127.0.0.1", 0), _Answer)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("MVIDEO_STATE", str(tmp_path))
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{server.server_port}/api")
    assert one(prefect_checks.versions(CheckContext())).status == status
    assert one(prefect_checks.clock(CheckContext())).status == clock
    server.shutdown()
    server.server_close()
    assert one(prefect_checks.versions(CheckContext())).status == "problem"  # named, and does not answer
    monkeypatch.delenv("PREFECT_API_URL")
    assert one(prefect_checks.versions(CheckContext())).status == "unknown"
    assert one(prefect_checks.clock(CheckContext())).status == "unknown"


def test_a_check_of_another_package_joins_and_a_part_runs_its_own() -> None:
    names = {found.check for found in run_checks(["server"], CheckContext())}
    assert {"prefect", "clock of the server", "python"} <= names
    assert "ffmpeg" not in names
    assert not {"prefect", "port"} & {found.check for found in run_checks(["generate"], CheckContext())}


def test_require_stops_with_every_problem_and_lets_warnings_pass() -> None:
    @check("bad one", "generate")
    def first(context: CheckContext) -> Iterator[Finding]:
        yield Finding(status="problem", what="disk is full", next_step="free space")
        yield Finding(status="warning", what="slow")

    try:
        with pytest.raises(ConfigError, match=r"^disk is full; free space$"):
            require("generate", CheckContext())
    finally:
        del CHECKS._members["bad one"]
    require("generate", CheckContext())
    assert ALL == ("data", "encode", "train", "generate", "server")

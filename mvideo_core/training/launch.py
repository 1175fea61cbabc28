"""Start a training run as child processes, relay its progress, pass on a stop, and re-raise its error.

A single process is started directly; several are started by torchrun, over several machines through its rendezvous. The
children die with this process (Linux), so a killed launcher leaves nothing behind that writes to the run folder.
"""

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import Field

from mvideo_core.base.disk import disk_errors, write_whole
from mvideo_core.base.errors import ConfigError, MVideoError
from mvideo_core.base.gpus import gpu_ids
from mvideo_core.base.listing import visible_files
from mvideo_core.base.local_paths import local_path
from mvideo_core.base.locks import sole_owner
from mvideo_core.base.options import Options, read_yaml
from mvideo_core.training.callbacks.metrics import cut_after
from mvideo_core.training.callbacks.stopping import STOP
from mvideo_core.training.callbacks.trackers import METRICS
from mvideo_core.training.checkpoint import CHECKPOINTS, list_complete, read_state
from mvideo_core.training.failures import ERRORS, explain_death, find_full_disk, read_error
from mvideo_core.training.phases import PHASES, STARTING, PhaseClock, Say

if TYPE_CHECKING:
    from mvideo_core.training.options import TrainOptions
    from mvideo_core.training.report import RunReport

log = logging.getLogger(__name__)
POLL_S = 0.5
TIE = Path(__file__).resolve().parent.parent / "processes" / "launcher.py"
LAUNCHED = "MVIDEO_LAUNCHED"


class LaunchOptions(Options):
    """Processes of a training run."""

    processes: int = Field(
        default=0,
        ge=0,
        description="processes on this machine; 0: one per GPU, or fewer if `global_batch` requires it",
    )
    cpu_processes: int = Field(default=1, ge=1, description="used if `processes` is 0 and there is no GPU")
    nodes: int = Field(default=1, ge=1, description="machines; each runs the same command with the same rendezvous")
    rendezvous: str = Field(default="", description="host:port of one machine, reachable by all; for nodes > 1")
    rendezvous_id: str = Field(default="mvideo", description="name of this launch at the rendezvous")
    restarts: int = Field(default=0, ge=0, description="restarts after a process died without an error message")
    threads: int = Field(default=0, ge=0, description="OMP_NUM_THREADS of each process; 0: unchanged")
    stop_grace_s: float = Field(default=300, ge=0, description="seconds a stop may take before a kill")


def launch(
    options: "TrainOptions",
    on_metrics: Callable[[dict[str, Any]], None] = lambda line: None,
    stop: threading.Event | None = None,
    on_phase: Say = lambda words: None,
) -> "RunReport":
    """Train to the end, or to the step at which a stop was requested, and report.

    If the run folder has a checkpoint, training resumes from it. SIGTERM and SIGINT to this process request a stop.

    Args:
        on_metrics: called with every new line of metrics.jsonl.
        stop: requests a stop when set.
        on_phase: called with what happens before the first line of metrics, such as "loading the base mini"; repeated
            every few seconds with the elapsed time.

    Raises:
        ConfigError, ModelError, StoreError, TrainError: raised by the training processes, with their message.
    """
    from mvideo_core.training.report import write_report

    check_processes(options, len(gpu_ids()))
    check_rendezvous(options.launch)
    run = _run_folder(options)
    stop = stop or threading.Event()
    config = run / "launch" / f"{os.uname().nodename}.yaml"
    write_whole(config, yaml.safe_dump(options.model_dump(mode="json"), sort_keys=False))
    own_restarts = options.launch.restarts if options.launch.nodes == 1 else 0
    with _signals(stop):
        for left in range(own_restarts, -1, -1):
            problem = _one_launch(options, run, config, _Shown(on_metrics, PhaseClock(on_phase)), stop)
            if problem is None:
                return write_report(run)
            if left == 0 or getattr(problem, "explained", False) or stop.is_set():
                raise problem
            log.warning("%s; starting again, %d more times", problem, left - 1)
    raise AssertionError("unreachable")


def command(options: "TrainOptions", config: Path) -> list[str]:
    """The command line that trains on this machine."""
    chosen = options.launch
    n = chosen.processes or _one_per_gpu(options, len(gpu_ids())) or chosen.cpu_processes
    entry = ["-m", "mvideo_core.training.main", "--config", str(config)]
    if n == 1 and chosen.nodes == 1:
        return [sys.executable, *entry]
    if chosen.nodes > 1 and not chosen.rendezvous:
        raise ConfigError(
            f"launch.nodes is {chosen.nodes} and launch.rendezvous is empty. Options: (1) this machine alone, with "
            "the same batch by accumulation: `--set launch.nodes=1`; (2) the same command on "
            f"{chosen.nodes} machines, each with `--set launch.rendezvous=HOST:PORT` of one of them"
        )
    meeting = ["--standalone"]
    if chosen.nodes > 1:
        meeting = [
            "--rdzv-backend=c10d", f"--rdzv-endpoint={chosen.rendezvous}", f"--rdzv-id={chosen.rendezvous_id}",
            f"--max-restarts={chosen.restarts}",
        ]  # fmt: skip
    torchrun = [sys.executable, "-m", "torch.distributed.run", f"--nnodes={chosen.nodes}", f"--nproc-per-node={n}"]
    return [*torchrun, *meeting, *entry]


def _one_per_gpu(options: "TrainOptions", gpus: int) -> int:
    """As many of the GPUs as the global batch can be dealt to; all of them if it fits none, which is an error later."""
    at_once = options.micro_batch * options.launch.nodes
    n = next((n for n in range(gpus, 0, -1) if options.global_batch % (n * at_once) == 0), gpus)
    if n < gpus:
        log.warning(
            "training on %d of %d GPUs: global_batch %d must be a multiple of processes x micro_batch %d",
            n, gpus, options.global_batch, options.micro_batch,
        )  # fmt: skip
    return n


def check_processes(options: "TrainOptions", gpus: int) -> None:
    """Reject more processes than this machine has GPUs, before anything is loaded.

    Raises:
        ConfigError: lists the options.
    """
    n, device = options.launch.processes, options.distributed.device
    if device == "cpu" or n <= max(gpus, int(device == "auto")):
        return
    total = n * options.launch.nodes
    fit = [p for p in range(1, max(gpus, 1) + 1) if options.global_batch % (p * options.micro_batch) == 0]
    fewer = fit[-1] if fit else 1
    accumulated = options.global_batch // (fewer * options.micro_batch)
    nodes = -(-total // fewer)
    here = f"launch.processes={fewer}"
    ways = [f"fewer processes and accumulation ({accumulated} micro-batches a step): {here} launch.nodes=1"]
    ways += [f"the profile {name}" for name in _one_gpu_profiles(options.base.weights)]
    ways += [f"more machines like this one: {here} launch.nodes={nodes} launch.rendezvous=HOST:PORT"]
    ways += ["no GPU at all, slow: distributed.device=cpu"] if not gpus else []
    raise ConfigError(
        f"launch.processes is {n} and this machine has {gpus} GPU{'' if gpus == 1 else 's'}. Options: "
        + "; ".join(f"({number}) {way}" for number, way in enumerate(ways, 1))
    )


def check_rendezvous(chosen: LaunchOptions) -> None:
    """Reject a rendezvous whose name does not resolve; torchrun retries for minutes and then dies of a signal.

    Raises:
        ConfigError: not host:port, or a host that no name server knows.
    """
    if chosen.nodes == 1 or not chosen.rendezvous:
        return
    host, _, port = chosen.rendezvous.rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigError(f"launch.rendezvous is {chosen.rendezvous!r}; expected host:port of one machine")
    try:
        socket.getaddrinfo(host.strip("[]"), int(port))
    except OSError as error:
        raise ConfigError(
            f"launch.rendezvous: the host {host!r} cannot be resolved ({error.strerror}); give the name or address by "
            "which every machine reaches that host"
        ) from None


def _one_gpu_profiles(weights: str) -> list[str]:
    """Names of the profiles that train the same base on one GPU."""
    from mvideo_core.training.options import PROFILES

    profiles = visible_files(PROFILES, "-1gpu.yaml")
    return [path.stem for path in profiles if read_yaml(path).get("base", {}).get("weights") == weights]


def _one_launch(
    options: "TrainOptions",
    run: Path,
    config: Path,
    shown: "_Shown",
    stop: threading.Event,
) -> MVideoError | None:
    if options.launch.nodes == 1:
        _tidy(run)
    shown.start(run)
    log_path = config.with_suffix(".log")
    with log_path.open("ab") as output:
        start_byte = output.tell()
        child = _start(command(options, config), options.launch, output)
        try:
            _wait(child, shown, stop, run, options.launch.stop_grace_s)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
    shown.look()
    if child.returncode == 0:
        return None
    return read_error(run, log_path) or find_full_disk(run) or explain_death(child.returncode, log_path, start_byte)


def _tidy(run: Path) -> None:
    """Remove leftovers of the last launch: its errors, and metrics of steps that will be retrained.

    Raises:
        StoreError: another live training run writes to this folder.
    """
    with sole_owner(run, "training", "`out`"):
        for old in (run / ERRORS).glob("rank-*.json"):
            old.unlink()
        (run / STOP).unlink(missing_ok=True)
        (run / PHASES).unlink(missing_ok=True)
        done = list_complete(run / CHECKPOINTS)
        cut_after(run / METRICS, read_state(done[-1]).step if done else 0)


def _start(argv: list[str], chosen: LaunchOptions, output: Any) -> "subprocess.Popen[bytes]":
    environment = os.environ | {LAUNCHED: "1"}
    if chosen.threads:
        environment["OMP_NUM_THREADS"] = str(chosen.threads)
    tie = [sys.executable, "-I", "-S", str(TIE), json.dumps({"parent": os.getpid()})]
    return subprocess.Popen(
        [*tie, *argv], stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True
    )


def _wait(
    child: "subprocess.Popen[bytes]",
    shown: "_Shown",
    stop: threading.Event,
    run: Path,
    grace_s: float,
) -> None:
    """Wait for the child to end. A stop is requested by a file; SIGTERM and SIGKILL follow if that has no effect."""
    deadline_s, hints = 0.0, [child.terminate, child.kill]
    while child.poll() is None:
        shown.look()
        if stop.is_set() and not deadline_s:
            (run / STOP).touch()
            deadline_s = time.monotonic() + grace_s
        elif deadline_s and hints and time.monotonic() > deadline_s:
            hints.pop(0)()
            deadline_s = time.monotonic() + 45
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(POLL_S)


def _run_folder(options: "TrainOptions") -> Path:
    if not options.out:
        raise ConfigError("out is empty; set the run's folder")
    run = local_path(options.out, "out")
    with disk_errors("out"):
        run.mkdir(parents=True, exist_ok=True)
    return run


@contextlib.contextmanager
def _signals(stop: threading.Event) -> Iterator[None]:
    """Inside the block, SIGTERM and SIGINT set `stop`; outside the main thread nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Shown:
    """Reports phases and metrics of a launch as they are written."""

    def __init__(self, on_metrics: Callable[[dict[str, Any]], None], clock: PhaseClock):
        self.on_metrics, self.clock = on_metrics, clock

    def start(self, run: Path) -> None:
        """Start reading the run's files at their current end."""
        self.metrics, self.phases = _Tail(run / METRICS), _Tail(run / PHASES)
        self.clock.begin(STARTING)

    def look(self) -> None:
        """Report new lines."""
        for line in self.phases.new():
            self.clock.begin(line["phase"])
        for line in self.metrics.new():
            self.clock.begin("")
            self.on_metrics(line)
        self.clock.tick()


class _Tail:
    """New complete lines of a growing JSONL file, starting at its current end."""

    def __init__(self, path: Path):
        self.path = path
        self._place = self._size()

    def new(self) -> list[dict[str, Any]]:
        size = self._size()
        self._place = min(self._place, size)
        if size == self._place:
            return []
        with self.path.open("rb") as stream:
            stream.seek(self._place)
            content = stream.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._place += len(whole)
        return [json.loads(line) for line in whole.splitlines()]

    def _size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

"""A Prefect server with its workers on this machine.

`mvideo server watch` is `up` in the foreground: it restarts dead processes, repairs lost runs as `reap` does, and
retries crashed ones (each run is started at most `--max-runs` times). To start it with the machine, use a systemd unit:

```
[Unit]
Description=MVideo workers
After=network-online.target

[Service]
WorkingDirectory=/opt/mvideo
ExecStart=/opt/mvideo/.venv/bin/mvideo server watch
Restart=always
KillMode=mixed
TimeoutStopSec=60

[Install]
WantedBy=multi-user.target
```
"""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, Worker
from prefect.exceptions import PrefectHTTPStatusError

from mvideo.deployments import _processes as processes
from mvideo.deployments._environment import (
    Environment,
    WorkerOptions,
    default_environment,
    load_environment,
    prefect_settings,
)
from mvideo.deployments._ports import free_port, is_free
from mvideo.deployments._reap import Reaped, reap, retry_crashed
from mvideo.deployments._server import require_version
from mvideo.deployments._setup import deploy_all, set_up
from mvideo.deployments._state import StackState, Started, api_url, default_folder, is_alive, read_state, write_state
from mvideo_core.base.errors import ConfigError, StoreError
from mvideo_core.base.gpus import gpu_ids

log = logging.getLogger(__name__)

SERVER_WAIT_S = 300.0
WORKER_WAIT_S = 90.0
WORKER_GRACE_S = 10.0


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """A worker process to start: its name, its options and the GPUs it may see."""

    name: str
    options: WorkerOptions
    cuda: str


class Stack:
    """The stack of one state folder.

    Args:
        folder: state folder; default $MVIDEO_STATE or ~/.mvideo.
        environment: name or YAML path; default: as in the last `up`, otherwise chosen by machine.
        port: overrides the environment's; 0 = any free port.
        tied: its processes die with this process (tests, `make demo`).

    Raises:
        ConfigError: no such environment.
    """

    def __init__(self, folder: Path | None = None, environment: str = "", port: int | None = None, tied: bool = False):
        self.folder = (folder or default_folder()).expanduser().resolve()
        self.state = read_state(self.folder)
        self.environment_name = environment or self.state.environment or default_environment()
        self.environment: Environment = load_environment(self.environment_name)
        self.requested_port = port
        self.port = self.environment.port if port is None else port
        self.tied = tied
        # A client reads all certificates when it is made. It keeps no connection, because the server may be restarted.
        self._http = httpx.Client(timeout=5, limits=httpx.Limits(max_keepalive_connections=0))

    # state

    @property
    def url(self) -> str:
        """API address of the server, whether it is running or not."""
        if self.environment.server:
            return api_url(self.state.port)
        if not (address := self.environment.api_url or os.environ.get("PREFECT_API_URL", "")):
            raise ConfigError(
                f"environment {self.environment_name}: api_url is empty and PREFECT_API_URL is not set; "
                "set the address of the server, such as http://head:4200/api"
            )
        return address.rstrip("/")

    @property
    def settings(self) -> dict[str, str]:
        """Prefect settings of everything that talks to this server; runs pass them on to Ray's other hosts."""
        return prefect_settings(self.environment, self.folder, self.environment.api_url.rstrip("/") or self.url)

    def client(self) -> SyncPrefectClient:
        """A client for this server; use it in a `with` block."""
        known = {**os.environ, **self.settings}
        return SyncPrefectClient(self.url, auth_string=known.get("PREFECT_API_AUTH_STRING"))

    def find_running(self) -> list[Started]:
        """Our live server and workers."""
        self.state = read_state(self.folder)
        return [process for process in self.state.processes if is_alive(process)]

    def is_healthy(self) -> bool:
        """True if the server responds."""
        try:
            return self._http.get(f"{self.url}/health").status_code == 200
        except httpx.HTTPError:
            return False

    def plan_workers(self) -> list[WorkerPlan]:
        """Workers that the environment defines for this machine."""
        found = gpu_ids()
        plans = []
        for worker in self.environment.workers:
            if worker.gpu == "each" and found:
                plans += [WorkerPlan(f"{worker.name}-{gpu}", worker, gpu) for gpu in found]
            else:
                plans.append(WorkerPlan(worker.name, worker, ",".join(found) if worker.gpu == "all" else ""))
        return plans

    # actions

    def up(self, deploy: bool = True) -> None:
        """Start what is missing, register everything, correct zombie runs; what is running is left alone.

        Raises:
            StoreError: the server or a worker does not start; the message names the log.
            ConfigError: a deployment cannot be registered.
        """
        self._start_server()
        self.register(deploy, keep_automation=not self.environment.server)
        self.reap()
        with self.client() as client:
            self._start_workers(client)

    def register(self, deploy: bool = True, *, keep_automation: bool = False) -> None:
        """Register pool, queues, automation and (if `deploy`) deployments on the server.

        Args:
            keep_automation: a host that only joins a server does not change its automation.

        Raises:
            StoreError: no server responds. ConfigError: a deployment cannot be registered.
        """
        self._require_server()
        with self.client() as client:
            set_up(client, self.environment, keep_automation=keep_automation)
        if deploy:
            deploy_all(self.environment, self.settings)

    def down(self) -> None:
        """Stop the workers, then everything they left running, mark their runs Crashed, stop the server."""
        running = self.find_running()
        workers = [process.pid for process in running if process.name != "server"]
        processes.end(workers, WORKER_GRACE_S)
        server = {process.pid for process in running if process.name == "server"}
        processes.end([m.pid for m in processes.members(self.folder) if m.pid not in server], 2.0)
        if server and self.is_healthy():
            self.reap()
        processes.end(server, 20.0)
        processes.end([m.pid for m in processes.members(self.folder)], 0.0)
        write_state(self.folder, StackState(0, self.environment_name, []))

    def reap(self) -> list[Reaped]:
        """Correct zombie runs. Safe at any time. Raises StoreError: no server responds."""
        self._require_server()
        with self.client() as client:
            ours = {plan.name for plan in self.plan_workers()}
            others = [worker.name for worker in self._workers_known(client) if worker.name not in ours]
            starting = any(process.name != "server" for process in self.find_running())
            elsewhere = bool(others) or not self.environment.server  # a joined server has runs of other hosts
            found = reap(client, silent_s=self.environment.silent_s, elsewhere=elsewhere, starting=starting)
        for entry in found:
            log.warning("run %s: %s -> %s", entry.run.name, entry.was, entry.now)
        return found

    def watch(self, max_runs: int, every_s: float = 5.0, until: Callable[[], bool] = lambda: False) -> None:
        """Keep the stack up: restart dead processes, correct zombie runs, retry crashed runs.

        Args:
            max_runs: a flow run that has been started this many times is not retried; 0 = never retry.
            until: called after every pass; True ends the watch.
        """
        while not until():
            wanted = {plan.name for plan in self.plan_workers()} | ({"server"} if self.environment.server else set())
            if wanted - {process.name for process in self.find_running()} or not self.is_healthy():
                self.up(deploy=False)
            self.reap()
            if max_runs:
                with self.client() as client:
                    _log_retried(retry_crashed(client, max_runs))
            time.sleep(every_s)

    def _workers_known(self, client: SyncPrefectClient) -> list[Worker]:
        """Every worker the server has seen; none if the pool was never created."""
        try:
            return client.read_workers_for_work_pool(self.environment.pool)
        except PrefectHTTPStatusError as error:
            if error.response.status_code == 404:
                return []
            raise

    # parts of `up`

    def _require_server(self) -> None:
        if not self.is_healthy():
            here = "start it, or correct the address"
            if self.environment.server:
                here = "start it with `mvideo server up`, or name the --environment of a server elsewhere"
            raise StoreError(f"no server responds at {self.url}; {here}")
        require_version(self.url)

    def _start_server(self) -> None:
        if not self.environment.server:
            self._require_server()
            return
        if any(process.name == "server" for process in self.find_running()) and self._comes_up():
            return
        self._require_password()
        # A server that died restarts on the port where its clients look for it.
        wanted = self.requested_port or (self.state.port if is_free(self.state.port) else self.port)
        port = free_port(wanted)
        if wanted and port != wanted:
            if self.environment.api_url:
                raise ConfigError(
                    f"environment {self.environment_name}: port {wanted} is taken, so that {self.environment.api_url} "
                    "would be another server; end what listens there, or set port and api_url"
                )
            log.warning("port %d is taken; the server listens on %d", wanted, port)
        self.state.port = port
        argv = processes.python_module(
            "prefect", "server", "start", "--host", self.environment.host, "--port", str(port)
        )
        self._start("server", argv, {})
        if not self._comes_up():
            raise StoreError(f"the server did not start in {SERVER_WAIT_S:.0f} s; see {self.folder}/logs/server.log")

    def _require_password(self) -> None:
        """A server for other hosts needs a password: whoever reaches it can run code as its workers."""
        known = {**os.environ, **self.environment.settings}
        if self.environment.host != "127.0.0.1" and not known.get("PREFECT_SERVER_API_AUTH_STRING"):
            raise ConfigError(
                f"environment {self.environment_name}: host is {self.environment.host}, but there is no password; "
                "set PREFECT_SERVER_API_AUTH_STRING, and on all hosts PREFECT_API_AUTH_STRING, to USER:PASSWORD"
            )

    def _comes_up(self) -> bool:
        deadline = time.monotonic() + SERVER_WAIT_S
        while time.monotonic() < deadline:
            if self.is_healthy():
                return True
            if not any(process.name == "server" for process in self.find_running()):
                return False
            time.sleep(0.25)
        return False

    def _start_workers(self, client: SyncPrefectClient) -> None:
        there = {process.name for process in self.find_running()}
        plans = [plan for plan in self.plan_workers() if plan.name not in there]
        for plan in plans:
            queues = [word for queue in plan.options.queues for word in ("--work-queue", queue)]
            argv = processes.python_module(
                "mvideo.deployments.worker", "start", "--type", "process", "--pool", self.environment.pool,
                "--name", plan.name, "--limit", str(plan.options.runs), *queues,
            )  # fmt: skip
            self._start(plan.name, argv, {"CUDA_VISIBLE_DEVICES": plan.cuda})
        wanted = {plan.name for plan in plans}
        started_s = time.time()
        while wanted:
            if lost := wanted - {process.name for process in self.find_running()}:
                raise StoreError(f"worker {sorted(lost)} exited at once; see {self.folder}/logs/")
            if time.time() - started_s > WORKER_WAIT_S:
                raise StoreError(f"worker {sorted(wanted)} did not report; see {self.folder}/logs/")
            time.sleep(0.3)
            for worker in self._workers_known(client):
                if worker.last_heartbeat_time and worker.last_heartbeat_time.timestamp() > started_s - 1:
                    wanted.discard(worker.name)

    def _start(self, name: str, argv: list[str], more: dict[str, str]) -> None:
        environment = {**_clean_environment(), **self.settings, **more}
        started = processes.start(name, argv, environment, self.folder, self.tied)
        others = [process for process in self.state.processes if process.name != name and is_alive(process)]
        self.state = StackState(self.state.port, self.environment_name, [*others, started])
        write_state(self.folder, self.state)


def _clean_environment() -> dict[str, str]:
    """Our environment without the variables of a flow run or a cloud account, as `up` may run anywhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT__", "PREFECT_API_KEY"))}


def _log_retried(runs: list[FlowRun]) -> None:
    for run in runs:
        log.warning("run %s crashed; it resumes where it stopped (start %d)", run.name, run.run_count + 1)

"""A real server, worker and deployment, and ways to kill parts of them."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.flows import load_flow_from_entrypoint
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Scheduled

from mvideo.deployments import _processes as processes
from mvideo.deployments._state import VARIABLE
from mvideo.deployments.names import TAG
from mvideo.deployments.stack import Stack
from tests.reference import REPOSITORY

ENVIRONMENT = str(Path(__file__).with_name("one-worker.yaml"))
FINAL = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")


class Trial:
    """A stack in a folder of its own whose processes die with this process; use it in a `with` block.

    Args:
        folder: empty or from an earlier trial.
        environment: name or path; default one worker for all queues.
        deploy: register the deployments of prefect.yaml.
        database: an empty database for the server, which copies it; default: the server makes one.
    """

    def __init__(self, folder: Path, environment: str = ENVIRONMENT, deploy: bool = True, database: Path | None = None):
        self.stack = Stack(folder, environment, port=0, tied=True)
        self.deploy = deploy
        if database is not None:
            home = Path(self.stack.settings["PREFECT_HOME"])
            home.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(database, home / "prefect.db")

    def __enter__(self) -> "Trial":
        self.stack.up(deploy=self.deploy)
        # One client for all that the test asks: a new one costs as much as dozens of requests.
        self.client = self.stack.client().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.client.__exit__(*error)
        self.stack.down()

    # running

    def prefect(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """A `prefect ...` command line in the repository, as a user types it after `mvideo server up`."""
        process = self.begin(*words)
        said, errors = process.communicate(timeout=900)
        return subprocess.CompletedProcess(process.args, process.returncode, said, errors)

    def begin(self, *words: str) -> "subprocess.Popen[str]":
        """As `prefect`, but without waiting for its end."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        environment |= {VARIABLE: str(self.stack.folder), "PREFECT_HOME": str(self.stack.folder / "cli")}
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("prefect")), *words],
            cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    @contextmanager
    def in_process(self) -> Iterator[None]:
        """Flows called meanwhile run in this process and report to the server: no worker, no second import."""
        with temporary_settings(updates={PREFECT_API_URL: self.stack.url}):
            yield

    def runs_of(self, folder: Path) -> list[UUID]:
        """Runs whose workspace or output folder it is, the oldest first."""
        given = [(run, run.parameters) for run in self.client.read_flow_runs()]
        found = [run for run, values in given if str(folder) == (values.get("out") or values.get("workspace"))]
        return [run.id for run in sorted(found, key=lambda run: run.created or run.expected_start_time)]

    def register(self, entrypoint: str, queue: str = "cpu", tags: Sequence[str] = (TAG,)) -> None:
        """Deploy one more flow of this checkout under its own name; without tags it is another team's."""
        flow = load_flow_from_entrypoint(str(REPOSITORY / entrypoint), use_placeholder_flow=False)
        here = {"prefect.deployments.steps.set_working_directory": {"directory": str(REPOSITORY)}}
        self.client.create_deployment(
            self.client.create_flow_from_name(flow.name), flow.name, entrypoint=entrypoint, pull_steps=[here],
            work_pool_name=self.stack.environment.pool, work_queue_name=queue, tags=list(tags),
        )  # fmt: skip

    def start(self, deployment: str, parameters: Mapping[str, Any]) -> UUID:
        """Ask for a run of "flow/deployment". Returns: its id."""
        found = self.client.read_deployment_by_name(deployment)
        return self.client.create_flow_run_from_deployment(found.id, parameters=dict(parameters)).id

    def read(self, run_id: UUID) -> FlowRun:
        """The run as the server sees it."""
        return self.client.read_flow_run(run_id)

    def task_names(self, run_id: UUID, last: str = "report") -> list[str]:
        """Names of a run's task runs, once the server has recorded the last of them."""
        there = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
        names: list[str] = []

        def recorded() -> bool:
            names[:] = [task.name for task in self.client.read_task_runs(flow_run_filter=there)]
            return last in names

        until(recorded, 240, lambda: f"no task {last} among {names}")
        return names

    def wait(self, run_id: UUID, timeout_s: float, *kinds: str) -> str:
        """Wait until the run's state type is one of `kinds` (default: any final one). Returns: the type."""
        seen: str = ""

        def there() -> bool:
            nonlocal seen
            state = self.read(run_id).state
            seen = state.type.value if state else ""
            return seen in (kinds or FINAL)

        until(there, timeout_s, lambda: f"run {run_id} is {seen}, wanted {kinds or FINAL}; {self.tail()}", every_s=0.5)
        return seen

    def retry(self, run_id: UUID) -> None:
        """What `prefect flow-run retry` and the button in the UI do."""
        self.client.set_flow_run_state(run_id, Scheduled(message="retried by a test"), force=True)

    def tail(self) -> str:
        """Last lines of every log of the stack."""
        logs = sorted((self.stack.folder / "logs").glob("*.log"))
        return "\n".join(f"--- {log.name}\n" + "\n".join(log.read_text().splitlines()[-15:]) for log in logs)

    # killing

    def engines(self, run_id: UUID | None = None) -> list[int]:
        """Processes that work for a run (or for any run)."""
        found = processes.members(self.stack.folder)
        return [
            member.pid
            for member in found
            if member.flow_run_id and (run_id is None or member.flow_run_id == str(run_id))
        ]

    def workers(self) -> list[int]:
        """Worker processes."""
        return [process.pid for process in self.stack.find_running() if process.name != "server"]


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal; a process that is gone already is fine."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def until(there: Callable[[], bool], timeout_s: float, what: Callable[[], str], every_s: float = 0.2) -> None:
    """Wait for something.

    Raises:
        AssertionError: it did not happen in time; the message comes from `what`.
    """
    deadline = time.monotonic() + timeout_s
    while not there():
        assert time.monotonic() < deadline, what()
        time.sleep(every_s)

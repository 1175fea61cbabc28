"""A real server, worker and deployment, and ways to kill parts of them. Tests and `make chaos` use it."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import FlowRun

from deployments import _processes as processes
from deployments._environment import REPOSITORY
from deployments.stack import Stack

ENVIRONMENT = str(Path(__file__).with_name("one-worker.yaml"))
FINAL = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")


class Trial:
    """A stack in a folder of its own whose processes die with this process; use it in a `with` block.

    Args:
        folder: empty or from an earlier trial.
        environment: name or path; default one worker for all queues.
        deploy: register the deployments of prefect.yaml.
    """

    def __init__(self, folder: Path, environment: str = ENVIRONMENT, deploy: bool = True):
        self.stack = Stack(folder, environment, port=0, tied=True)
        self.deploy = deploy

    def __enter__(self) -> "Trial":
        self.stack.up(deploy=self.deploy)
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.down()

    # running

    def prefect(self, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
        """A `prefect ...` command line in the repository, as a user types it."""
        environment = {**os.environ, **self.stack.settings, **more}
        return subprocess.run(
            [str(Path(sys.executable).with_name("prefect")), *words],
            cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    def start(self, deployment: str, parameters: Mapping[str, Any]) -> UUID:
        """Ask for a run of "flow/deployment". Returns: its id."""
        with self.stack.client() as client:
            found = client.read_deployment_by_name(deployment)
            return client.create_flow_run_from_deployment(found.id, parameters=dict(parameters)).id

    def read(self, run_id: UUID) -> FlowRun:
        """The run as the server sees it."""
        with self.stack.client() as client:
            return client.read_flow_run(run_id)

    def wait(self, run_id: UUID, timeout_s: float, *kinds: str) -> str:
        """Wait until the run's state type is one of `kinds` (default: any final one). Returns: the type."""
        seen: str = ""

        def there() -> bool:
            nonlocal seen
            state = self.read(run_id).state
            seen = state.type.value if state else ""
            return seen in (kinds or FINAL)

        until(there, timeout_s, lambda: f"run {run_id} is {seen}, wanted {kinds or FINAL}; {self.tail()}")
        return seen

    def retry(self, run_id: UUID) -> None:
        """`prefect flow-run retry`."""
        done = self.prefect("flow-run", "retry", str(run_id))
        assert done.returncode == 0, done.stdout + done.stderr

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
        return [process.pid for process in self.stack.running() if process.name != "server"]

    def kill_random(self, rng: random.Random, roles: Mapping[str, int]) -> str:
        """kill -9 one process of a role drawn by weight: "engine" (flow and its stages), "child", "worker", "server".

        Returns:
            What was killed; "" when no process of that role lives now.
        """
        role = rng.choices(list(roles), weights=list(roles.values()))[0]
        found = {member.pid: member for member in processes.members(self.stack.folder)}
        engines = {pid for pid, member in found.items() if member.flow_run_id and "prefect.engine" in member.command}
        engines |= {pid for pid, m in found.items() if m.flow_run_id and "_workspace" in m.command}
        children = {pid for pid, member in found.items() if member.flow_run_id} - engines
        servers = {process.pid for process in self.stack.running() if process.name == "server"}
        by_role = {"engine": engines, "child": children, "worker": set(self.workers()), "server": servers}
        pids = sorted(by_role[role])
        if not pids:
            return ""
        pid = rng.choice(pids)
        kill(pid)
        return f"{role} {pid} ({found[pid].command[:60] if pid in found else ''})"


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

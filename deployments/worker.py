"""`python -m deployments.worker start ...`: `prefect worker start ...` with two mends, both about retrying soon.

Between the death of a run's process and the moment its worker has put the attempt aside lie one to ten seconds (the
worker starts a process for crash hooks, whether there are any or not). A retry in that time meets, in Prefect 3.8.8:

1. a worker with `--limit` that finds its own token held, raises "this borrower is already holding one of this
   CapacityLimiter's tokens" and ends, and all its other runs with it (PrefectHQ/prefect issues 10632, 16806);
2. a second report of the same crash at the end of that time, which turns the retried run back to Crashed.
"""

import sys
from typing import Any

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.workers.base import BaseWorker

_submit_scheduled_flow_runs = BaseWorker._submit_scheduled_flow_runs
_propose_crashed_state = BaseWorker._propose_crashed_state


async def _submit_without_held_runs(self: BaseWorker[Any, Any, Any], flow_run_response: list[Any]) -> list[FlowRun]:
    """A run that this worker still holds waits for its next look at the queue."""
    held = set(self._limiter.statistics().borrowers) if self._limiter else set()
    free = [entry for entry in flow_run_response if entry.flow_run.id not in held]
    return await _submit_scheduled_flow_runs(self, free)


async def _report_crash_once(
    self: BaseWorker[Any, Any, Any], flow_run: FlowRun, message: str, client: PrefectClient | None = None
) -> None:
    """A crash counts only while the attempt it is about is still the run's last word."""
    try:
        now = await (client or self.client).read_flow_run(flow_run.id)
    except ObjectNotFound:
        return
    settled = now.state is not None and (now.state.is_final() or now.state.is_scheduled())
    if not settled and now.run_count <= flow_run.run_count + 1:
        await _propose_crashed_state(self, flow_run, message, client)


def mend() -> None:
    """Put both mends into this process."""
    BaseWorker._submit_scheduled_flow_runs = _submit_without_held_runs  # type: ignore[method-assign]
    BaseWorker._propose_crashed_state = _report_crash_once  # type: ignore[method-assign]


if __name__ == "__main__":
    from prefect.cli import app

    mend()
    sys.argv = ["prefect", "worker", *sys.argv[1:]]
    app()

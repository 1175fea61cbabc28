"""`python -m mvideo.deployments.worker start ...` does what `prefect worker start ...` does, but reports each crash
once.

When the process of a run dies, a plain Prefect worker reports the crash twice. The second report comes after the crash
hooks, for which a process is started even if there are none (11 s later in our trial with Prefect 3.9.1). If you retry
the run before that, the second report sets it to Crashed again. So with a plain worker, wait 15 s before you retry.
`mvideo server up` starts workers that report once.
"""

# Prefect 3.9.1 marks reports that were not delivered (`crash_unreported`), but its process worker ignores the mark.

import sys
from dataclasses import replace
from typing import Any

from prefect.runner._flow_run_executor import FlowRunExecutionResult, FlowRunExecutor

_submit = FlowRunExecutor.submit


async def _submit_and_report_once(self: FlowRunExecutor, *args: Any, **named: Any) -> FlowRunExecutionResult | None:
    """Run one attempt; hide a crash that the server knows about from the worker, which reports all codes but 0."""
    result = await _submit(self, *args, **named)
    if result is not None and result.status_code and not result.crash_unreported:
        return replace(result, status_code=0)
    return result


def report_crashes_once() -> None:
    """Patch Prefect's executor in this process."""
    FlowRunExecutor.submit = _submit_and_report_once  # type: ignore[method-assign]


if __name__ == "__main__":
    from prefect.cli import app

    report_crashes_once()
    sys.argv = ["prefect", "worker", *sys.argv[1:]]
    app()

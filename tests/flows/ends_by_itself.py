"""A flow whose cancel arrives while it runs its last line, for test_cancelled.py."""

import os
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.states import Cancelling

from mvideo.flows import _cancelled

_cancelled.KILLED_WITHIN_S = float(os.environ.get("KILLED_WITHIN_S", "30"))


@flow(name="ends-by-itself")
def ends_by_itself() -> None:
    """Done, and cancelled."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(os.environ["PREFECT__FLOW_RUN_ID"]), Cancelling(), force=True)

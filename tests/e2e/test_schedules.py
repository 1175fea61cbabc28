"""Schedules of a deployment make runs: a pair of Prefect and SQLAlchemy exists under which they do not."""

from datetime import timedelta

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.schedules import IntervalSchedule

from tests.e2e.harness import Trial, until


@pytest.mark.slow
def test_a_deployment_with_an_interval_schedule_runs_by_itself(trial: Trial) -> None:
    trial.stack.up(deploy=False)
    with trial.stack.client() as client:
        deployment = client.read_deployment_by_name("neighbor/neighbor")
        every = IntervalSchedule(interval=timedelta(seconds=5))
        (schedule,) = client.create_deployment_schedules(
            deployment.id, [(every, True)], parameters={"seconds": 0.0}, max_scheduled_runs=3
        )
        try:
            done: list[FlowRun] = []

            def ended() -> bool:
                runs = [run for run in client.read_flow_runs() if run.deployment_id == deployment.id]
                done[:] = [run for run in runs if run.auto_scheduled and run.state and run.state.is_completed()]
                return bool(done)

            until(ended, 240, trial.tail, every_s=0.5)
        finally:
            client.delete_deployment_schedule(deployment.id, schedule.id)
    assert done[0].parameters == {"seconds": 0.0}

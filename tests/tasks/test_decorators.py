import httpx
import pytest
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Failed

from mvideo.tasks._decorators import gpu_task, io_task, is_transient
from mvideo.tasks.stages import Parts
from mvideo_core.base.errors import ConfigError, MediaError, ModelError, ServerUnavailable, StoreError

REQUEST = httpx.Request("GET", "http://127.0.0.1/")


def disk_full() -> StoreError:
    error = StoreError("cannot write")
    error.__cause__ = OSError(28, "No space left on device")
    return error


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ConfigError("edit it"), False),
        (MediaError("bad file"), False),
        (ModelError("no weights"), False),
        (ServerUnavailable("http://127.0.0.1:8000/v1: not ready after 600 s"), True),
        (StoreError("no clip has a video, masks and a caption"), False),
        (TypeError("our bug"), False),
        (disk_full(), True),
        (ConnectionResetError("network"), True),
        (TimeoutError("slow disk"), True),
        (httpx.ConnectError("captioner restarts", request=REQUEST), True),
    ],
)
def test_only_what_may_be_gone_next_time_is_tried_again(error: Exception, again: bool) -> None:
    state: State[object] = Failed(data=error, message="x")
    task = io_task(lambda: None)
    assert is_transient(task, TaskRun.model_construct(), state) is again


def test_house_tasks_trust_the_store_not_the_cache() -> None:
    def detect(parts: Parts) -> None: ...

    def publish(workspace: str) -> None: ...

    gpu, io = gpu_task(detect), io_task(publish)
    assert gpu.cache_policy is NO_CACHE
    assert io.cache_policy is NO_CACHE
    assert gpu.tags == {"gpu"}
    assert io.tags == {"cpu"}
    assert gpu.task_run_name == "detect {parts.label}"
    assert io.task_run_name == "publish"
    assert len(gpu.retry_delay_seconds) == gpu.retries == 2  # type: ignore[arg-type]


@pytest.mark.usefixtures("prefect_server")
def test_engine_retries_a_full_disk_once_and_never_a_wrong_option() -> None:
    from prefect import flow

    calls: list[str] = []

    @io_task
    def heals_itself() -> str:
        calls.append("disk")
        if calls.count("disk") == 1:
            raise disk_full()
        return "done"

    @io_task
    def hopeless() -> None:
        calls.append("config")
        raise ConfigError("edit it")

    @flow
    def both() -> str:
        state = hopeless.with_options(retry_delay_seconds=0)(return_state=True)
        assert state.is_failed()
        return heals_itself.with_options(retry_delay_seconds=0)()

    assert both() == "done"
    assert calls == ["config", "disk", "disk"]

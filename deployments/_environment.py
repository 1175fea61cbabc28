"""Settings per environment: which server, which workers, which Prefect settings. YAML in `environments/`."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from mvideo.deployments.names import HEARTBEAT_S
from mvideo_core.base.errors import ConfigError
from mvideo_core.base.gpus import gpu_ids
from mvideo_core.base.listing import visible_files
from mvideo_core.base.options import Options, read_yaml
from mvideo_core.base.shipped import shipped_path

FOLDER = shipped_path("deployments/environments")


class WorkerOptions(Options):
    """One worker, or one per GPU."""

    name: str = Field(description="Name in the UI; GPU workers get the GPU's number appended.")
    queues: list[str] = Field(description="Work queues it takes runs from.")
    runs: int = Field(default=1, ge=1, le=64, description="Flow runs at a time.")
    gpu: Literal["none", "all", "each"] = Field(
        default="none",
        description="none: sees no GPU. all: sees every GPU. each: one worker per GPU, which sees only that GPU; on a "
        "machine without GPUs, one worker that sees none.",
    )


class Environment(Options):
    """What `mvideo server up` sets up on this machine."""

    server: bool = Field(default=True, description="Start a server here; false on hosts that only run workers.")
    api_url: str = Field(
        default="",
        description="Address of the server if it is not started here. With host 0.0.0.0: the address at which Ray's "
        "other hosts reach it.",
    )
    host: Literal["127.0.0.1", "0.0.0.0"] = Field(  # noqa: S104 - only with a password
        default="127.0.0.1",
        description="Address the server listens on. 0.0.0.0: other hosts reach it; needs a password, "
        "PREFECT_SERVER_API_AUTH_STRING.",
    )
    port: int = Field(default=4200, ge=1024, le=65535, description="Port of the server; a free one if it is taken.")
    pool: str = Field(
        default="mvideo",
        description="Work pool of deployments and workers; created with type process if missing.",
    )
    queues: list[str] = Field(default=["orchestrate", "cpu", "gpu", "train"], description="Work queues of the pool.")
    silent_s: int = Field(
        default=120,
        ge=3 * HEARTBEAT_S,
        le=36_000,
        description="One of our runs without heartbeat for this long is marked Crashed; at least three heartbeats. The "
        "value of the host that started the server counts.",
    )
    poll_s: float = Field(default=2.0, ge=0.5, le=60, description="Seconds between a worker's polls of its queues.")
    workers: list[WorkerOptions] = Field(default=[], description="Workers started on this machine.")
    settings: dict[str, str] = Field(default={}, description="More Prefect settings for server and workers.")

    @model_validator(mode="after")
    def _one_server(self) -> "Environment":
        if self.server and self.api_url and self.host == "127.0.0.1":
            raise ValueError(
                f"api_url is {self.api_url}, but a server would be started here for this machine alone; set server: "
                "false to use the one at that address, or host: 0.0.0.0 to start it here"
            )
        return self


def load_environment(name: str) -> Environment:
    """An environment by the name of its file, or by the path of a YAML file.

    Raises:
        ConfigError: no such environment, an unknown key, or a value out of range.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in visible_files(FOLDER, ".yaml")))
        raise ConfigError(f"no environment {name!r}; use the path of a YAML file or one of: {known}")
    return Environment.parse(read_yaml(path), where=str(path))


def default_environment() -> str:
    """ "gpu-host" on a machine with an NVIDIA GPU, else "laptop"."""
    return "gpu-host" if gpu_ids() else "laptop"


def prefect_settings(environment: Environment, folder: Path, url: str) -> dict[str, str]:
    """Environment variables of the server, the workers and our own calls to the server."""
    return {
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_RUNNER_AUTO_INSTALL_DEPENDENCIES": "false",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_S),
        "PREFECT_WORKER_QUERY_SECONDS": f"{environment.poll_s:g}",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "mvideo_core,mvideo",
        "PREFECT_PLUGINS_ENABLED": "false",  # our startup hook is only for command lines
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        **environment.settings,
    }

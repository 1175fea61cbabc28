"""Deployments of this project. Flow name and deployment name are the same, so "x" is short for "x/x"."""

from importlib.metadata import entry_points

TAG = "mvideo"
"""Tag of every deployment in prefect.yaml, and so of their runs: it distinguishes our runs from other teams'."""
HEARTBEAT_S = 30
"""Seconds between heartbeats of our runs; the same in prefect.yaml."""
NOT_STAGES = (
    "build-mask-dataset", "plan", "report", "train-mvideo", "generate-video", "evaluate-mvideo", "reproduce-paper",
)  # fmt: skip
STAGE_GROUP = "mvideo.stages"
"""Entry points of the stages that other packages add; each is named like its stage."""


def deployment_names() -> tuple[str, ...]:
    """Every deployment: those that are no stage, this project's stages, and the stages of installed packages.

    Loads no stage: the command line `prefect` asks, too.
    """
    from mvideo_core.curation.stage_order import ORDER

    return (*NOT_STAGES, *ORDER, *sorted(point.name for point in entry_points(group=STAGE_GROUP)))

"""Deployments of this project. Flow name and deployment name are the same, so "x" is short for "x/x"."""

TAG = "mvideo"
"""Tag of every deployment in prefect.yaml, and so of their runs: it distinguishes our runs from other teams'."""
HEARTBEAT_S = 30
"""Seconds between heartbeats of our runs; the same in prefect.yaml."""
STAGE_DEPLOYMENTS = ("plan", "ingest", "cut", "clean", "detect", "segment", "caption", "shard", "report", "encode")
DEPLOYMENTS = (
    "build-mask-dataset", *STAGE_DEPLOYMENTS,
    "train-mvideo", "generate-video", "evaluate-mvideo", "reproduce-paper",
)  # fmt: skip

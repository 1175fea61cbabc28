"""Deployments of this project. Flow name and deployment name are the same, so "x" can stand for "x/x"."""

TAG = "mvideo"
"""Of every deployment in prefect.yaml, and so of their runs: what tells our runs from those of other teams."""
HEARTBEAT_S = 30
"""Seconds between heartbeats of our runs; the same in prefect.yaml."""
STAGE_DEPLOYMENTS = ("plan", "ingest", "cut", "detect", "segment", "caption", "shard", "report", "encode")
DEPLOYMENTS = (
    "build-mask-dataset", *STAGE_DEPLOYMENTS,
    "train-mvideo", "generate-video", "evaluate-mvideo", "reproduce-paper",
)  # fmt: skip

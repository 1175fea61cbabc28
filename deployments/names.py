"""Deployments of this project. Flow name and deployment name are the same, so "x" can stand for "x/x"."""

STAGE_DEPLOYMENTS = ("plan", "ingest", "cut", "detect", "segment", "caption", "shard", "report", "encode")
DEPLOYMENTS = (
    "build-mask-dataset", *STAGE_DEPLOYMENTS,
    "train-mvideo", "generate-video", "evaluate-mvideo", "reproduce-paper",
)  # fmt: skip

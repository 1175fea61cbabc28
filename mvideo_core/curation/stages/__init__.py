"""The stages of `build-mask-dataset`, and `encode` behind them: each file wires functions of a package to the store.

A file declares its stage once, as `STAGE`. Options, order, tasks, flows, deployments, the report's funnel and
`mvideo stage` follow from that.
"""

ORDER = (
    "ingest",  # files -> videos, probed and hashed
    "cut",  # videos -> shots -> clips
    "detect",  # first frames -> boxes and classes
    "segment",  # clips and boxes -> mask sequences
    "caption",  # clips and tracks -> texts
    "shard",  # all samples -> WebDataset shards
    "encode",  # shards -> latents for training
)

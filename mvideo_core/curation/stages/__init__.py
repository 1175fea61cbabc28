"""The stages of `build-mask-dataset`, plus `encode`: each file connects a package's functions to the store.

Each file declares its stage once, as `STAGE`. Options, order, tasks, flows, deployments, the report's funnel and
`mvideo stage` follow from that.
"""

ORDER = (
    "ingest",  # files -> videos, probed and hashed
    "cut",  # videos -> shots -> clips
    "detect",  # first frames -> boxes with classes
    "segment",  # clips and boxes -> mask sequences
    "caption",  # clips and tracks -> texts
    "shard",  # all samples -> WebDataset shards
    "encode",  # shards -> latents for training
)

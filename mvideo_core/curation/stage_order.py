"""The stages of `build-mask-dataset` in order, then `encode`. Each is a file in `stages/`."""

ORDER = (
    "ingest",  # files -> videos, probed and hashed
    "cut",  # videos -> shots -> clips
    "clean",  # clips -> those worth keeping (off by default)
    "detect",  # first frames -> boxes with classes
    "segment",  # clips and boxes -> mask sequences
    "caption",  # clips and tracks -> texts
    "shard",  # all samples -> WebDataset shards
    "encode",  # shards -> latents for training
)

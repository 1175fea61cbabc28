"""The stages: each file connects a package's functions to the store. Their order is in `stage_order.py`.

Each file declares its stage once, as `STAGE`. Options, tasks, flows, the report's funnel and `mvideo stage` follow from
that. Its deployment is in `prefect.yaml`, which `prefect deploy` reads; a test compares the two lists.
"""

from mvideo_core.curation.stage_order import ORDER

__all__ = ["ORDER"]

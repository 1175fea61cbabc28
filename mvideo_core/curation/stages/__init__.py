"""The stages: each file connects a package's functions to the store. Their order is in `stage_order.py`.

Each file declares its stage once, as `STAGE`. Options, order, tasks, flows, deployments, the report's funnel and
`mvideo stage` follow from that.
"""

from mvideo_core.curation.stage_order import ORDER

__all__ = ["ORDER"]

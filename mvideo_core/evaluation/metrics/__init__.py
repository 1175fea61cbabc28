"""Metrics, one file each; `base.METRICS` finds them."""

"""Metrics, one file each; `base.METRICS` discovers them."""

"""`mvideo eval ls` lists all metrics with their requirements and licenses; `mvideo eval ls --load` also tries to load
each metric and says what is missing. `mvideo weights fetch --for-suite paper` fetches the weights of a suite. A metric
whose package or weights are absent is reported as `unavailable` with the reason, never as a number.

`overall_consistency`, `imaging_quality`, `motion_smoothness` and `temporal_flickering` are dimensions of VBench (Huang
et al. 2024, arXiv:2311.17982), in the units of the paper's tables. VBench's leaderboard rescales each dimension, so its
numbers are not comparable.
"""

# One file each; `base.METRICS` discovers them.

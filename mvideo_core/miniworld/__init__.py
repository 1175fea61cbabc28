"""The mini world, a synthetic test bed: its videos, mini models trained on it, and the pipeline's accuracy on it."""

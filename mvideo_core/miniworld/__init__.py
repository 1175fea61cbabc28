"""The drawn world: its videos, the mini models trained on it, and the accuracy of the pipeline there."""

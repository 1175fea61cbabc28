"""From footage to a dataset: sources, scenes, and the stages of `build-mask-dataset`."""

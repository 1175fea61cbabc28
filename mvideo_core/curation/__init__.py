"""From raw footage to a dataset: sources, scene detection, and the stages of `build-mask-dataset`."""

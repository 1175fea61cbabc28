"""Training of the mini models on the synthetic world: the public architectures, small enough for one CPU core."""

"""Train the mini models on the synthetic world: public architectures, small enough for one CPU core."""

"""What a training run needs, estimated before it starts: GPU memory, FLOPs, hours. No computation, no weights read."""

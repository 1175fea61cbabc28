"""What a training needs, before it is started: GPU memory, FLOPs, hours. Nothing is computed and no weight is read."""

"""MVideo on CogVideoX: transformer, positions, teacher view, adapter files, pipeline (paper, sections 3.2 and 3.4)."""

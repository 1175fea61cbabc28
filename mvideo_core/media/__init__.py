"""Video input and output: the ffmpeg binary, guarded children, probing, decoding and encoding."""

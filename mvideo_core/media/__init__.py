"""Video files in and out: the ffmpeg binary, guarded children, probing, decoding and encoding."""

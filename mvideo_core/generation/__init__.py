"""Long videos clip by clip (paper, section 3.3): takes conditions, writes an MP4 with its conditions and provenance."""

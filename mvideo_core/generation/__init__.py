"""Long videos clip by clip (paper, section 3.3): conditions in, an mp4 with its conditions and provenance out."""

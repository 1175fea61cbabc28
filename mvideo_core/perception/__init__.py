"""Vision models that run on clips: detection, segmentation, captioning."""

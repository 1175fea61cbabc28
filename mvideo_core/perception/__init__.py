"""Networks that look at clips: detection, segmentation, captioning."""

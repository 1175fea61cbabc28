"""Detectors: frames and phrases in, boxes with scores and labels out; one class per file, looked up by name."""

from typing import Any

from mvideo_core.base.registry import Registry

DETECTORS: Registry[Any] = Registry("detector", "mvideo_core.perception.detection")
"""Name -> class implementing `mvideo_core.perception.detection.base.Detector`."""

"""The stages of `build-mask-dataset`: each file wires one core function to the store. No Prefect here."""

from mvideo_core.registry import Registry
from mvideo_core.stages.base import Stage

STAGES: Registry[Stage] = Registry("stage", "mvideo_core.stages")

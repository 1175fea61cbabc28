"""Runs stages over parts of a workspace: plans, journals, resumes, collects garbage. No Prefect here."""

from mvideo_core.base.registry import Registry
from mvideo_core.engine.stage import Stage

STAGES: Registry[Stage] = Registry("stage", "mvideo_core.curation.stages")

"""Runs stages over parts of a workspace: plans, journals, resumes, collects garbage. No Prefect here."""

from mvideo_core.engine.stages import Stages

STAGES = Stages(package="mvideo_core.curation.stages", entry_points="mvideo.stages")

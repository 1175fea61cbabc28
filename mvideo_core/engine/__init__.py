"""Runs stages over the parts of a workspace: planning, journals, resuming, garbage collection. No Prefect here."""

from mvideo_core.engine.stages import Stages

STAGES = Stages(package="mvideo_core.curation.stages", entry_points="mvideo.stages")

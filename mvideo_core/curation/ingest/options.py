"""Options of the ingest stage."""

from pydantic import Field

from mvideo_core.base.options import Options
from mvideo_core.media.probe import ProbeOptions


class IngestOptions(Options):
    """Which videos are accepted."""

    probe: ProbeOptions = Field(default=ProbeOptions(), description="limits that a file must not exceed")

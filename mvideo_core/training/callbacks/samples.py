"""Validation videos."""

from pydantic import Field

from mvideo_core.options import Options


class SampleOptions(Options):
    """Videos of held-out samples."""

    every: int = Field(default=0, ge=0, description="steps between them; 0: never")

"""Data report: funnel, statistics and overlay gallery on one page that opens from disk."""

from mvideo_core.pages.data_report.collect import GalleryChoice, ReportCounter
from mvideo_core.pages.data_report.data import (
    DropExample,
    FunnelStep,
    GalleryItem,
    GalleryObject,
    Histogram,
    ReportData,
    ReportOptions,
    StageTime,
    check_funnel,
)
from mvideo_core.pages.data_report.render import PAGE_NAME, render_report

__all__ = [
    "PAGE_NAME",
    "DropExample",
    "FunnelStep",
    "GalleryChoice",
    "GalleryItem",
    "GalleryObject",
    "Histogram",
    "ReportCounter",
    "ReportData",
    "ReportOptions",
    "StageTime",
    "check_funnel",
    "render_report",
]

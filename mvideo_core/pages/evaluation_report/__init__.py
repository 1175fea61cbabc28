"""A page of an evaluation that opens from disk, offline: videos in step, contours, curves per frame, worst first."""

from mvideo_core.pages.evaluation_report.build import PAGE_NAME, ReportOptions, build_report

__all__ = ["PAGE_NAME", "ReportOptions", "build_report"]

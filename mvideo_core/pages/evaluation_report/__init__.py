"""Evaluation report on one offline page: synchronized videos, contours, per-frame curves, worst rows first."""

from mvideo_core.pages.evaluation_report.build import PAGE_NAME, ReportOptions, build_report

__all__ = ["PAGE_NAME", "ReportOptions", "build_report"]

"""Scoring videos: metrics, suites of them, tables of the paper, a report. Nothing here writes to a workspace."""

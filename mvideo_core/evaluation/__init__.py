"""Video evaluation: metrics, suites, the paper's tables, a report. Nothing here writes to a workspace."""

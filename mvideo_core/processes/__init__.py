"""Child processes: they die with their parent, run under limits, or run in parallel."""

"""Child processes: they die with their parent, run under limits, or side by side."""

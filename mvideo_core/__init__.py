"""MVideo without its orchestrator: records, store, stages, models, evaluation.

Nothing below this package imports Prefect. Importing the package is cheap: torch, transformers, av and friends load
inside `load()` functions and stage workers.
"""

__version__ = "0.1.0"

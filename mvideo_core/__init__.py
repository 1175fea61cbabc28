"""MVideo without its orchestrator: records, store, stages, models, evaluation.

Nothing below this package imports Prefect. Importing the package is cheap: torch, transformers, av and friends load
inside `load()` functions and stage workers. Model classes load on first use:

    from mvideo_core import MVideoPipeline
"""

import importlib
from typing import Any

from mvideo_core.base.cpu_kernels import pin_cpu_kernels
from mvideo_core.base.log_filters import drop_harmless_lines

pin_cpu_kernels()
drop_harmless_lines()

__version__ = "0.1.0"

_LAZY = {
    "MVideoPipeline": "mvideo_core.cogvideox.pipeline",
    "MVideoTransformer3DModel": "mvideo_core.cogvideox.transformer",
    # diffusers asks the package of a component for the base classes of components.
    "ModelMixin": "diffusers",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)

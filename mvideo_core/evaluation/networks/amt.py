"""AMT-S (Li et al. 2023, arXiv:2304.09790), imported at run time from an installed vbench package.

AMT is CC BY-NC 4.0, so none of its code is here, and no other package has it. vbench pins a transformers version that
this project cannot use; hence it is installed without dependencies, which is enough for this network.
"""

import importlib
import importlib.util
import sys
import types
from typing import Any

from mvideo_core.base.errors import ModelError

MODULE = "vbench.third_party.amt.networks.AMT-S"
INSTALL = "pip install --no-deps vbench==0.1.5"


def amt_s() -> Any:
    """AMT-S with random weights.

    Raises:
        ModelError: vbench is not installed, or has no such module.
    """
    try:
        return _module().Model()
    except ImportError as error:
        raise ModelError(
            f"motion_smoothness needs AMT-S's network from the vbench package ({error}); {INSTALL}, then "
            "`mvideo weights fetch amt-s`. AMT is for noncommercial use only (CC BY-NC 4.0)"
        ) from None


def _module() -> Any:
    """The network's module, without vbench's __init__, which needs a video decoder and sets up logging."""
    if "vbench" in sys.modules or MODULE in sys.modules:
        return importlib.import_module(MODULE)
    spec = importlib.util.find_spec("vbench")
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError("no package vbench")
    bare = types.ModuleType("vbench")
    bare.__path__ = list(spec.submodule_search_locations)
    sys.modules["vbench"] = bare
    try:
        return importlib.import_module(MODULE)
    finally:
        del sys.modules["vbench"]

"""Where model weights are: a catalog (one YAML file per family in `entries/`), the shipped mini models, and fetching.

    find("mini", kind="detector")        -> folder inside this package
    find("swint-ogc", kind="detector")   -> $MVIDEO_WEIGHTS/groundingdino-swint-ogc, or ModelError saying how to get it
    find("/models/mine")                 -> that folder

Adding a model is adding a file to `entries/`.
"""

from mvideo_core.weights.catalog import FileState, WeightsEntry, WeightsFile, check, entries, entry, find, weights_dir
from mvideo_core.weights.fetch import fetch

__all__ = ["FileState", "WeightsEntry", "WeightsFile", "check", "entries", "entry", "fetch", "find", "weights_dir"]

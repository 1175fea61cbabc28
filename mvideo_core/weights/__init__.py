"""Where model weights are: a catalog (one YAML file per family in `entries/`), the shipped mini models, and fetching.

`file_checks` checks files on disk (sizes, headers, digests), `hub` talks to the Hugging Face hub, `download` gets one
file, `fetch` a whole model.

    find("mini", kind="detector")        -> folder inside this package
    find("swint-ogc", kind="detector")   -> $MVIDEO_WEIGHTS/groundingdino-swint-ogc, or ModelError saying how to get it
    find("/models/mine")                 -> that folder

To add a model, add a file to `entries/`.
"""

from mvideo_core.weights.catalog import FileState, check, entries, entry, find
from mvideo_core.weights.fetch import fetch
from mvideo_core.weights.records import WeightsEntry, WeightsFile, weights_dir

__all__ = ["FileState", "WeightsEntry", "WeightsFile", "check", "entries", "entry", "fetch", "find", "weights_dir"]

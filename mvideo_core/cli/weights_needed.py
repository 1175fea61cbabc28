"""Which weights a data profile, a training profile, a suite of metrics or a system under test needs."""

from typing import Any, NamedTuple

from mvideo_core.base.options import Options


class Needed(NamedTuple):
    """One model that a profile names.

    Attributes:
        name: catalog name, alias or folder, as in the profile; "" for a model on a server.
        kind: of the catalog.
        use: its purpose, for display.
    """

    name: str
    kind: str
    use: str


def of_profile(profile: str) -> list[Needed]:
    """Detector, segmenter and captioner of a data profile. Raises ConfigError: no such profile."""
    from mvideo_core.curation.pipeline import load_profile
    from mvideo_core.perception.captioning import CAPTIONERS
    from mvideo_core.perception.detection import DETECTORS
    from mvideo_core.perception.segmentation import SEGMENTERS

    chosen = load_profile(profile)
    detect, segment, caption = chosen.detect, chosen.segment, chosen.caption
    return [
        *_of_plugin(DETECTORS, detect.detector, detect.detector_options, "detector"),
        *_of_plugin(SEGMENTERS, segment.segmenter, segment.segmenter_options, "segmenter"),
        *_of_plugin(CAPTIONERS, caption.captioner, caption.captioner_options, "captioner"),
    ]


def of_training(profile: str) -> list[Needed]:
    """The base model of a training profile. Raises ConfigError: no such profile."""
    from mvideo_core.training.options import load_profile

    return _of_base(load_profile(profile, {"out": "unused", "data": {"latents": "unused"}}).base)


def of_suite(suite: str) -> list[Needed]:
    """The networks of a suite's metrics. Raises ConfigError: no such suite."""
    from mvideo_core.evaluation.suite import load_suite, prepare
    from mvideo_core.perception.segmentation import SEGMENTERS

    found: list[Needed] = []
    for metric in prepare(load_suite(suite)):
        options = metric.options
        if weights := getattr(options, "weights", ""):
            found.append(Needed(weights, "metric", f"metric {metric.registered}"))
        if segmenter := getattr(options, "segmenter", ""):
            found += _of_plugin(SEGMENTERS, segmenter, getattr(options, "segmenter_options", {}), "segmenter")
    return list(dict.fromkeys(found))


def of_system(system: str) -> list[Needed]:
    """The generator of a system under test. Raises ConfigError: no such system."""
    from mvideo_core.evaluation.systems import load_system

    chosen = load_system(system)
    if chosen.diffusers:
        return [Needed(chosen.diffusers.weights, "generator", f"system {system}")]
    return _of_base(chosen.mvideo.base) if chosen.mvideo else []


def _of_base(base: Options) -> list[Needed]:
    weights = str(getattr(base, "weights", ""))
    return [] if weights.startswith("random:") else [Needed(weights, "generator", "base model")]


def _of_plugin(registry: Any, name: str, given: dict[str, Any], kind: str) -> list[Needed]:
    """What a plugin's option `weights` or `model_dir` names; a plugin with `base_url` uses a server."""
    from mvideo_core.engine.loaded_models import plugin_options

    options = plugin_options(registry, name, given)
    use = f"{kind} {name}"
    if address := getattr(options, "base_url", ""):
        return [Needed("", kind, f"{use}: uses the server at {address}, which has its own model")]
    weights = getattr(options, "weights", "") or getattr(options, "model_dir", "")
    return [Needed(weights, kind, use)] if weights else []

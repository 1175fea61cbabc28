"""docs/reference/options.md: every field of every options record, from the pydantic classes."""

import importlib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from mvideo_core.base.options import Options
from tests.reference import HEADER, REPOSITORY, cell, code, table
from tests.reference.types import limits, type_text

INTRODUCTION = f"""{HEADER}
# Options

Fields of YAML files and of `--set NAME=VALUE`, by their full names. `NAME[]` is each entry of a list, `NAME.*` each
value of a mapping. "Default" is the code's default; profiles set other values, and `mvideo profiles NAME` and `mvideo
train profiles NAME` print a profile in full.
"""


class Section(NamedTuple):
    """One table: its heading, where the values are given, and the class as "module:name"."""

    heading: str
    where: str
    record: str


SECTIONS = (
    Section("Run profiles", "`mvideo run`, `plan` and `stage`: `--options`, `--set`; deployments/profiles/*.yaml.",
            "mvideo_core.curation.pipeline:PipelineOptions"),
    Section("Sources", "The parameter `source` of build-mask-dataset and plan; flags of `mvideo run` and `plan`.",
            "mvideo_core.curation.ingest.sources:SourceOptions"),
    Section("Downloads", "`mvideo download --options FILE`.", "mvideo_core.curation.ingest.download:DownloadOptions"),
    Section("Data report", "In Python: `mvideo_core.pages.data_report`.",
            "mvideo_core.pages.data_report.data:ReportOptions"),
    Section("Encoding", "`mvideo encode`: `--options`, `--set`.", "mvideo_core.training.latents.options:LatentOptions"),
    Section("Training", "`mvideo train run`: `--options`, `--set`; deployments/training/*.yaml.",
            "mvideo_core.training.options:TrainOptions"),
    Section("Generation", "`mvideo generate`: `--options`, `--set`.",
            "mvideo_core.generation.request:GenerateRequest"),
    Section("Mask extraction", "`mvideo masks extract --options FILE`.", "mvideo_core.editing.extract:ExtractOptions"),
    Section("Layers of `mvideo masks combine`", 'After the file: `"dancer.npz: {start_s: 0.5}"`.',
            "mvideo_core.cli.masks:LayerOptions"),
    Section("Shapes of masks", "One `--shape` of `mvideo masks draw`.", "mvideo_core.editing.draw:ShapeOptions"),
    Section("Canvas of drawn masks", "Flags of `mvideo masks draw`.", "mvideo_core.editing.draw:CanvasOptions"),
    Section("Combining masks", "Flags of `mvideo masks combine`.", "mvideo_core.editing.combine:CombineOptions"),
    Section("Resampling masks", "Flags of `mvideo masks resample`.", "mvideo_core.editing.resample:ResampleOptions"),
    Section("Previews of masks", "Flags of `mvideo masks preview`.", "mvideo_core.editing.preview:PreviewOptions"),
    Section("Recipes of masks", "A YAML file for `mvideo masks recipe`.", "mvideo_core.editing.recipe:Recipe"),
    Section("Suites", "`mvideo eval run`: `--suite FILE`, `--set`; deployments/evaluation/*.yaml.",
            "mvideo_core.evaluation.suite:SuiteOptions"),
    Section("Systems", "`mvideo eval generate`: `--system FILE`, `--set`; deployments/evaluation/systems/*.yaml.",
            "mvideo_core.evaluation.systems:SystemOptions"),
    Section("Evaluation report", "`mvideo eval report --set`.",
            "mvideo_core.pages.evaluation_report.build:ReportOptions"),
    Section("Review decisions", "Lines of review/decisions.jsonl ([review](../data.md#review)).",
            "mvideo_core.store.decisions:Decision"),
    Section("The vbench package", "`mvideo eval vbench`.", "mvideo_core.evaluation.vbench_backend:VBenchOptions"),
    Section("Paper", "`mvideo reproduce`: `--profile FILE`, `--set`; deployments/paper/*.yaml.",
            "mvideo_core.paper.options:PaperOptions"),
    Section("Accuracy", "`mvideo accuracy`.", "mvideo_core.miniworld.accuracy.measure:AccuracyOptions"),
    Section("Test set Mask-to-Video", "`mvideo testset mask-to-video`.",
            "mvideo_core.evaluation.testsets.mask_to_video:MaskToVideoOptions"),
    Section("Test set ComplexMotion", "`mvideo testset complexmotion`.",
            "mvideo_core.evaluation.testsets.complex_motion:ComplexMotionOptions"),
    Section("VBench's prompts", "`mvideo testset vbench`.", "mvideo_core.evaluation.testsets.vbench:VBenchOptions"),
    Section("Data cards", "datasets/*.yaml.", "mvideo_core.evaluation.testsets.cards:DatasetCard"),
    Section("Environments", "`mvideo server up --environment FILE`; deployments/environments/*.yaml.",
            "mvideo.deployments._environment:Environment"),
    Section("Engine", "The parameter `engine` of deployments.", "mvideo.flows._steps:EngineOptions"),
    Section("Training the mini base's VAE", "`python -m mvideo_core.miniworld.training.base_vae --set`.",
            "mvideo_core.miniworld.training.base_vae:VaeOptions"),
    Section("Training the mini base", "`python -m mvideo_core.miniworld.training.base_text2video --set`.",
            "mvideo_core.miniworld.training.base_text2video:Text2VideoOptions"),
    Section("Training the mini detector", "`python -m mvideo_core.miniworld.training.detector --set`.",
            "mvideo_core.miniworld.training.detector:DetectorTrainingOptions"),
    Section("Training the mini ViCLIP", "`python -m mvideo_core.miniworld.training.viclip --set`.",
            "mvideo_core.miniworld.training.viclip:MiniViclipOptions"),
)  # fmt: skip

REGISTRIES = (
    ("Scene detector", "`cut.detector_options`", "mvideo_core.curation.scenes:SCENE_DETECTORS"),
    ("Clip filter", "`clean.filters`", "mvideo_core.curation.filters:CLIP_FILTERS"),
    ("Detector", "`detect.detector_options`, `detector_options` of masks",
     "mvideo_core.perception.detection:DETECTORS"),
    ("Segmenter", "`segment.segmenter_options`, `segmenter_options` of masks and metrics",
     "mvideo_core.perception.segmentation:SEGMENTERS"),
    ("Captioner", "`caption.captioner_options`", "mvideo_core.perception.captioning:CAPTIONERS"),
    ("Metric", "`options` of a metric in a suite", "mvideo_core.evaluation.base:METRICS"),
    ("Edit", '`mvideo masks edit --op "NAME: {...}"`', "mvideo_core.editing.operations:OPERATIONS"),
)  # fmt: skip


def options_page() -> str:
    """The whole page."""
    return INTRODUCTION + "".join(
        f"\n## {heading}\n\n{where}\n\n{_table(record)}" for heading, where, record in every_record()
    )


def every_record() -> Iterator[tuple[str, str, type[Options]]]:
    """Heading, place and class of every table."""
    for section in SECTIONS:
        yield section.heading, section.where, found(section.record)
    for kind, where, path in REGISTRIES:
        registry = found(path)
        for name in registry.names():
            yield f"{kind} {name}", f"{where}.", _options_of(registry.get(name))


def found(path: str) -> Any:
    """The object called "module:name"."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def fields(record: type[BaseModel], values: BaseModel | None = None, prefix: str = "") -> Iterator[tuple[str, ...]]:
    """Rows of a record, those of the records inside it in their place.

    Args:
        values: what the record holds where nothing is given; None = the defaults of its class.
    """
    for name, field in record.model_fields.items():
        shown = prefix + (field.alias or name)
        default = getattr(values, name) if values is not None else _default(field)
        inner = _records(field.annotation)
        if isinstance(default, BaseModel):
            yield from fields(type(default), default, f"{shown}.")
            continue
        kind = ", ".join([type_text(field.annotation), *limits(field.metadata)])
        yield code(shown), cell(kind), _shown(default), cell(field.description or "")
        for mark, one in inner:
            yield from fields(one, None, f"{shown}{mark}.")


def nested(record: type[BaseModel]) -> set[type[BaseModel]]:
    """The record and all records inside it."""
    inner = {one for field in record.model_fields.values() for _, one in _records(field.annotation)}
    return {record}.union(*(nested(one) for one in inner))


def _table(record: type[Options]) -> str:
    rows = list(fields(record))
    return table(("Field", "Value", "Default", "Meaning"), rows) if rows else "No options.\n"


def _options_of(member: Any) -> type[Options]:
    for name in ("Options", "options_type", "options"):
        if hasattr(member, name):
            return getattr(member, name)
    raise TypeError(f"{member} names no options class")


def _records(annotation: Any, mark: str = "") -> list[tuple[str, type[BaseModel]]]:
    """Records in an annotation, with "[]" for those in lists and ".*" for those in mappings."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return [(mark, annotation)] if issubclass(annotation, BaseModel) else []
    here = {dict: ".*", list: "[]", tuple: "[]"}.get(get_origin(annotation) or object, "")
    return [pair for one in get_args(annotation) for pair in _records(one, mark + here)]


def _default(field: FieldInfo) -> Any:
    if field.is_required():
        return PydanticUndefined
    return field.get_default(call_default_factory=True)


def _shown(value: Any) -> str:
    if value is PydanticUndefined:
        return "required"
    return code(json.dumps(value, ensure_ascii=False, default=str).replace(f"{REPOSITORY}/", ""))

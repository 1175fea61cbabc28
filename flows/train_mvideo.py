"""Deployment "train-mvideo": mask shards to a trained adapter (the paper's sections 3.4 and 4.1)."""

from typing import Annotated, Any

from prefect import flow

from mvideo.flows._latents import write_latents
from mvideo.flows._naming import run_name
from mvideo.flows._root import in_root
from mvideo.flows._steps import EngineOptions
from mvideo.flows._training import publish_training
from mvideo.tasks.train import train
from mvideo_core.base.errors import ConfigError
from mvideo_core.base.forms import ProfileName, Values
from mvideo_core.base.options import Over, merge
from mvideo_core.doctor import CheckContext, require
from mvideo_core.training.latents.options import LatentOptions
from mvideo_core.training.options import PROFILES, TrainOptions, load_profile
from mvideo_core.training.report import RunReport


@flow(name="train-mvideo", flow_run_name=run_name, persist_result=False)
@in_root
def train_mvideo(
    workspace: str = "",
    out: str = "",
    profile: Annotated[str, ProfileName(PROFILES)] = "mini",
    overrides: Annotated[dict[str, Any] | None, Values(TrainOptions)] = None,
    latents: LatentOptions | None = None,
    options: Annotated[dict[str, Any] | None, Over(TrainOptions)] = None,
    init_adapter: str = "",
    allow: list[str] | None = None,
    engine: EngineOptions = EngineOptions(),
) -> RunReport:
    """Encode the dataset's latents, then train. If killed at any moment, a retry resumes from the newest checkpoint.

    Args:
        workspace: where build-mask-dataset wrote its dataset; empty = train on `data.latents` of the options.
        out: run folder for checkpoints, metrics and samples; an existing run resumes.
        profile: training profile: mini, mvideo-2b, mvideo-5b, or the path of a YAML file.
        overrides: values that override the profile, such as {"optimizer": {"rate": {"peak": 1e-4}}}.
        latents: options of the encode stage; empty = the profile's base model and format.
        options: values that override both, as filled in on the form; empty values come from the profile.
        init_adapter: adapter to start from: a training output folder, or a plain CogVideoX LoRA.
        allow: options that may differ from the checkpoint's on resume, such as optimizer.rate.peak.
        engine: where the encode stage runs: threads of this process, or Ray.
    """
    chosen = load_profile(profile, merge(overrides or {}, options or {}))
    given = {"out": out, "init_adapter": init_adapter, "allow": tuple(allow or ())}
    chosen = chosen.model_copy(update={name: value for name, value in given.items() if value})
    if not chosen.out:
        raise ConfigError("train-mvideo: out is empty; set the run's folder")
    require("train", CheckContext(workspace=workspace, training=chosen))
    if workspace:
        require("encode", CheckContext(workspace=workspace, latents=latents or LatentOptions(base=chosen.base)))
        found = write_latents(workspace, latents or LatentOptions(base=chosen.base), engine)
        chosen = chosen.model_copy(update={"data": chosen.data.model_copy(update={"latents": found})})
    report = train(chosen)
    publish_training(report)
    return report

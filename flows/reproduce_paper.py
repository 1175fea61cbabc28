"""Deployment "reproduce-paper": the whole paper: data, training, videos, scores, tables 2 to 5, figures 4 to 9."""

from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.artifacts import create_link_artifact, create_markdown_artifact

from mvideo.flows._naming import run_name
from mvideo.flows._notices import publish
from mvideo.flows._root import in_root
from mvideo.flows._shared_jobs import SharedJob, share
from mvideo.flows.build_mask_dataset import build_mask_dataset
from mvideo.flows.evaluate_mvideo import evaluate_mvideo
from mvideo.flows.train_mvideo import train_mvideo
from mvideo.tasks import paper
from mvideo_core.base.forms import ProfileName, Values
from mvideo_core.base.listing import visible_files
from mvideo_core.base.options import Over, digest, merge
from mvideo_core.paper.material import pipeline_overrides, sets_to_build, workspace_of
from mvideo_core.paper.options import PROFILES, PaperOptions, load_profile
from mvideo_core.paper.training import latent_options, training_options
from mvideo_core.paper.videos import job_named, jobs, manifest_of

DEPLOYMENT = "reproduce-paper/reproduce-paper"
QUEUE = "gpu"
"""Queue for video jobs: each needs one GPU, whereas training runs on the queue "train" take a whole machine."""


@flow(name="reproduce-paper", flow_run_name=run_name, persist_result=False)
@in_root
def reproduce_paper(
    out: str,
    profile: Annotated[str, ProfileName(PROFILES)] = "mini",
    overrides: Annotated[dict[str, Any] | None, Values(PaperOptions)] = None,
    options: Annotated[dict[str, Any] | None, Over(PaperOptions)] = None,
    gpus: int = 1,
    job: str = "",
) -> str:
    """Run every experiment of the paper. If killed at any moment, a retry resumes where it stopped.

    Args:
        out: folder of the whole run; an existing run resumes.
        profile: mini, or the path of a YAML file.
        overrides: values that override the profile, such as {"tests": {"prompts": 8}}.
        options: values that override both, as filled in on the form; empty values come from the profile.
        gpus: above 1, video jobs and parts of the scoring are separate runs on the queue gpu.
        job: generate the videos of this job, such as "prompts/base/1-clips", and stop; used by the runs that `gpus`
            starts.

    Returns:
        Path of the page; of the manifest if `job` is given.
    """
    chosen = load_profile(profile, merge(overrides or {}, options or {}))
    root = Path(out).absolute()
    if job:
        return paper.job_videos(chosen, str(root), job_named(job, chosen))
    for name in sets_to_build(chosen):
        source = paper.material(chosen, str(root), name)
        build_mask_dataset(workspace_of(chosen, root, name), source, chosen.pipeline, pipeline_overrides(chosen, name))
    paper.test_sets(chosen, str(root))
    for alpha in chosen.alphas:
        train_mvideo(
            workspace=workspace_of(chosen, root, "train"),
            latents=latent_options(chosen),
            profile="",
            options=training_options(chosen, root, alpha, "").model_dump(mode="json"),
        )
    manifests = make_all_videos(chosen, root, gpus)
    evaluate_mvideo(manifests, str(root / "scores"), chosen.suite, gpus=gpus, report=False)
    page = paper.tables(chosen, str(root))
    _pages(root, page)
    return page


def make_all_videos(options: PaperOptions, root: Path, gpus: int) -> list[str]:
    """Generate the videos of every job and figure, here or with the jobs shared. Returns: the jobs' manifests.

    Raises:
        StoreError: a job's run failed; its page says why.
    """
    if gpus == 1:
        return paper.all_videos(options, str(root))
    todo = jobs(options)
    base = {"out": str(root), "profile": "", "options": options.model_dump(mode="json")}
    shared = [
        SharedJob(base | {"job": job.name}, f"videos {job.name}", f"{job.name}-{digest(base)[:16]}") for job in todo
    ]
    share(
        DEPLOYMENT, shared, lambda number: paper.job_videos(options, str(root), todo[number]), done=False, queue=QUEUE
    )
    paper.figures(options, str(root))
    return [str(manifest_of(job, root)) for job in todo]


def _pages(root: Path, page: str) -> None:
    texts = [path.read_text(encoding="utf-8") for path in visible_files(root / "tables", ".md")]
    publish(create_markdown_artifact, markdown="\n\n".join(texts), key="paper-tables", description="Tables 2 to 5.")
    publish(create_link_artifact, link=f"file://{page}", link_text="all results", key="paper-page", description=page)

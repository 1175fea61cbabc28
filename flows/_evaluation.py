"""Scoring on several GPUs: each additional part is a run of the same deployment (see `flows._shared_jobs`)."""

from mvideo.flows._shared_jobs import SharedJob, share
from mvideo.tasks.evaluate import parts_to_score, score
from mvideo_core.evaluation.request import EvaluateRequest

DEPLOYMENT = "evaluate-mvideo/evaluate-mvideo"


def score_parts(request: EvaluateRequest, gpus: int) -> int:
    """Score everything, in one part per GPU. Returns: the number of parts.

    Raises:
        StoreError: a part's run failed; its page says why.
    """
    jobs = [_job(request, index, gpus) for index in range(gpus)]
    share(DEPLOYMENT, jobs, lambda index: score(request, f"{index}/{gpus}"), done=True)
    if gpus > 1:
        for index in parts_to_score(request, gpus):  # for a run from before a kill: its videos may have changed since
            score(request, f"{index}/{gpus}")
    return gpus


def _job(request: EvaluateRequest, index: int, count: int) -> SharedJob:
    parameters = {
        "manifests": list(request.manifests),
        "out": request.out,
        "options": request.suite.model_dump(mode="json"),
        "part": f"{index}/{count}",
        "overwrite": request.overwrite,
    }
    key = f"part-{index}-of-{count}-{request.plan().digest[:16]}"
    return SharedJob(parameters, f"score part {index} of {count}", key)

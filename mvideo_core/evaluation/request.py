"""One evaluation as a serializable request: what to score, with which suite, into which folder."""

from pydantic import Field, field_validator

from mvideo_core.base.local_paths import check_local
from mvideo_core.base.options import Options
from mvideo_core.evaluation.plan import EvalPlan, make_plan
from mvideo_core.evaluation.suite import SuiteOptions


class EvaluateRequest(Options):
    """Parameters of `evaluate-mvideo`."""

    manifests: tuple[str, ...] = Field(min_length=1, description="manifests (.jsonl) or folders of videos")
    out: str = Field(min_length=1, description="local folder for scores and results; existing scores are reused")
    suite: SuiteOptions = Field(description="metrics and choices")
    overwrite: bool = Field(default=False, description="replace a result of other videos or metrics in `out`")

    _local = field_validator("out")(check_local)

    def plan(self) -> EvalPlan:
        """Items and suite. Raises ConfigError: a manifest that cannot be read."""
        return make_plan(self.suite, self.manifests)

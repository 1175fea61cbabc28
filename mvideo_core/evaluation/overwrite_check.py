"""Protect results: a second run into a folder may add to its result, but not replace other videos or metrics."""

import logging
from pathlib import Path
from typing import Any

from mvideo_core.base.errors import ConfigError, StoreError
from mvideo_core.evaluation.aggregate import group_of, title_of
from mvideo_core.evaluation.plan import EvalPlan
from mvideo_core.evaluation.result import MetricFacts, metric_facts, read_result

log = logging.getLogger(__name__)


def check_replaces_nothing(plan: EvalPlan, out: str | Path) -> None:
    """Check that the result in a folder, if any, is part of what the plan will measure.

    Raises:
        ConfigError: it has videos or metrics that the plan does not have; they would be lost.
    """
    try:
        old = read_result(out)
    except ConfigError:  # no result
        return
    except StoreError as error:  # from another version, or damaged: it must be computed again
        log.warning("%s: this run replaces it", error)
        return
    new = {(group_of(item), item.id): item.video for item in plan.items}
    lost = [item for item in old.items if new.get((group_of(item), item.id)) != item.video]
    metrics = {name: _measurement(facts) for name, facts in metric_facts(plan, {}).items()}
    dropped = [name for name, facts in old.result.metrics.items() if metrics.get(name) != _measurement(facts)]
    if not (lost or dropped):
        return
    title = title_of(lost[0].system, lost[0].variant, lost[0].test_set) if lost else ""
    what = f"{len(lost)} other videos ({title or 'unnamed'}: {lost[0].id}, ...)" if lost else f"metric {dropped[0]}"
    raise ConfigError(
        f"{out}: contains the result of {what}, which this run would replace; use another --out, list all manifests in "
        "one run, or pass --overwrite"
    )


def _measurement(facts: MetricFacts) -> tuple[str, dict[str, Any]]:
    return facts.metric, facts.deciding.options

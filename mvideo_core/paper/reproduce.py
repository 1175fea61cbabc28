"""Run every step in order on this machine, without a server; each step resumes. The flow has the same steps."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mvideo_core.base.disk import write_whole
from mvideo_core.base.options import canonical_json
from mvideo_core.paper.all_videos import make_all_videos
from mvideo_core.paper.data import build_datasets, build_test_sets, encode_training_set
from mvideo_core.paper.options import PaperOptions
from mvideo_core.paper.page import write_page
from mvideo_core.paper.scoring import score, write_findings
from mvideo_core.paper.training import training_options
from mvideo_core.paper.videos import jobs
from mvideo_core.training.launch import launch

log = logging.getLogger(__name__)

LogLine = Callable[[str], None]
"""Called with one line of progress."""


def reproduce(options: PaperOptions, root: Path, report: LogLine = log.info) -> Path:
    """Reproduce the paper: data, training, videos, scores, tables, figures, page.

    Returns:
        Path of the page.

    Raises:
        ConfigError, ModelError, StoreError, TrainError: from the steps.
    """
    keep_options(options, root)
    report("1/6 datasets: videos -> cuts -> boxes -> masks -> captions -> shards")
    build_datasets(options, root)
    report("2/6 test sets, and latents of the training set")
    build_test_sets(options, root)
    latents = encode_training_set(options, root)
    for alpha in options.alphas:
        report(f"3/6 training, consistency loss weight {alpha:g}")
        launch(training_options(options, root, alpha, latents), _log_steps(report))
    report(f"4/6 videos: {len(jobs(options))} jobs, {len(options.figures)} figures")
    make_all_videos(options, root, lambda name, done, total: report(f"    {name}: {done} of {total} videos"))
    report("5/6 scores")
    score(options, root, lambda done, total, text: report(f"    {done} of {total}: {text}"))
    report("6/6 tables and page")
    return finish(options, root)


def keep_options(options: PaperOptions, root: Path) -> None:
    """Record this run's options; a later run may change them, and each step detects which output is stale."""
    root.mkdir(parents=True, exist_ok=True)
    write_whole(root / "options.json", canonical_json(options) + "\n")


def finish(options: PaperOptions, root: Path) -> Path:
    """Write tables, comparisons and the page from the scores available.

    Raises:
        ConfigError: nothing has been scored yet.
    """
    return write_page(options, root, write_findings(options, root))


def _log_steps(report: LogLine) -> Callable[[dict[str, Any]], None]:
    def log(line: dict[str, Any]) -> None:
        if "train/loss" in line and line["step"] % 50 == 0:
            report(f"    step {line['step']} of {line['steps']}: loss {line['train/loss']:.4f}")

    return log

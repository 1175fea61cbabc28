"""Finds what would fail before it does: checks of machine, weights, disk and options for the planned run.

    findings = run_checks("train", CheckContext(training=options))     # the checks that apply to training
    require("train", CheckContext(training=options))                   # raise with all problems before loading anything

To add a check, add a function to a file in `checks/` and decorate it with `@check(name, parts)`. A package that adds
commands (entry points "mvideo.commands") may also have a module `checks`: deployments/checks.py checks Prefect.
"""

from mvideo_core.doctor.base import ALL, CheckContext, Finding, check, problem, require, run_checks

__all__ = ["ALL", "CheckContext", "Finding", "check", "problem", "require", "run_checks"]

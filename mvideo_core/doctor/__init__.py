"""What will fail, before it does: checks of machine, weights, disk and options for what is about to run.

    findings = run_checks("train", Asked(training=options))     # the part that concerns a training
    require("train", Asked(training=options))                   # stop with the problems, before anything is loaded

Adding a check is adding a function to a file of `checks/`, decorated with `@check(name, parts)`. Packages that add
commands (entry points "mvideo.commands") may have a module `checks` beside them: deployments/checks.py has Prefect's.
"""

from mvideo_core.doctor.base import ALL, Asked, Finding, check, problem, require, run_checks

__all__ = ["ALL", "Asked", "Finding", "check", "problem", "require", "run_checks"]

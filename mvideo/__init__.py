"""The one name under which flows, tasks, deployments and data cards are imported and installed.

In a checkout this folder holds links to `flows/`, `tasks/`, `deployments/`, `datasets/` and `prefect.yaml`; an
installed package has the files themselves here. So `mvideo.flows.stages` means the same everywhere, and names as common
as `flows` and `tasks` stay free for other projects.
"""

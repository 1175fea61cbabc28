"""YAML files shipped with the project: `prefect.yaml`, `datasets/` and the folders of `deployments/`."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[2] / "mvideo"


def shipped_path(name: str) -> Path:
    """Absolute path of such a file or folder, in a checkout or in an installed package.

    Args:
        name: as in the repository, such as "deployments/profiles".
    """
    return (_PACKAGE / name).resolve()


def checkout() -> Path | None:
    """The repository that the code is imported from; None for an installed package."""
    return _PACKAGE.parent if (_PACKAGE / "flows").is_symlink() else None

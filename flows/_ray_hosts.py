"""Ray's packages, loaded on use, and whether its hosts reach Prefect's server."""

import socket
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from mvideo_core.base.errors import ConfigError


def ray_packages() -> Any:
    """The parts of `prefect_ray` and `ray` that we use.

    Raises:
        ConfigError: they are not installed.
    """
    try:
        import prefect_ray
        import prefect_ray.context
        import ray
    except ImportError as error:
        # not mvideo[ray]: it brings a full OpenCV
        install = "pip install 'prefect-ray>=0.6,<0.7' 'ray[default]>=2.60,<3'"
        raise ConfigError(f"engine ray needs packages that are missing ({error.name}): {install}") from None
    return SimpleNamespace(
        RayTaskRunner=prefect_ray.RayTaskRunner,
        remote_options=prefect_ray.context.remote_options,
        addresses=lambda: {node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]},
    )


def require_reachable(api_url: str, hosts: Collection[str]) -> None:
    """Ray's workers get this process's API address. If it means "this machine", every task elsewhere fails.

    Args:
        hosts: IP addresses of Ray's hosts.

    Raises:
        ConfigError: some of them cannot reach that address.
    """
    if urlsplit(api_url).hostname not in (None, "127.0.0.1", "localhost", "::1"):
        return
    if elsewhere := sorted(host for host in hosts if not is_own_address(host)):
        raise ConfigError(
            f"engine ray: its workers on {', '.join(elsewhere[:3])} cannot reach Prefect's server at "
            f"{api_url or 'an address that is not set'}; start it with `host: 0.0.0.0` and `api_url: "
            "http://THIS-HOST:4200/api` in the file for `mvideo server up --environment`"
        )


def is_own_address(address: str) -> bool:
    """Whether an IP address is one of this machine."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True

import pytest

from mvideo.flows._ray_hosts import require_reachable
from mvideo_core.base.errors import ConfigError

ELSEWHERE = "240.0.0.1"  # reserved: no machine has it


@pytest.mark.parametrize("url", ["http://127.0.0.1:4200/api", "http://localhost:4200/api", "http://[::1]:4200/api", ""])
def test_a_server_that_only_this_machine_reaches_is_refused_for_hosts_elsewhere(url: str) -> None:
    require_reachable(url, {"127.0.0.1"})
    with pytest.raises(ConfigError, match=f"its workers on {ELSEWHERE} cannot reach Prefect's server at .*api_url"):
        require_reachable(url, {"127.0.0.1", ELSEWHERE})


def test_an_address_for_all_hosts_passes() -> None:
    require_reachable("http://head:4200/api", {"127.0.0.1", ELSEWHERE})

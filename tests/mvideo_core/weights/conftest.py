"""A loopback hub for this folder's tests, and an own folder of weights and cache."""

import huggingface_hub.constants
import pytest

from mvideo_core.weights import download
from tests.mvideo_core.weights.loopback_hub import COMMIT_2B, COMMIT_5B, Repo, cogvideox, running_hub


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Serves both CogVideoX; the hub client and this project look there."""
    monkeypatch.setenv("MVIDEO_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(download, "FIRST_WAIT_S", 0.01)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with running_hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        server.repos["zai-org/CogVideoX-2b"] = Repo(COMMIT_2B, cogvideox(30))
        server.repos["zai-org/CogVideoX-5b"] = Repo(COMMIT_5B, cogvideox(42))
        yield server

"""Fresh tiny detectors, once per session, on one thread."""

import pytest
import torch

from mvideo_core.perception.detection import DETECTORS


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny():
    return DETECTORS.get("groundingdino").tiny()


@pytest.fixture(
    scope="session", params=["groundingdino", "transformers-groundingdino", "transformers-mm-groundingdino"]
)
def any_tiny(request, tiny):
    return tiny if request.param == "groundingdino" else DETECTORS.get(request.param).tiny()

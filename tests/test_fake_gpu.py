"""What the tests of devices rest on."""

import pytest
import torch

from tests.fake_gpu import GPU, FakeGpu


def test_a_tensor_of_another_device_is_seen() -> None:
    with FakeGpu():
        there, here = torch.arange(3, device=GPU), torch.arange(3)
        assert (there + 1).device == torch.device(GPU)
        assert there[here].device == torch.device(GPU)  # as on a GPU, indices may be on the CPU
        with pytest.raises(RuntimeError, match="tensors on cuda:0 and on the cpu"):
            there + here
        with pytest.raises(RuntimeError, match="tensors on cuda:0 and on the cpu"):
            here[there]
        with pytest.raises(TypeError, match=r"device|cuda|numpy"):
            there.numpy()


def test_every_wait_is_counted() -> None:
    with FakeGpu() as gpu, torch.inference_mode():
        there = torch.tensor([3.0, 0.0, 4.0], device=GPU)
        assert float(there.norm()) == 5
        assert len(there[there > 0]) == 2
        assert len(there.nonzero()) == 2
        assert there.cpu().numpy().tolist() == [3, 0, 4]
        assert there.tolist() == [3, 0, 4]
        assert bool((there > 1).any())
        assert torch.stack([there, there]).sum(dim=0).device == torch.device(GPU)  # no wait
    kinds = {name.split()[-1]: n for name, n in gpu.waits.items()}
    # tolist() copies to the CPU once
    assert kinds == {
        "_local_scalar_dense.default": 2, "index.Tensor": 1, "nonzero.default": 1, "_to_copy.default": 2,
    }  # fmt: skip


def test_a_module_moves_and_computes_what_it_computes_on_the_cpu() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.LayerNorm(8), torch.nn.ReLU())
    given = torch.randn(2, 4)
    wanted = network(given)
    with FakeGpu() as gpu, torch.no_grad():
        found = network.to(GPU)(given.to(GPU))
        assert {str(one.device) for one in network.parameters()} == {GPU}
        assert not gpu.waits
        torch.testing.assert_close(found.cpu(), wanted)

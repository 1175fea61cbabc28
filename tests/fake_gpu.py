"""A simulated GPU: tensors that report "cuda:0", compute on the CPU, and keep the rules of two devices.

Unlike those of torch's FakeTensorMode they have values, so networks run to their end: branches on values, boxes, numpy
arrays. An operation that mixes devices raises as on a GPU. A wait is counted with the function that asked for it: a
number that Python reads, a shape that depends on values, a copy to the CPU.
"""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

GPU = "cuda:0"
ROOT = Path(__file__).resolve().parents[1]
ATEN = torch.ops.aten
READS = {ATEN._local_scalar_dense.default, ATEN.equal.default, ATEN.is_nonzero.default}
SHAPED_BY_VALUES = {
    ATEN.nonzero.default, ATEN.masked_select.default, ATEN._unique2.default, ATEN.unique_dim.default,
    ATEN.repeat_interleave.Tensor, ATEN.unique_consecutive.default,
}  # fmt: skip
COPIES = {ATEN._to_copy.default, ATEN.copy_.default, ATEN.lift_fresh.default}
INDEXING = {ATEN.index.Tensor, ATEN.index_put_.default, ATEN.index_put.default, ATEN._index_put_impl_.default}


class OnGpu(torch.Tensor):
    """A tensor that says it is on the GPU; `held` is what it is, on the CPU."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> "OnGpu":
        # As FakeTensor does: to C++ a tensor without storage, with the dispatch keys of a GPU; no driver is asked.
        with torch.inference_mode(False):
            bare = torch.empty_strided(held.size(), held.stride(), dtype=held.dtype, device="meta")
            made: OnGpu = torch.Tensor._make_subclass(  # type: ignore[attr-defined]
                cls, bare, False, dispatch_device=True, device_for_backend_keys=torch.device(GPU)
            )
        made.held = held
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """What it says."""
        return torch.device(GPU)

    def tolist(self) -> Any:
        """As of any tensor; a wait."""
        return self.cpu().tolist()

    def numpy(self, *, force: bool = False) -> Any:
        """Refused, as for any tensor of a GPU."""
        raise TypeError(f"can't convert {GPU} device type tensor to numpy; use Tensor.cpu() first")

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.prim.device.default:
            return torch.device(GPU)
        raise AssertionError(f"{func} outside of FakeGpu")

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"OnGpu({self.held})"


class FakeGpu(TorchDispatchMode):
    """Inside, "cuda:0" can be used; `waits` counts the lines of this project that waited for it."""

    _mode_key = torch._C._TorchDispatchModeKey.FAKE  # torch initializes no CUDA under a mode of this kind

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()
        self._depth = 0

    def __enter__(self) -> "FakeGpu":
        self._depth += 1
        if self._depth == 1:
            torch._C._ensureCUDADeviceGuardSet()  # one that does nothing where there is no driver
            self._torch(True)
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._depth -= 1
        if not self._depth:
            self._torch(False)

    @staticmethod
    def _torch(pretending: bool) -> None:
        """`torch.tensor(..., device=GPU)` becomes a copy from the CPU, and `module.to` makes new parameters."""
        torch._C._set_only_lift_cpu_tensors(pretending)
        torch.__future__.set_overwrite_module_params_on_conversion(pretending)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.prim.device.default:
            return args[0].device
        kwargs = dict(kwargs or {})
        if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
            with self:  # what inference mode leaves whole, such as `to`
                return func.decompose(*args, **kwargs)
        tensors = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, torch.Tensor)]
        on_gpu = any(isinstance(one, OnGpu) for one in tensors)
        if func is ATEN._fused_sdp_choice.default:
            return 0  # plain mathematics; the kernels of a GPU are not here
        self._check(func, tensors, on_gpu)
        to_gpu = on_gpu
        if kwargs.get("device") is not None:
            to_gpu = torch.device(kwargs["device"]).type == "cuda"
            kwargs["device"] = torch.device("cpu")
        elif func is ATEN.copy_.default:
            to_gpu = isinstance(args[0], OnGpu)
        if on_gpu and (func in READS or func in SHAPED_BY_VALUES or _masked(func, args) or _leaves(func, args, to_gpu)):
            self.waits[f"{_asked_by()} {func.__name__}"] += 1
        owners = {id(one.held): one for one in tensors if isinstance(one, OnGpu)}
        found = func(*tree_map(_real, args), **tree_map(_real, kwargs))

        def placed(one: Any) -> Any:
            if not isinstance(one, torch.Tensor) or isinstance(one, OnGpu):
                return one
            return owners[id(one)] if id(one) in owners else OnGpu(one) if to_gpu else one

        return tree_map(placed, found)

    @staticmethod
    def _check(func: Any, tensors: list[torch.Tensor], on_gpu: bool) -> None:
        elsewhere = [one for one in tensors if not isinstance(one, OnGpu) and one.dim() > 0]
        indexed = func in INDEXING and isinstance(tensors[0], OnGpu)  # takes indices of the CPU
        if on_gpu and elsewhere and func not in COPIES and not indexed:
            shapes = ", ".join(str(tuple(one.shape)) for one in elsewhere)
            raise RuntimeError(f"{func}: tensors on {GPU} and on the cpu (of shape {shapes}) in one operation")


def _real(one: Any) -> Any:
    return one.held if isinstance(one, OnGpu) else one


def _masked(func: Any, args: Any) -> bool:
    """Indexing by a mask asks how many are true."""
    return func is ATEN.index.Tensor and any(one is not None and one.dtype == torch.bool for one in args[1])


def _leaves(func: Any, args: Any, to_gpu: bool) -> bool:
    """A copy from the GPU to the CPU."""
    source = args[1] if func is ATEN.copy_.default else args[0] if func is ATEN._to_copy.default else None
    return isinstance(source, OnGpu) and not to_gpu


def _asked_by() -> str:
    """File and function of this project that is nearest; "" where only libraries are on the stack."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(ROOT / "mvideo_core"):
            return f"{path.name}:{frame.f_code.co_name}"
        frame = frame.f_back
    return ""

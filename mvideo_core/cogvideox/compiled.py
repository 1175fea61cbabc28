"""Which graphs `torch.compile` has built for a transformer's block.

A graph serves every block and every later call with the same shapes, gradient mode and adapter switch; anything else
builds a new one, which takes seconds to a minute. If all shapes are known in advance, run each once, then call `seal`.
"""

import logging
from typing import Any

import torch
from torch import Tensor, nn

BACKEND = "inductor"
"""torch.compile's backend that generates fast code."""

log = logging.getLogger(__name__)

MAX_GRAPHS = 64
"""Above it torch.compile raises. Its own default of 8 is meant for functions with a single caller."""


class CompiledGraphs:
    """A backend of torch.compile that counts what it compiles.

    Args:
        backend: name of the backend that does the work; `BACKEND` if None.

    Attributes:
        made: what each graph was compiled for, in order.
        late: those in `made` that came after `seal`.
        current: what the transformer is computing; set by it before its blocks run.
    """

    def __init__(self, backend: str | None = None):
        self.backend = backend or BACKEND
        self.made: list[str] = []
        self.late: list[str] = []
        self.current = ""
        self._sealed = False

    def take(self, transformer: Any) -> None:
        """Compile the blocks in place, each as a whole.

        Shapes are fixed (`dynamic=False`): a training run has few, and fixed ones give the fastest code.
        """
        for block in transformer.transformer_blocks:
            _drop_idle_dropout(block)
        transformer.compile_repeated_blocks(
            fullgraph=True, dynamic=False, backend=self.compile, recompile_limit=MAX_GRAPHS
        )

    def prepare_inputs(self, block: nn.Module, video: Tensor, text: Tensor, n_clean: int) -> tuple[Tensor, Tensor]:
        """The tokens entering the first block, in the form that later blocks see theirs.

        The embeddings before the blocks are frozen: the text, and a clip without mask, need no gradient, while
        everything that comes out of a trained block does. Without this the first block would need separate graphs.
        """
        learns = torch.is_grad_enabled() and any(p.requires_grad for p in block.parameters())
        self.current = (
            f"batch {len(video)}, {text.shape[1]} text + {video.shape[1]} video tokens ({n_clean} clean ones), "
            f"gradients {'on' if learns else 'off'}"
        )
        return (video.requires_grad_(), text.requires_grad_()) if learns else (video, text)

    def seal(self) -> None:
        """From now on a new graph is logged as a warning and kept in `late`.

        It is not an error: one more graph costs a minute, and stopping a run on many GPUs costs more.
        """
        self._sealed = True

    def compile(self, graph: Any, inputs: list[Tensor]) -> Any:
        """The compiled form of a traced block; called by torch."""
        from torch._dynamo import lookup_backend

        self.made.append(self.current)
        if self._sealed:
            self.late.append(self.current)
            log.warning(
                "torch.compile: graph %d was compiled after the warm-up, for %s; each one costs time. "
                "TORCH_LOGS=recompiles shows what differs",
                len(self.made),
                self.current,
            )
        return lookup_backend(self.backend)(graph, inputs)


def _drop_idle_dropout(block: nn.Module) -> None:
    """Replace dropout of 0 by the identity: it checks for training mode, which would double the graphs."""
    for module in block.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.Dropout) and child.p == 0:
                setattr(module, name, nn.Identity())

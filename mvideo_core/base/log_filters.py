"""Drops log lines of other packages that mean nothing to a user of this one. Standard library only."""

import logging
from functools import partial

HARMLESS = {
    # torchao 0.18, which diffusers imports if installed, registers two enums in a way that torch 2.15 deprecates.
    "torch.utils._pytree": "register_constant() on Enum",
    # diffusers 0.42 looks for classes that torchao 0.18 no longer has; only checkpoints pickled with them need those.
    "diffusers.quantizers.torchao.torchao_quantizer": "Unable to import `torchao` Tensor objects",
}
"""Name of a logger -> text of the line to drop."""


def _is_other(text: str, record: logging.LogRecord) -> bool:
    return text not in str(record.msg)


_FILTERS = {name: partial(_is_other, text) for name, text in HARMLESS.items()}


def drop_harmless_lines() -> None:
    """Add the filters to the loggers. Adding them again changes nothing."""
    for name, is_other in _FILTERS.items():
        logging.getLogger(name).addFilter(is_other)

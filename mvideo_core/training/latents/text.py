"""T5 embeddings of captions in CogVideoX's form: padded to a fixed number of tokens, no attention mask.

Without an attention mask, the padding takes part in attention and in the transformer's sequence, so all rows are kept
(226 for CogVideoX). Captions that are too long are truncated, with a warning.

Shape letters: B batch, L tokens, C channels.
"""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mvideo_core.training.latents.encode import check_finite

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

TEXT = "text"


def embed_texts(text_encoder: Any, tokenizer: Any, texts: Sequence[str], n_tokens: int) -> "torch.Tensor":
    """Embeddings (B, L, C) of a list of texts, bfloat16 on the CPU; "" gives the embedding of the empty prompt.

    Args:
        text_encoder: T5EncoderModel.
        tokenizer: its tokenizer; longer texts are truncated, with a warning.
        n_tokens: L, 226 for CogVideoX.

    Raises:
        ModelError: an embedding is not finite (T5 overflows in float16).
    """
    import torch

    for text, ids in zip(texts, tokenizer(list(texts), verbose=False).input_ids, strict=True):
        if len(ids) > n_tokens:
            log.warning("caption of %d tokens is truncated to %d: %.60s...", len(ids), n_tokens, text)
    parameter = next(text_encoder.parameters())
    ids_BL = tokenizer(
        list(texts), padding="max_length", max_length=n_tokens, truncation=True, add_special_tokens=True,
        return_tensors="pt",
    ).input_ids  # fmt: skip
    with torch.no_grad():
        embeddings_BLC = text_encoder(ids_BL.to(parameter.device))[0].to(torch.bfloat16).cpu()
    check_finite({TEXT: embeddings_BLC}, f"caption {texts[0]!r} and {len(texts) - 1} more")
    return embeddings_BLC

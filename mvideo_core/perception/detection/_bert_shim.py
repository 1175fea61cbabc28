"""Make groundingdino-py 0.4.0 work with transformers 5, offline. All patches of that package are here.

Why each part is needed:

* `BertModelWarper` calls `BertModel.get_head_mask` and `get_extended_attention_mask`, which transformers 5 removed
  (upstream issue 446, unmerged fix 458). The replacement keeps its three submodules, so state-dict keys are unchanged,
  and turns the boolean (B, L, L) sub-sentence mask into the additive mask that `BertEncoder` reads.
* `get_tokenlizer` fetches bert-base-uncased from the hub (440 MB of weights that the checkpoint then overwrites). Here
  it is replaced by a ready-made `TextEncoder`.
* `groundingdino.util.visualizer` is imported by the model file for an unused class, and needs matplotlib.
* `torch.meshgrid` without `indexing` and timm's old import path warn on every start; both warnings are silenced.
"""

import sys
import types
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mvideo_core.base.errors import ModelError


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """Tokenizer and BERT passed to the package instead of a hub name."""

    tokenizer: Any
    bert: Any


@lru_cache(maxsize=1)
def groundingdino_package() -> types.SimpleNamespace:
    """The package's classes with the patches described above.

    Returns:
        Namespace with GroundingDINO, Joiner, MLP, SwinTransformer, build_position_encoding, build_transformer,
        NestedTensor.

    Raises:
        ModelError: groundingdino-py is not installed.
    """
    _drop_visualizer()
    warnings.filterwarnings("ignore", message="torch.meshgrid: in an upcoming release")
    warnings.filterwarnings("ignore", message=r"`torch\.cuda\.amp\.autocast", category=FutureWarning)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        try:
            from groundingdino.models.GroundingDINO import bertwarper, groundingdino, transformer, utils
            from groundingdino.models.GroundingDINO.backbone import backbone, position_encoding, swin_transformer
            from groundingdino.util import get_tokenlizer, misc
        except ImportError as error:
            raise ModelError(f"groundingdino-py: {error}; pip install groundingdino-py==0.4.0") from None
    warper = _bert_warper()
    bertwarper.BertModelWarper = groundingdino.BertModelWarper = warper
    get_tokenlizer.get_tokenlizer = lambda encoder: encoder.tokenizer
    get_tokenlizer.get_pretrained_language_model = lambda encoder: encoder.bert
    return types.SimpleNamespace(
        GroundingDINO=groundingdino.GroundingDINO,
        Joiner=backbone.Joiner,
        MLP=utils.MLP,
        SwinTransformer=swin_transformer.SwinTransformer,
        build_position_encoding=position_encoding.build_position_encoding,
        build_transformer=transformer.build_transformer,
        NestedTensor=misc.NestedTensor,
    )


def _drop_visualizer() -> None:
    name = "groundingdino.util.visualizer"
    if name not in sys.modules:
        stub = types.ModuleType(name)
        stub.COCOVisualizer = None  # type: ignore[attr-defined]
        sys.modules[name] = stub


def _bert_warper() -> type:
    import torch

    class BertModelWarper(torch.nn.Module):
        """BertModel with a token-pair attention mask; position ids restart at each phrase."""

        def __init__(self, bert_model: Any):
            super().__init__()
            self.config = bert_model.config
            self.embeddings = bert_model.embeddings
            self.encoder = bert_model.encoder
            self.pooler = bert_model.pooler

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any = None, position_ids: Any = None,
                    **_: Any) -> dict[str, Any]:  # fmt: skip
            x_BLC = self.embeddings(input_ids=input_ids, position_ids=position_ids, token_type_ids=token_type_ids)
            mask = attention_mask
            mask = mask[:, None, None, :] if mask.dim() == 2 else mask[:, None, :, :]
            additive = (1.0 - mask.to(x_BLC.dtype)) * torch.finfo(x_BLC.dtype).min
            return {"last_hidden_state": self.encoder(x_BLC, attention_mask=additive)[0]}

    return BertModelWarper

"""Averaged weights of a training run -> a model folder, with vectors for the words no training image names."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mvideo_core.detection.groundingdino import write_model_folder
from mvideo_core.mini.detector_words import untrained_words

if TYPE_CHECKING:
    from mvideo_core.mini.detector import Trainer


def export(trainer: "Trainer", folder: Path) -> None:
    """Write the model folder of a run's present state (fp16 weights)."""
    model = trainer.averaged_model()
    borrow_vectors(model, trainer.vocab)
    write_model_folder(folder, model, trainer.arch, trainer.vocab)


def borrow_vectors(model: Any, vocab: list[str]) -> None:
    """Give each unseen class's word the vector of the word it resembles; what training did to absent words is noise."""
    rows = model.bert.embeddings.word_embeddings.weight
    ids = {piece: index for index, piece in enumerate(vocab)}
    with torch.no_grad():
        for word, like in untrained_words().items():
            rows[ids[word]] = rows[ids[like]]

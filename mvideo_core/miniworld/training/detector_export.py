"""Export a training run's averaged weights as a model folder, with vectors for unseen words and calibrated scores."""

import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mvideo_core.miniworld.training.detector_data import Stills
from mvideo_core.miniworld.training.detector_eval import Tally
from mvideo_core.miniworld.training.detector_words import similar_words
from mvideo_core.perception.detection.coco import COCO80
from mvideo_core.perception.detection.groundingdino import (
    GroundingDinoDetector,
    GroundingDinoOptions,
    write_model_folder,
)
from mvideo_core.perception.detection.options import DetectOptions
from mvideo_core.perception.detection.prompt import build_prompts
from mvideo_core.perception.detection.select import select

if TYPE_CHECKING:
    from mvideo_core.miniworld.training.detector import Trainer

log = logging.getLogger(__name__)


def export(trainer: "Trainer", folder: Path, validation: Stills | None = None) -> None:
    """Write the model folder of a run's current state (fp16 weights).

    Args:
        validation: stills for score calibration; None = no calibration.
    """
    model = trainer.average_model()
    borrow_vectors(model, trainer.vocab)
    if validation is not None:
        calibrate(model, trainer, validation)
    write_model_folder(folder, model, trainer.arch, trainer.vocab)


def borrow_vectors(model: Any, vocab: list[str]) -> None:
    """Give each unseen class's word the vector of a similar word; training leaves only noise in absent words."""
    rows = model.bert.embeddings.word_embeddings.weight
    ids = {piece: index for index, piece in enumerate(vocab)}
    with torch.no_grad():
        for word, like in similar_words().items():
            rows[ids[word]] = rows[ids[like]]


def calibrate(model: Any, trainer: "Trainer", validation: Stills, wanted: float = 0.3) -> float:
    """Shift every class logit so that the threshold of the best F1 on `validation` becomes `wanted`.

    Short training leaves scores low; a user's threshold should mean the same for every detector. Returns that threshold
    before the shift. The order of the boxes, and thus every ranking metric, does not change.
    """
    options = GroundingDinoOptions(score_floor=0.02)
    detector = GroundingDinoDetector(model, trainer.tokenizer, trainer.arch, options, "cpu", "mini", "")
    best = best_threshold(detector, validation)
    shift_logits(model, trainer.tokenizer, math.log(wanted / (1 - wanted)) - math.log(best / (1 - best)))
    log.info("best F1 on validation at a score of %.3f, now %.2f", best, wanted)
    return best


def best_threshold(detector: GroundingDinoDetector, validation: Stills) -> float:
    """Score threshold with the highest F1 of labeled boxes, among 0.05, 0.06, ... 0.6."""
    names = list(COCO80)
    stills = [validation[i] for i in range(len(validation))]
    found = [detector.detect([still.rgb], names)[0] for still in stills]
    height, width = stills[0].rgb.shape[:2]
    scale = np.array([width, height, width, height], np.float64)
    scores = {}
    for threshold in np.arange(0.05, 0.6, 0.01).round(2).tolist():
        options, tally = DetectOptions(box_threshold=threshold), Tally()
        for still, raw in zip(stills, found, strict=True):
            kept = select(raw, options, height, width).kept
            tally.add(kept, still.labels, still.boxes * scale, still.ignored * scale)
        named = tally.named.total()
        scores[threshold] = 2 * named / max(1, tally.found + tally.asked.total())
    return max(scores, key=lambda threshold: scores[threshold])


def shift_logits(model: Any, tokenizer: Any, shift: float) -> None:
    """Add `shift` to the decoder's logit of every class token, through its final norm's bias.

    Without fusion, a word's text feature is the same in every prompt, so the bias whose product with all of them is
    `shift` is a least-squares solution (exact to 1e-2 if there are fewer independent words than channels).
    """
    prompt = build_prompts(COCO80, tokenizer)[0]
    caught: list[Any] = []
    hook = model.feat_map.register_forward_hook(lambda _module, _inputs, output: caught.append(output))
    with torch.no_grad():
        model(torch.zeros(1, 3, 128, 192), captions=[prompt.caption])
        hook.remove()
        rows = torch.from_numpy(np.any(prompt.positive_map_KL > 0, axis=0)[: prompt.n_tokens])
        text_LC = caught[0][0][rows]
        bias = torch.linalg.lstsq(text_LC, torch.full((len(text_LC), 1), shift), rcond=1e-3, driver="gelsd").solution
        model.transformer.decoder.norm.bias.add_(bias[:, 0])

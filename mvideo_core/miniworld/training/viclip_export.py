"""Export a mini ViCLIP run's averaged weights as a model folder in the public layout, with a model card."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mvideo_core.base.disk import write_tensors
from mvideo_core.miniworld.training.viclip_batches import Pairs
from mvideo_core.miniworld.training.viclip_eval import measure
from mvideo_core.miniworld.training.viclip_words import GENERAL, find_unseen_words, merges_of, world_words, write_merges

if TYPE_CHECKING:
    from mvideo_core.miniworld.training.viclip import Trainer

CARD = """# Mini ViCLIP

ViCLIP (a joint space-time vision transformer plus CLIP's text transformer) at a small size: {millions:.2f} M
parameters, fp16 on disk. Layout and parameter names match the public ViCLIP; the same code reads both. Trained for
this project's mini world (`mini_consistency`); it knows nothing about real footage.

| | |
|---|---|
| Input | 8 frames, whole frame squeezed to {side}x{side} px, patches of {patch}; texts of at most {context} tokens |
| Data | `mvideo_core.miniworld.world`, split "train", {shots} shots, two clips each; captions of world and captioner |
| Command | `python -m mvideo_core.miniworld.training.viclip --shots {shots} --minutes {minutes:g}` (resumable) |
| Trained | {step} steps, {spent:.1f} CPU minutes of one thread, running mean ({ema}) of the weights |
| Words | each word of the world is a token; unseen classes, never trained on, share the vector of "animal" |

Split "val", {clips:.0f} clips of {val_shots} shots, not used in training:

| | |
|---|---|
| R@1 among 32, plain captions: video to text, text to video (chance 0.031) | {r1_video:.3f}, {r1_text:.3f} |
| R@1 among 32, motion captions | {r1_video_motion:.3f}, {r1_text_motion:.3f} |
| mean cosine: own plain, own motion, another's plain caption | {own:.3f}, {own_motion:.3f}, {other:.3f} |

| one thing changed in the caption | own minus wrong (cosine) | own above wrong (chance 0.5) |
|---|---|---|
{gaps}
"""


def write_model(run: "Trainer", pairs: Pairs, folder: Path) -> dict[str, float]:
    """Write config.json, model.safetensors, bpe_world.txt and README.md; returns the measured figures."""
    network = run.mean_weights()
    lend_vectors(network, run.tokenizer)
    halves = {name: value.detach().half().contiguous() for name, value in network.state_dict().items()}
    network.load_state_dict({name: value.float() for name, value in halves.items()})
    figures = measure(network, run.tokenizer, pairs)
    write_tensors(folder / "model.safetensors", halves)
    (folder / "config.json").write_text(run.sizes.model_dump_json(indent=1) + "\n", encoding="utf-8")
    write_merges(folder / "bpe_world.txt", merges_of(world_words()))
    (folder / "README.md").write_text(card(run, network, figures, len(pairs)), encoding="utf-8")
    run.report({"measured": figures})
    return figures


def lend_vectors(network: Any, tokenizer: Any) -> None:
    """Give words not seen in training the vector of "animal"; training leaves only noise in them."""
    rows = network.text_encoder.token_embedding.weight
    with torch.no_grad():
        for word in find_unseen_words():
            rows[tokenizer.encode(word)[0]] = rows[tokenizer.encode(GENERAL[0])[0]]


def card(run: "Trainer", network: Any, figures: dict[str, float], val_shots: int) -> str:
    """The model card, with measured numbers."""
    names = [name.removeprefix("gap_") for name in figures if name.startswith("gap_")]
    lines = [
        f"| {name.replace('_', ', ')} | {figures[f'gap_{name}']:.3f} | {figures[f'wins_{name}']:.3f} |"
        for name in names
    ]
    known = {name: value for name, value in figures.items() if not name.startswith(("gap_", "wins_"))}
    return CARD.format(
        millions=sum(value.numel() for value in network.parameters()) / 1e6, side=run.sizes.image_px,
        patch=run.sizes.patch_px, context=run.sizes.context, shots=run.n_shots, minutes=run.options.minutes,
        step=run.step, spent=run.seconds / 60, ema=run.options.ema, val_shots=val_shots, gaps="\n".join(lines), **known,
    )  # fmt: skip

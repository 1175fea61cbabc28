"""Evaluate how well the mini ViCLIP matches videos and captions, on held-out pairs.

    python -m mvideo_core.miniworld.training.viclip_eval --out build/mini/viclip --weights mini

Legend: N clips, D embedding.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mvideo_core.base.one_line import errors_in_one_line
from mvideo_core.evaluation.networks.mini_viclip import clip_norm
from mvideo_core.miniworld.training.viclip_batches import Pairs, tokens_of
from mvideo_core.miniworld.training.viclip_data import WRONG, draw_pairs
from mvideo_core.miniworld.training.viclip_words import mirror

GALLERY = 32
"""Gallery size for R@1; chance is 1 / 32."""


@torch.inference_mode()
def measure(network: Any, tokenizer: Any, pairs: Pairs, n_shots: int | None = None) -> dict[str, float]:
    """Metrics over both clips of each shot.

    Returns:
        own: mean cosine of a clip and its plain caption; own_motion: of its motion caption;
        other: mean cosine of a clip and another shot's plain caption;
        r1_video, r1_text: clips (captions) whose own caption (clip) is the closest of 32 from different shots (of all
        if there are fewer), plain wording; r1_video_motion: the same with motion captions (equal captions count as
        found);
        gap_<kind>, wins_<kind>: mean of own minus wrong, and fraction of wrong captions scored below the true one, for
        captions with one thing changed: class, color, action, scene, camera, direction (left and right swapped),
        class_motion (the motion wording with another class).
    """
    shots = range(min(n_shots or len(pairs), len(pairs)))
    places = [(shot, half) for half in range(2) for shot in shots]
    video_ND = functional.normalize(_videos(network, pairs, places), dim=-1)
    texts = [pairs.clip(*place)[2] for place in places]
    context = network.sizes.context

    def embed(captions: Sequence[str]) -> Tensor:
        rows = np.stack([tokens_of(tokenizer, caption, context) for caption in captions])
        parts = [network.encode_text(part) for part in torch.from_numpy(rows).split(128)]
        return functional.normalize(torch.cat(parts), dim=-1)

    plain_ND, motion_ND = embed([one.plain for one in texts]), embed([one.motion for one in texts])
    found = {
        "clips": float(len(places)),
        "own": float((video_ND * plain_ND).sum(1).mean()),
        "own_motion": float((video_ND * motion_ND).sum(1).mean()),
        "other": float((video_ND * plain_ND.roll(1, 0)).sum(1).mean()),
        **_recall(video_ND, plain_ND, [one.plain for one in texts], ""),
        **_recall(video_ND, motion_ND, [one.motion for one in texts], "_motion"),
    }
    for kind in (*WRONG, "direction", "class_motion"):
        own_ND = motion_ND if kind == "class_motion" else plain_ND
        index, captions = _pair_wrong(texts, kind)
        own, wrong = (video_ND[index] * own_ND[index]).sum(1), (video_ND[index] * embed(captions)).sum(1)
        found[f"gap_{kind}"], found[f"wins_{kind}"] = float((own - wrong).mean()), float((own > wrong).float().mean())
    return {name: round(value, 4) for name, value in found.items()}


def _videos(network: Any, pairs: Pairs, places: Sequence[tuple[int, int]]) -> Tensor:
    frames = [pairs.squeeze(*place) for place in places]
    return torch.cat(
        [network.encode_video(clip_norm(torch.stack(frames[k : k + 8]))) for k in range(0, len(frames), 8)]
    )


def _recall(video_ND: Tensor, text_ND: Tensor, captions: Sequence[str], suffix: str) -> dict[str, float]:
    hits: dict[str, list[float]] = {"video": [], "text": []}
    size = min(GALLERY, len(captions) // 2)  # first clips, then second clips: no gallery has both of a shot
    for first in range(0, len(captions) - size + 1, size):
        part = slice(first, first + size)
        scores, texts = video_ND[part] @ text_ND[part].T, captions[part]
        for way, best in (("video", scores.argmax(dim=1)), ("text", scores.argmax(dim=0))):
            hits[way] += [float(texts[k] == texts[int(one)]) for k, one in enumerate(best)]
    return {f"r1_{way}{suffix}": float(np.mean(values)) for way, values in hits.items()}


def _pair_wrong(texts: Sequence[Any], kind: str) -> tuple[list[int], list[str]]:
    """Pairs of clips and wrong captions of a kind."""
    found: list[tuple[int, str]] = []
    for n, one in enumerate(texts):
        if kind == "direction":
            found += [(n, mirror(one.plain))] if mirror(one.plain) != one.plain else []
        elif kind == "class_motion":
            found += [(n, one.wrong_motion)] if one.wrong_motion else []
        else:
            found += [(n, text) for text in dict.fromkeys(one.wrong[kind])]
    return [n for n, _ in found], [text for _, text in found]


def main() -> None:
    """Evaluate weights on disk on the split `val` or `heldout`."""
    from mvideo_core.evaluation.metrics.overall_consistency import load_viclip
    from mvideo_core.weights import find

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/mini/viclip"))
    parser.add_argument("--weights", default="mini", help="catalog name or model folder")
    parser.add_argument("--shots", type=int, default=160)
    parser.add_argument("--split", choices=("val", "heldout"), default="heldout")
    args = parser.parse_args()
    torch.set_num_threads(1)
    network, tokenizer, _ = load_viclip(find(args.weights, kind="metric"))
    draw_pairs(args.out / "data", args.shots, args.split)
    figures = measure(
        network.eval(), tokenizer, Pairs(args.out / "data", network.sizes.image_px, args.split), args.shots
    )
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    with errors_in_one_line():
        main()

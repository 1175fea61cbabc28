"""Which link of the chain drifts? Each link against a reference, clip by clip, and trials with faults of known place.

    OMP_NUM_THREADS=1 python -m benchmarks.drift_links    writes benchmarks/results/drift/links.md and .json; resumes

From one clip to the next, a picture goes through these links: decode (latents to frames), uint8 (rounding), appearance
and motion (frames to latents of the two conditions), denoiser. For each link, the meter measures what it adds to the
statistics of a picture:

- decode: the chain's frames less the reference VAE's frames of the same latents;
- uint8: the chain's rounded frames less the same frames correctly rounded;
- appearance, motion: the condition, decoded by the reference VAE, less a round trip of the same frames through the
  reference VAE;
- denoiser: the new clip less what clips without a fault have after such an appearance, both decoded by the reference
  VAE. There is no reference: a line per statistic, fitted to chains without a fault, predicts the clip from the
  appearance. The plain difference of the two would not do: a chain that has reached its new colors no longer changes,
  whatever its fault.

What rounding and round trips add themselves is the floor: reported, but not a fault.

A trial puts one fault into one link: a gain or an offset of one channel, contrast, or blur. The meter names the link
with the largest excess over `TOLERANCE` among the first four; else the denoiser if the excess of one of its statistics
is improbable; else none. The limit of the improbable is set by `FALSE_ALARMS` and chains without a fault (`Normal.of`),
before the trials.
"""

import argparse
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from scipy.stats import t as student

from benchmarks.drift import RESULTS
from benchmarks.history_noise import sequences
from mvideo_core.base.disk import write_whole
from mvideo_core.cogvideox.adapter_files import adapter_for, find_adapter
from mvideo_core.cogvideox.base import BaseOptions, load_base
from mvideo_core.cogvideox.pipeline import MVideoPipeline
from mvideo_core.evaluation.drift_meter import STATISTICS, frame_statistics
from mvideo_core.generation.long_video import mask_of, plan_clips
from mvideo_core.generation.options import GenerateOptions
from mvideo_core.masks import MaskSequence

EXACT = ("decode", "uint8", "appearance", "motion")
LINKS = (*EXACT, "denoiser")
FAULTS = ("gain", "offset", "contrast", "blur")
JOINS = 12
"""Of chains without a fault, and with one in the denoiser, which shows only against the spread of many clips."""
SHORT = 3
"""Joins of chains with a fault in a link that has a reference."""
TOLERANCE = 0.05
"""Gray levels; a link that adds less than this to every statistic is without fault (it then adds exactly 0)."""
FALSE_ALARMS = 0.01
"""Share of chains without a fault in which the denoiser is blamed; see `Normal.of`."""
SAMPLING: dict[str, Any] = {"num_inference_steps": 5, "guidance_scale": 1.0}


class Fault(NamedTuple):
    """One fault in one link; `size`: gain - 1, gray levels, contrast - 1, or px (sigma of the blur)."""

    link: str
    kind: str
    size: float
    channel: int

    def apply(self, frames_THWC: np.ndarray) -> np.ndarray:
        """The frames with the fault, float32, 0 to 255 but not clipped."""
        found = frames_THWC.astype(np.float32)
        if self.kind == "gain":
            found[..., self.channel] *= 1 + self.size
        elif self.kind == "offset":
            found[..., self.channel] += self.size
        elif self.kind == "contrast":
            middle = found.mean(axis=(1, 2), keepdims=True)
            found = (found - middle) * (1 + self.size) + middle
        else:
            found = np.stack([cv2.GaussianBlur(one, (0, 0), self.size) for one in found])
        return found


def draw_fault(random: np.random.Generator, link: str) -> Fault:
    """A fault large enough to matter over a few joins: 4 to 12% gain or contrast, 4 to 12 levels, sigma 0.6 to 1.2."""
    kind = str(random.choice(FAULTS))
    sign = random.choice([-1, 1])
    size = {
        "gain": sign * random.uniform(0.04, 0.12),
        "offset": sign * random.uniform(4, 12),
        "contrast": sign * random.uniform(0.04, 0.12),
        "blur": random.uniform(0.6, 1.2),
    }[kind]
    return Fault(link, kind, float(size), int(random.integers(3)))


@dataclass
class Notes:
    """What the links added in one chain: one row of `STATISTICS` per clip.

    Attributes:
        clips: of each clip, the statistics of the appearance it was given, and its own.
    """

    added: dict[str, list[np.ndarray]] = field(default_factory=lambda: {link: [] for link in EXACT})
    clips: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    floor: dict[str, list[np.ndarray]] = field(default_factory=lambda: {"uint8": [], "appearance": [], "motion": []})

    def mean(self, link: str) -> np.ndarray:
        """Mean (S,) over the clips."""
        return np.asarray(np.mean(self.added[link], axis=0))


class MeteredPipeline(MVideoPipeline):
    """A pipeline that measures its links, with at most one fault. The reference is the pipeline itself, without it."""

    fault: Fault | None = None
    notes: Notes

    def start(self, fault: Fault | None) -> None:
        """Forget the last chain."""
        self.fault, self.notes = fault, Notes()
        self.known_masks: dict[bytes, Any] = getattr(self, "known_masks", {})
        self._given: np.ndarray | None = None

    def look(self, latents: Any) -> np.ndarray:
        """Frames of the reference VAE, float, 0 to 255, clipped as in a video."""
        video_CTHW = self.decode_latents(latents.to(self.vae.dtype))[0]
        return np.asarray(((video_CTHW.float() + 1) * 127.5).clamp(0, 255).permute(1, 2, 3, 0).cpu().numpy())

    def encode_mask(self, mask: np.ndarray) -> Any:
        """As in the pipeline; every chain has the same masks, so each is encoded once."""
        name = mask.tobytes()
        if name not in self.known_masks:
            self.known_masks[name] = super().encode_mask(mask)
        return self.known_masks[name]

    def encode_video(self, frames: np.ndarray, height: int | None = None, width: int | None = None) -> Any:
        """As in the pipeline, measured: one frame is the appearance, more are the motion."""
        link = "appearance" if len(frames) == 1 else "motion"
        clean = super().encode_video(frames, height, width)
        got = clean
        seen = frame_statistics(self.look(clean)).mean(axis=0)
        if self.fault is not None and self.fault.link == link:
            wrong = self.fault.apply(frames).round().clip(0, 255).astype(np.uint8)
            got = super().encode_video(wrong, height, width)
            self.notes.added[link].append(frame_statistics(self.look(got)).mean(axis=0) - seen)
        else:
            self.notes.added[link].append(np.zeros(len(STATISTICS)))
        self.notes.floor[link].append(seen - frame_statistics(_resize(frames, height, width)).mean(axis=0))
        if link == "appearance":
            self._given = frame_statistics(self.look(got))[0]
        return got

    def decode(self, latents: Any) -> np.ndarray:
        """As in the pipeline, measured."""
        clean = self.look(latents)
        fault = self.fault if self._given is not None else None  # the first clip is without
        if fault is not None and fault.link == "denoiser":
            latents = latents + self._latents(fault.apply(clean)) - self._latents(clean)
            clean = self.look(latents)
        chain = fault.apply(clean).clip(0, 255) if fault is not None and fault.link == "decode" else clean
        rounded = got = chain.round().astype(np.uint8)
        if fault is not None and fault.link == "uint8":
            got = fault.apply(rounded).round().clip(0, 255).astype(np.uint8)
        if self._given is not None:
            before = frame_statistics(clean)
            between = frame_statistics(chain) if chain is not clean else before
            self.notes.added["decode"].append((between - before).mean(axis=0))
            after = frame_statistics(rounded)
            self.notes.floor["uint8"].append((after - between).mean(axis=0))
            self.notes.added["uint8"].append((frame_statistics(got) - after).mean(axis=0))
            self.notes.clips.append((self._given, before.mean(axis=0)))
        return got

    def _latents(self, frames_THWC: np.ndarray) -> Any:
        video_CTHW = torch.from_numpy(frames_THWC.clip(0, 255) / 127.5 - 1).float().permute(3, 0, 1, 2)
        return self._encode(video_CTHW.contiguous())


def _resize(frames_THWC: np.ndarray, height: int | None, width: int | None) -> np.ndarray:
    if not height or not width:
        return frames_THWC
    return np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_AREA) for one in frames_THWC])


class Setting(NamedTuple):
    """What all chains share."""

    pipeline: MeteredPipeline
    text: str
    masks: MaskSequence
    firsts: list[np.ndarray]
    joins: int


def prepare(pipeline: MeteredPipeline, n_firsts: int, joins: int = JOINS) -> Setting:
    """A shot of the mini world that plays forward and backward, and first clips to start from."""
    text, masks = sequences(1, pipeline.format, joins + 1)[0]
    setting = Setting(pipeline, text, masks, [], joins)
    pipeline.start(None)
    for seed in range(n_firsts):
        setting.firsts.append(_clip(setting, 0, None, seed))
    return setting


def run_chain(setting: Setting, number: int, fault: Fault | None) -> Notes:
    """Clips after one of the first clips, with noise of their own; fewer if the link with the fault has a reference."""
    setting.pipeline.start(fault)
    before = setting.firsts[number % len(setting.firsts)]
    joins = min(SHORT, setting.joins) if fault is not None and fault.link in EXACT else setting.joins
    for index in range(1, joins + 1):
        before = _clip(setting, index, before, 1000 + number)
    return setting.pipeline.notes


def _clip(setting: Setting, index: int, before: np.ndarray | None, seed: int) -> np.ndarray:
    grid = setting.pipeline.format
    plan = plan_clips(grid.n_frames(setting.joins + 1), grid, seed)[index]
    return setting.pipeline(
        setting.text,
        mask=mask_of(setting.masks, plan, grid, GenerateOptions()),
        appearance_frame=None if before is None else before[-1],
        motion_frames=before,
        generator=torch.Generator("cpu").manual_seed(plan.seed),
        **SAMPLING,
    )


class Normal(NamedTuple):
    """Clips without a fault: the line that predicts a clip from its appearance, and how far chains are off it."""

    slope_S: np.ndarray
    constant_S: np.ndarray
    mean_S: np.ndarray
    spread_S: np.ndarray
    limit: float

    @classmethod
    def of(cls, clean_NK2S: np.ndarray) -> "Normal":
        """From N chains without a fault, and the limit that such a chain exceeds with a probability of `FALSE_ALARMS`.

        If the excess of a statistic is normal over chains, then another chain's distance from the mean of these N, in
        their standard deviations, follows Student's t with N - 1 degrees of freedom, times sqrt(1 + 1 / N). Each of
        the S statistics gets an equal share of `FALSE_ALARMS` (Bonferroni), one half on each side. This gives 3.7
        standard deviations for 29 chains, 3.2 for very many. Correlated statistics make the true rate smaller, tails
        heavier than normal make it larger; `report` counts false alarms, each chain against all others.

        Args:
            clean_NK2S: of every clip of every chain, the statistics of its appearance and its own.
        """
        given_S, own_S = clean_NK2S.mean(axis=(0, 1))
        off_NKS = clean_NK2S[:, :, 0] - given_S
        slope_S = (off_NKS * (clean_NK2S[:, :, 1] - own_S)).sum(axis=(0, 1)) / np.square(off_NKS).sum(axis=(0, 1))
        line = cls(slope_S, own_S - slope_S * given_S, np.zeros_like(own_S), np.ones_like(own_S), 0.0)
        excess_NS = np.array([line.excess(chain_K2S) for chain_K2S in clean_NK2S])
        count, share = len(clean_NK2S), FALSE_ALARMS / (2 * len(own_S))
        limit = float(student.ppf(1 - share, count - 1)) * (1 + 1 / count) ** 0.5
        return line.calibrate(excess_NS)._replace(limit=limit)

    def calibrate(self, excess_NS: np.ndarray) -> "Normal":
        """The same line, with mean and spread of the excesses of some chains."""
        return self._replace(mean_S=excess_NS.mean(axis=0), spread_S=excess_NS.std(axis=0, ddof=1))

    def excess(self, chain_K2S: np.ndarray) -> np.ndarray:
        """Mean (S,) over a chain's clips of what each has more than the line predicts."""
        return np.asarray((chain_K2S[:, 1] - self.slope_S * chain_K2S[:, 0] - self.constant_S).mean(axis=0))

    def distance(self, excess_S: np.ndarray) -> float:
        """Of the statistic that is farthest off, in standard deviations."""
        return float((np.abs(excess_S - self.mean_S) / self.spread_S).max())


def attribute(added: dict[str, np.ndarray], clips_K2S: np.ndarray, normal: Normal) -> str:
    """The link with the fault, or "none".

    Args:
        added: means (S,) of the links that have a reference.
        clips_K2S: of every clip, the statistics of its appearance and its own.
    """
    largest = {link: float(np.abs(added[link]).max()) for link in EXACT}
    worst = max(largest, key=lambda link: largest[link])
    if largest[worst] > TOLERANCE:
        return worst
    return "denoiser" if normal.distance(normal.excess(clips_K2S)) > normal.limit else "none"


def measure(setting: Setting, n_clean: int, n_trials: int, seed: int, kept: Path) -> dict[str, Any]:
    """Chains without a fault (two thirds calibrate), then trials with one; resumes from `kept`."""
    known: dict[str, Any] = {"joins": JOINS, "seed": seed, "clean": [], "trials": []}
    if kept.exists():
        known = json.loads(kept.read_text(encoding="utf-8"))
        if known.get("joins") != JOINS:
            raise SystemExit(f"{kept} has chains of another length: move it away")
        if known["seed"] != seed:  # of the faults only: chains without one stay
            known |= {"seed": seed, "trials": []}
    for number in range(len(known["clean"]), n_clean):
        notes = run_chain(setting, number, None)
        floor = {link: np.mean(rows, axis=0).round(4).tolist() for link, rows in notes.floor.items()}
        known["clean"].append({**_kept(notes), "floor": floor})
        write_whole(kept, json.dumps(known).encode())
    random = np.random.default_rng(seed)
    faults = [draw_fault(random, LINKS[number % len(LINKS)]) for number in range(n_trials)]
    for number in range(len(known["trials"]), n_trials):
        notes = run_chain(setting, 10_000 * seed + number, faults[number])
        known["trials"].append({"fault": list(faults[number]), **_kept(notes)})
        write_whole(kept, json.dumps(known).encode())
        print(f"trial {number + 1} of {n_trials}", flush=True)
    return known


def _kept(notes: Notes) -> dict[str, Any]:
    added = {link: notes.mean(link).round(4).tolist() for link in EXACT}
    return {"added": added, "clips": np.array(notes.clips).round(4).tolist()}


def report(known: dict[str, Any]) -> str:
    """What each link adds without a fault, and whom the meter blames in the trials."""
    clean = known["clean"]
    kept = len(clean) * 2 // 3
    clips_NK2S = np.array([one["clips"] for one in clean])
    normal = Normal.of(clips_NK2S[:kept])
    lines = ["| Link | " + " | ".join(name.replace("_", " ") for name in STATISTICS) + " |", "|---" * 9 + "|"]
    rows = {
        title: [one["floor"][link] for one in clean]
        for link, title in (
            ("uint8", "rounding"),
            ("appearance", "VAE round trip, appearance"),
            ("motion", "VAE round trip, motion"),
        )
    }
    rows["denoiser"] = list((clips_NK2S[:, :, 1] - clips_NK2S[:, :, 0]).mean(axis=1))
    for name, values in rows.items():
        mean_S, error_S = np.mean(values, axis=0), 1.96 * np.std(values, axis=0, ddof=1) / np.sqrt(len(values))
        cells = [f"{mean:.2f} ± {error:.2f}" for mean, error in zip(mean_S, error_S, strict=True)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    named = Counter((one["fault"][0], _verdict(one, normal)) for one in known["trials"])
    lines += ["", "| Fault in | Trials | " + " | ".join([*LINKS, "none"]) + " |", "|---" * 8 + "|"]
    for link in LINKS:
        total = sum(n for (true, _), n in named.items() if true == link)
        lines.append(f"| {link} | {total} | " + " | ".join(str(named[link, one]) for one in (*LINKS, "none")) + " |")
    quiet = Counter(_verdict(one, normal) for one in clean[kept:])
    lines.append(f"| none | {len(clean) - kept} | " + " | ".join(str(quiet[one]) for one in (*LINKS, "none")) + " |")
    right = sum(n for (true, found), n in named.items() if true == found)
    alone = sum(_verdict(one, Normal.of(np.delete(clips_NK2S, n, axis=0))) != "none" for n, one in enumerate(clean))
    said = (
        f"Right: {right} of {len(known['trials'])} trials. Limit: {normal.limit:.2f} standard deviations, from {kept}"
    )
    said += f" chains without a fault. Each of all {len(clean)} such chains against the others: {alone} blamed."
    return "\n".join([*lines, "", said])


def _verdict(one: dict[str, Any], normal: Normal) -> str:
    added = {link: np.array(row) for link, row in one["added"].items()}
    return attribute(added, np.array(one["clips"]), normal)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clean", type=int, default=24, help="chains without a fault")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1, help="of the faults")
    parser.add_argument("--out", type=Path, default=RESULTS / "links", help="without extension")
    args = parser.parse_args()
    pipeline: Any = MeteredPipeline.from_base(load_base(BaseOptions(weights="mini", dtype="fp32")))
    pipeline.load_lora_weights(find_adapter(adapter_for("mini")).lora)
    pipeline.set_progress_bar_config(disable=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    known = measure(prepare(pipeline, 8), args.clean, args.trials, args.seed, args.out.with_suffix(".json"))
    args.out.with_suffix(".md").write_text(report(known) + "\n", encoding="utf-8")
    print(report(known))


if __name__ == "__main__":
    main()

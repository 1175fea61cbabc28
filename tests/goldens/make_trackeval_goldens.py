"""Reference numbers for masklets as tracks, from the package trackeval.

    pip install trackeval==1.3.0 && python -m tests.goldens.make_trackeval_goldens    # writes trackeval.json

Masks go through trackeval's own overlaps, rules for ignored regions (MOTS) and metrics. The test draws the same scenes.
"""

import json
from pathlib import Path

import numpy as np

HEIGHT, WIDTH, N_FRAMES = 48, 64, 24


def scenes() -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Name -> true objects (T, G, H, W), masklets (T, P, H, W) and ignored pixels (T, H, W), all bool."""
    found = {f"random {seed}": _random(seed) for seed in range(6)}
    true, masklets, ignored = _random(6)
    found["nothing found"] = true, np.zeros_like(masklets), ignored
    found["nothing there"] = np.zeros_like(true), masklets, ignored
    found["perfect"] = true, true, np.zeros_like(ignored)
    found["swapped half way"] = true, np.concatenate([true[:12], true[12:, ::-1]]), np.zeros_like(ignored)
    return found


def _random(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Disks on straight paths that enter and leave; masklets shift, vanish, swap and hit nothing."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 6))
    start, speed = rng.uniform(-5, 60, (n, 2)), rng.uniform(-1.5, 1.5, (n, 2))
    times = np.arange(N_FRAMES)[:, None, None]
    centers, radii = start + speed * times, rng.uniform(4, 10, n)
    true = _disks(centers, radii)
    off = centers + rng.normal(0, 1.2, centers.shape).cumsum(axis=0) * rng.uniform(0, 0.6)
    masklets = _disks(off, radii * rng.uniform(0.8, 1.25, n)) & (rng.random((N_FRAMES, n)) > 0.12)[:, :, None, None]
    a, b, t = *rng.choice(n, 2, replace=False), int(rng.integers(4, N_FRAMES - 4))
    masklets[t:, [a, b]] = masklets[t:, [b, a]]
    stray = _disks(rng.uniform(0, 60, (1, 1, 2)) + 0.3 * times, np.array([6.0]))
    ignored = _disks(rng.uniform(0, 60, (1, 1, 2)) + 0 * times, np.array([14.0]))[:, 0]
    true[N_FRAMES // 2, :] = False  # a frame without any object
    return true, np.concatenate([masklets, stray], axis=1), ignored


def _disks(centers_TNxy: np.ndarray, radii_N: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    dx, dy = x - centers_TNxy[..., 0, None, None], y - centers_TNxy[..., 1, None, None]
    disks: np.ndarray = dx**2 + dy**2 <= radii_N[:, None, None] ** 2
    return disks


def _preprocess(true: np.ndarray, masklets: np.ndarray, ignored: np.ndarray) -> dict:
    """Overlaps and the rule for ignored regions by trackeval's class for MOTS."""
    from pycocotools import mask as coco
    from trackeval.datasets.mots_challenge import MOTSChallenge

    def codes(masks: np.ndarray) -> list:
        return [coco.encode(np.asfortranarray(mask.astype(np.uint8))) for mask in masks]

    rules = MOTSChallenge.__new__(MOTSChallenge)  # its constructor wants the benchmark's folders
    rules.class_name_to_class_id = {"pedestrian": 1}
    raw: dict = {"num_timesteps": len(true), "seq": "scene"}
    names = ("gt_ids", "tracker_ids", "gt_dets", "tracker_dets", "gt_classes", "tracker_classes", "similarity_scores")
    raw.update({name: [] for name in (*names, "gt_ignore_region")})
    for t in range(len(true)):
        for kind, masks in (("gt", true[t]), ("tracker", masklets[t])):
            ids = np.flatnonzero(masks.any(axis=(1, 2)))
            raw[f"{kind}_ids"].append(ids)
            raw[f"{kind}_dets"].append(codes(masks[ids]))
            raw[f"{kind}_classes"].append(np.ones(len(ids), int))
        raw["gt_ignore_region"].append(codes(ignored[t : t + 1])[0])
        raw["similarity_scores"].append(rules._calculate_similarities(raw["gt_dets"][t], raw["tracker_dets"][t]))
    return rules.get_preprocessed_seq_data(raw, "pedestrian")


def main() -> None:
    from trackeval.metrics import CLEAR, HOTA, Identity

    metrics = {"HOTA": HOTA(), "Identity": Identity({"PRINT_CONFIG": False}), "CLEAR": CLEAR({"PRINT_CONFIG": False})}
    data = {name: _preprocess(*scene) for name, scene in scenes().items()}
    results = {
        kind: {name: metric.eval_sequence(one) for name, one in data.items()} for kind, metric in metrics.items()
    }
    for kind, metric in metrics.items():
        results[kind]["all"] = metric.combine_sequences(dict(results[kind]))
    table = {
        name: {
            "hota": float(np.mean(results["HOTA"][name]["HOTA"])),
            "det_a": float(np.mean(results["HOTA"][name]["DetA"])),
            "ass_a": float(np.mean(results["HOTA"][name]["AssA"])),
            "idf1": float(results["Identity"][name].get("IDF1", 0.0)),
            "idtp": int(results["Identity"][name]["IDTP"]),
            "idfn": int(results["Identity"][name]["IDFN"]),
            "idfp": int(results["Identity"][name]["IDFP"]),
            "switches": int(results["CLEAR"][name]["IDSW"]),
        }
        for name in (*data, "all")
    }
    Path(__file__).with_name("trackeval.json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

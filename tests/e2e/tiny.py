"""Drawn videos and model folders with random weights, small enough to run the real stages in seconds.

Random networks find nothing worth finding; here only that the whole chain runs, resumes and repeats itself counts.
"""

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from mvideo_core.media.encode import write_mp4

SIDES = (96, 64)
FPS = 8


def draw_videos(folder: Path, n_videos: int, shots: int = 2, shot_s: float = 3.0) -> None:
    """Videos of textured shots with a moving square, joined by hard cuts; the same numbers give the same pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(n_videos):
        frames = [frame for shot in range(shots) for frame in _shot(100 * number + shot, int(shot_s * FPS))]
        write_mp4(iter(frames), folder / f"video{number}.mp4", FPS)


def _shot(seed: int, n_frames: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    width, height = SIDES
    ground = np.kron(rng.integers(40, 216, (height // 8, width // 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    color, start = rng.integers(0, 256, 3), rng.integers(0, 30, 2)
    frames = []
    for t in range(n_frames):
        frame = ground.copy()
        x, y = start[0] + 2 * t, start[1] + t // 2
        frame[y : y + 20, x : x + 20] = color
        frames.append(frame)
    return frames


def write_models(folder: Path) -> dict[str, str]:
    """Model folders of the tiny detector and segmenter. Returns: their paths, by kind."""
    import json

    from safetensors.torch import save_file

    from mvideo_core.perception.detection.groundingdino import GroundingDinoDetector, write_model_folder
    from mvideo_core.perception.segmentation.sam2_build import PUBLIC, build_predictor
    from mvideo_core.perception.segmentation.sam2_video import tiny_arch

    detector = GroundingDinoDetector.tiny()
    vocab = sorted(detector.tokenizer.get_vocab(), key=detector.tokenizer.get_vocab().__getitem__)
    write_model_folder(folder / "detector", detector.model, detector.arch, vocab)
    place = folder / "segmenter"
    place.mkdir(parents=True, exist_ok=True)
    (place / "config.json").write_text(json.dumps({"format": "sam2", "base": PUBLIC[0], "overrides": tiny_arch()}))
    network = build_predictor(PUBLIC[0], tiny_arch(), seed=0)
    state = {name: value.contiguous().clone() for name, value in network.state_dict().items()}
    save_file(state, place / "model.safetensors")
    return {"detector": str(folder / "detector"), "segmenter": str(place)}


def write_profile(path: Path, models: dict[str, str], part_size: int = 1) -> None:
    """A run profile for `draw_videos` and `write_models`: short shots, no gate worth the name."""
    profile: dict[str, Any] = {
        "plan": {"part_size": part_size},
        "cut": {"width": 96, "height": 64, "min_shot_s": 1.0, "min_frames": 17, "max_frames": 17},
        "detect": {
            "detector": "groundingdino",
            "detector_options": {"weights": models["detector"], "score_floor": 0.0},
            "box_threshold": 0.0,
            "max_objects": 2,
            "min_area_frac": 0.0,
            "max_area_frac": 1.0,
        },
        "segment": {
            "segmenter": "sam2",
            "segmenter_options": {"weights": models["segmenter"]},
            "gate": {"min_area_frac": 0, "max_area_frac": 1, "min_visible_frac": 0, "min_score": 0, "max_drift": 1},
        },
        "caption": {"captioner": "motion"},
        "shard": {"samples_per_shard": 4, "test_frac": 0.3, "split_seed": 2},
    }
    path.write_text(yaml.safe_dump(profile))

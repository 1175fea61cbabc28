"""What both sides of the comparison with VBench are fed: drawn videos, prompts, seeded weights, stand-in networks.

Only numpy at the top, so that the script runs in VBench's environment too.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

GOLDENS = Path(__file__).parent
FPS = 8
VIDEOS = {"wide": (160, 208, 17), "tall": (184, 136, 6), "large": (144, 576, 5)}
"""Name -> height, width, frames: more and fewer than 8 frames, sides that need padding to 16, a side above 512."""

LARGE_FRAME = (600, 533)
"""Height and width of a frame that every way of resizing makes smaller."""

PROMPTS = (
    "A red disc moves over a gray field.",
    "A red disc moves over a gray field",
    "It\u2019s a \u201cgolden\u201d retriever&#39;s   2 puppies, running; caf\u00e9 no. 42!",
    "In a dense forest at dawn, three deer walk slowly past a fallen birch tree while a thin mist rises from the river "
    "behind them and a small brown bird lands on the highest branch, sings twice, and flies away again",
)
"""Plain; without its full stop; curly quotes, HTML, digits, accent; more than 32 tokens."""

VICLIP_SEED, MUSIQ_SEED, AMT_SEED = 11, 12, 13
MUSIQ_TINY = {"hidden_size": 24, "mlp_dim": 48, "num_heads": 2, "num_layers": 2}


def goldens() -> dict[str, Any]:
    """The stored numbers."""
    return json.loads((GOLDENS / "vbench.json").read_text(encoding="utf-8"))


def video_path(name: str) -> Path:
    """A drawn video; stored, because another encoder version would write other pixels."""
    return GOLDENS / "vbench_videos" / f"{name}.mp4"


def drawn_frames(height: int, width: int, n_frames: int) -> np.ndarray:
    """Two discs on a striped slope of gray, moving unevenly; uint8 (T, H, W, 3)."""
    y, x = np.mgrid[:height, :width]
    frames = []
    for t in range(n_frames):
        stripes = 24 * np.sin((x + 3 * t) / 5) + 20 * np.cos((y - t) / 4)
        frame = np.stack([60 + 100 * x / width + stripes, 90 + 80 * y / height + stripes, 140 - stripes], axis=-1)
        for radius, speed, color in ((height / 4, 7.3, (220, 40, 50)), (height / 6, -4.1, (30, 200, 90))):
            center_x = width / 2 + speed * t + 5 * np.sin(t)
            inside = (x - center_x) ** 2 + (y - height / 2 - 3 * t) ** 2 < radius**2
            frame[inside] = color
        frames.append(frame.clip(0, 255).astype(np.uint8))
    return np.stack(frames)


def seeded_state(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, np.ndarray]:
    """Weights from a seed, the same on every machine and with every numpy (RandomState's stream is frozen)."""
    random = np.random.RandomState(seed)
    state = {}
    for name in sorted(shapes):
        shape = shapes[name]
        drawn = random.standard_normal(shape)
        if len(shape) <= 1:
            drawn = 0.1 * drawn + (1.0 if name.endswith("weight") else 0.0)
        else:
            drawn = drawn / np.sqrt(np.prod(shape[1:]))
        state[name] = np.asarray(drawn, np.float32)
    return state


def fill(network: Any, seed: int) -> Any:
    """A torch module with seeded weights, in evaluation mode."""
    import torch

    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    network.load_state_dict({name: torch.from_numpy(value) for name, value in seeded_state(shapes, seed).items()})
    return network.eval()


def quality_stand_in(image_1CHW: Any) -> Any:
    """In MUSIQ's place: 100 times a mean that weighs channels and places differently."""
    import torch

    _, channels, height, width = image_1CHW.shape
    rows = torch.linspace(0.2, 1, height, dtype=torch.float64).view(1, 1, -1, 1)
    columns = torch.linspace(1, 0.4, width, dtype=torch.float64).view(1, 1, 1, -1)
    weights = rows * columns * torch.arange(1, channels + 1, dtype=torch.float64).view(1, -1, 1, 1) / channels
    return 100 * (image_1CHW.double() * weights).mean()


def interpolation_stand_in(one: Any, other: Any, *_: Any, **__: Any) -> dict[str, Any]:
    """In AMT's place: the mean of both frames, brightened by a wave that depends on the place in the padded frame."""
    import torch

    height, width = one.shape[-2:]
    wave = torch.sin(torch.arange(height) / 7).view(-1, 1) * torch.cos(torch.arange(width) / 11)
    return {"imgt_pred": 0.5 * (one + other) + 0.2 * wave}

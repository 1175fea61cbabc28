"""What a real run would take, from counted FLOPs and measured rates: `python -m benchmarks.estimate --hours 1000`.

Training and generation of cogvideox-2b and 5b at 480x720x33: FLOPs are counted on the meta device (teacher, forward,
backward; see benchmarks/train.py; the VAE is not in them), time = FLOPs / (peak x MFU). Peak and MFU are arguments, as
this project has measured no GPU so far: the defaults are an H100's dense bf16 peak and 0.35, the middle of the 0.32 to
0.39 published for comparable trainings. Cutting: frames a second of `make bench` on its machine, per core.
Detection, masks and captions of public models on a GPU are not estimated: nothing here was measured for them.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.train import count_flops
from mvideo_core.model.adapter import LoraOptions
from mvideo_core.training.options import load_profile

RESULTS = Path(__file__).with_name("results")
H100_BF16_FLOPS = 989e12
GUIDANCE_PASSES = 2
"""Forward passes of a denoising step with classifier-free guidance."""


def training_hours(size: str, peak: float, mfu: float) -> dict[str, float]:
    """FLOPs of a sample, GPU hours of the profile's whole training, GPU seconds of a clip at 50 steps."""
    profile = load_profile("mvideo-" + size.removeprefix("cogvideox-"))
    flops = count_flops(size, LoraOptions(rank=profile.lora.rank, alpha=profile.lora.alpha))
    samples = profile.steps * profile.global_batch
    return {
        "pflop_per_sample": flops["step"] / 1e15,
        "samples": samples,
        "gpu_hours": flops["step"] * samples / (peak * mfu) / 3600,
        "gpu_s_per_clip": 50 * GUIDANCE_PASSES * flops["forward"] / (peak * mfu),
    }


def cutting_hours(hours: float, fps: float) -> float:
    """Core hours of decoding, searching and cutting `hours` of video at `fps` frames a second."""
    bench = json.loads((sorted(RESULTS.glob("*-data.json"))[-1]).read_text(encoding="utf-8"))
    one = bench["measurements"]["cutting"]
    per_frame_s = one["cpu_s"]["cut"] / one["film"]["frames"]
    return hours * fps * per_frame_s


def main() -> None:
    """Print the table; write build/estimate.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=1000.0, help="hours of raw video")
    parser.add_argument("--fps", type=float, default=30.0, help="frame rate of the raw video")
    parser.add_argument("--peak", type=float, default=H100_BF16_FLOPS, help="dense FLOP/s of the GPU")
    parser.add_argument("--mfu", type=float, default=0.35, help="share of the peak that is reached")
    parser.add_argument("--price", type=float, default=0.0, help="of a GPU hour, in any money; 0 = not asked")
    given = parser.parse_args()
    told: dict[str, Any] = {"arguments": vars(given)}
    told["cutting_core_hours"] = cutting_hours(given.hours, given.fps)
    print(f"cutting {given.hours:g} h of 720p video: {told['cutting_core_hours']:.0f} core hours (measured rate)")
    for size in ("cogvideox-2b", "cogvideox-5b"):
        one = told[size] = training_hours(size, given.peak, given.mfu)
        price = f", {one['gpu_hours'] * given.price:.0f} at that price" if given.price else ""
        print(
            f"{size}: {one['pflop_per_sample']:.2f} PFLOP a sample, {one['samples']:.0f} samples: "
            f"{one['gpu_hours']:.0f} GPU hours{price}; a clip of 33 frames {one['gpu_s_per_clip']:.0f} GPU seconds"
        )
    Path("build").mkdir(exist_ok=True)
    Path("build/estimate.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print("estimate: counted FLOPs over an assumed share of the peak; build/estimate.json")


if __name__ == "__main__":
    main()

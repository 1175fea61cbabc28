"""Train a mini base model from scratch, VAE first, then text encoder and transformer; rerun to resume.

    export MVIDEO_CPU_KERNELS=native OMP_NUM_THREADS=1
    python -m mvideo_core.miniworld.training.base --size mini-fine --out build/mini-next

`<out>/model` is a usable pipeline folder from the first validation of the second training on. The folder `<out>/vae`
is written only once the VAE's minutes are used up, and the VAE is not trained further: another VAE would need another
transformer. `MVIDEO_CPU_KERNELS=native` enables the processor's bfloat16 support; without it, training is slower.
"""

import argparse
import logging
from pathlib import Path

import torch

from mvideo_core.base.one_line import errors_in_one_line
from mvideo_core.miniworld.training.base_text2video import Text2VideoOptions, train_text2video
from mvideo_core.miniworld.training.base_vae import VaeOptions, train_vae
from mvideo_core.miniworld.training.option_values import option_values


def train_base(out: Path, size: str, shots: int, vae: VaeOptions, text2video: Text2VideoOptions) -> None:
    """Run or resume both training runs until they finish.

    Raises:
        ConfigError: unknown size, or `<out>/data` has clips of another size.
    """
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "vae" / "config.json").is_file():
        train_vae(out, size, vae, shots)
    train_text2video(out, size, text2video)


def main() -> None:
    """Command-line entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/mini-next"))
    parser.add_argument("--size", default="mini-fine", help="model size (mvideo_core/cogvideox/sizes.py)")
    parser.add_argument("--shots", type=int, default=1300, help="training shots to render")
    parser.add_argument("--vae", action="append", default=[], metavar="NAME=VALUE", help="a VAE option, as JSON")
    parser.add_argument(
        "--text2video", action="append", default=[], metavar="NAME=VALUE", help="a text-to-video option, as JSON"
    )
    parser.add_argument(
        "--threads", type=int, default=1, help="CPU threads; two take 1.6 times fewer seconds per step than one"
    )
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    vae, text2video = option_values(args.vae, "--vae"), option_values(args.text2video, "--text2video")
    train_base(
        args.out, args.size, args.shots,
        VaeOptions.parse(vae, where="--vae"), Text2VideoOptions.parse(text2video, where="--text2video"),
    )  # fmt: skip


if __name__ == "__main__":
    with errors_in_one_line():
        main()

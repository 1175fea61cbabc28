"""The training runs of the paper's ablation: identical except for the weight of the consistency loss."""

from pathlib import Path

from mvideo_core.base.options import merge
from mvideo_core.paper.options import PaperOptions
from mvideo_core.paper.videos import run_of
from mvideo_core.training.latents.options import LatentOptions
from mvideo_core.training.options import TrainOptions, load_profile


def latent_options(options: PaperOptions) -> LatentOptions:
    """The encode stage's options: VAE, text encoder and video format of the base model."""
    return LatentOptions(base=options.base, max_stretch=options.max_stretch)


def training_options(options: PaperOptions, root: Path, alpha: float, latents: str) -> TrainOptions:
    """Options of one training run; runs differ only in loss weight and folder.

    Args:
        latents: folder of the encoded training set.
    """
    own = {
        "out": str(run_of(root, alpha)),
        "base": options.base.model_dump(),
        "data": {"latents": latents},
        "consistency": {"alpha": alpha},
    }
    return load_profile(options.training, merge(options.training_overrides, own))

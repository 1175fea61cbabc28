"""mvideo generate: one long video from a prompt and masks."""

import time
from collections.abc import Callable
from typing import Any

import typer
import yaml

from mvideo_core.base.devices import default_device
from mvideo_core.base.options import merge
from mvideo_core.cli.settings import exit_on_warnings, local_only, read_values
from mvideo_core.doctor import CheckContext, require

EVERY_S = 10.0


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(exit_on_warnings("mvideo_core.editing")(generate))


def generate(
    out: str = typer.Option(
        ..., "--out", help="Folder of this video: mp4, conditions, provenance.json.", callback=local_only
    ),
    prompt: str = typer.Option("", "--prompt", help="What to show; a dataset sample has its own prompt."),
    video: str = typer.Option("", "--video", help="Reference video whose objects' masks guide the new one."),
    object_: list[str] = typer.Option([], "--object", help="Object to follow in the reference video. Repeatable."),
    masks: str = typer.Option("", "--masks", help="Mask file: .masks, .npz, .npy, folder of pictures, mask video."),
    as_: str = typer.Option("", "--as", help="How to read ambiguous masks (docs/reference/masks.md)."),
    sample: str = typer.Option("", "--sample", help="Sample of a finished dataset, DATASET#KEY."),
    op: list[str] = typer.Option([], "--op", help='Edit of the masks, e.g. --op "zoom: {to: 1.4}". Repeatable.'),
    base: str = typer.Option("", "--base", help="Weights: catalog name (default mini), diffusers folder, random:SIZE."),
    dtype: str = typer.Option("", "--dtype", help="bf16, fp16 or fp32; default: bf16 on a GPU, fp32 on a CPU."),
    adapter: str = typer.Option(
        "",
        "--adapter",
        help="Training output folder or catalog name; default: mvideo-mini for mini, otherwise none; none: no adapter.",
    ),
    allow_other_base: bool = typer.Option(
        False, "--allow-other-base", help="Use the adapter with base weights that it was not trained on."
    ),
    seconds: float = typer.Option(0.0, "--seconds", min=0, help="Length; 0: as long as the masks, or one clip."),
    steps: int = typer.Option(0, "--steps", min=0, help="Denoising steps per clip; 0: 50."),
    seed: int = typer.Option(0, "--seed", min=0, help="The same seed on the same machine gives the same video."),
    options: str = typer.Option("", "--options", "-o", help="YAML file with a whole request; flags override it."),
    set_: list[str] = typer.Option([], "--set", "-s", help="Set any other value, e.g. --set options.guidance=4."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace a video of a different request in --out."),
) -> None:
    """Generate a video of any length from a prompt and masks from a reference video, a file or a dataset sample.

    If stopped or killed, rerun the command to continue with the first missing clip. Exit code 3: the video is finished,
    but look at the warnings about its masks.
    """
    from mvideo_core.generation.request import GenerateRequest
    from mvideo_core.generation.request import generate as make

    flags = {
        "prompt": prompt,
        "source": _drop_empty(
            {"video": video, "objects": object_, "masks": masks, "masks_as": as_, "sample": sample, "edits": op}
        ),
        "base": _drop_empty({"weights": base, "dtype": dtype}),
        "adapter": adapter,
        "allow_other_base": allow_other_base,
        "options": _drop_empty({"steps": steps, "seed": seed, "seconds": seconds}),
    }
    request: dict[str, Any] = {"base": {"dtype": _dtype()}}
    for layer in (read_values(options, []), _drop_empty(flags), read_values("", set_)):
        request = merge(request, layer)
    chosen = GenerateRequest.parse(request, "generate")
    require("generate", CheckContext(base=chosen.base))
    made = make(chosen, out, overwrite, Steps())
    typer.echo(yaml.safe_dump(made.model_dump(mode="json"), sort_keys=False).strip())


def _drop_empty(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def _dtype() -> str:
    return "bf16" if default_device() == "cuda" else "fp32"


class Steps:
    """Prints the number of finished denoising steps every few seconds and at the end."""

    def __init__(self, now: Callable[[], float] = time.monotonic):
        self.now, self.shown, self.shown_s = now, -1, -EVERY_S

    def __call__(self, done: int, total: int) -> None:
        """`done` of `total` steps over all clips are finished."""
        if done != self.shown and (done == total or self.now() - self.shown_s >= EVERY_S):
            self.shown, self.shown_s = done, self.now()
            typer.echo(f"step {done} of {total}", err=True)

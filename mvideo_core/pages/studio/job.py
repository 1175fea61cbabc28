"""Videos generated beside the studio, one at a time, in a thread of its server."""

import base64
import logging
import threading
from pathlib import Path
from typing import Any

from pydantic import Field

from mvideo_core.base.errors import ConfigError, MVideoError
from mvideo_core.base.options import Options
from mvideo_core.cogvideox.adapter_files import adapter_for
from mvideo_core.cogvideox.base import BaseOptions
from mvideo_core.editing.mask_files import check_fps, check_labels, load_masks
from mvideo_core.editing.resample import resample
from mvideo_core.generation.loading import Loaded, load_pipeline
from mvideo_core.generation.options import GenerateOptions
from mvideo_core.generation.video import check_prompt, make_video
from mvideo_core.masks import from_bytes
from mvideo_core.masks.io.clip import MaskClip
from mvideo_core.weights.catalog import check, entries
from mvideo_core.weights.records import WeightsEntry

log = logging.getLogger(__name__)

MINI = ("mini", "cogvideox-mini")
BUSY = ("loading", "running")


class VideoWanted(Options):
    """What the page asks for."""

    prompt: str = Field(description="what the video shows")
    masks: str = Field(description="base64 of a .masks file")
    fps: float = Field(gt=0, description="frames per second of the masks")
    labels: list[str] = Field(description="a name per object")
    steps: int = Field(default=50, description="denoising steps per clip")
    seed: int = Field(default=0, description="noise seed")


class _Stopped(Exception):
    """The user stopped it."""


class Job:
    """Generates one video after another; the model stays loaded.

    Args:
        base, adapter: as in `GenerateRequest`; an empty adapter = the catalog's one for this base.
        outputs: gets a folder per video.
    """

    def __init__(self, base: BaseOptions, adapter: str, outputs: Path):
        self.base, self.adapter, self.outputs = base, adapter or adapter_for(base.weights), outputs
        self._lock = threading.Lock()
        self._loaded: Loaded | None = None
        self._stop = threading.Event()
        self._state: dict[str, Any] = {"state": "idle", "done": 0, "total": 0}
        self.folder: Path | None = None

    def model(self) -> dict[str, Any]:
        """What the page says about the model: its name, and a warning if it is only the mini model."""
        about = self.base.weights + (f" with the adapter {self.adapter}" if self.adapter else "")
        return {"model": about, "note": mini_note(self.base.weights)}

    def state(self) -> dict[str, Any]:
        """State, finished steps, error; with the resampled masks once the video is finished."""
        with self._lock:
            return dict(self._state)

    def start(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Start a video.

        Raises:
            ConfigError: one is being made, or the request does not fit.
            MediaError: these are no masks.
        """
        wanted = VideoWanted.parse(asked, "request")
        if not wanted.prompt.strip():
            raise ConfigError("no prompt; write what the video shows")
        check_prompt(wanted.prompt)
        check_fps(wanted.fps, "masks")
        options = GenerateOptions.parse({"steps": wanted.steps, "seed": wanted.seed}, "request")
        try:
            sequence = from_bytes(base64.b64decode(wanted.masks, validate=True))
        except ValueError:
            raise ConfigError("masks: not base64 of a .masks file") from None
        if len(wanted.labels) != sequence.n_objects:
            raise ConfigError(f"{len(wanted.labels)} labels for {sequence.n_objects} objects")
        check_labels(tuple(wanted.labels), sequence.n_objects, "masks")
        clip = MaskClip(sequence, wanted.fps, tuple(wanted.labels))
        with self._lock:
            if self._state["state"] in BUSY:
                raise ConfigError("a video is being made; wait, or stop it")
            self._state = {"state": "loading", "done": 0, "total": 0}
        self._stop.clear()
        threading.Thread(target=self._work, args=(wanted.prompt, clip, options), daemon=True).start()
        return self.state()

    def stop(self) -> dict[str, Any]:
        """Stop after the current step."""
        self._stop.set()
        return self.state()

    def _work(self, prompt: str, clip: MaskClip, options: GenerateOptions) -> None:
        try:
            if self._loaded is None:
                self._loaded = load_pipeline(self.base, self.adapter, options, masks=True)
            on_grid = resample(clip, self._loaded.pipeline.format)
            folder = self._new_folder()
            self._say(state="running")
            made = make_video(self._loaded, prompt, on_grid, options, folder, progress=self._progress)
            self.folder = folder
            used = load_masks(folder / "conditions" / "masks.masks")
            masks = base64.b64encode(used.sequence.to_bytes()).decode()
            self._say(
                state="done", video=made.video, frames=made.frames, seconds=made.seconds, masks=masks, fps=used.fps,
                labels=used.labels,
            )  # fmt: skip
        except _Stopped:
            self._say(state="stopped")
        except (MVideoError, OSError) as error:
            self._say(state="failed", error=" ".join(str(error).split()))
        except Exception as error:  # nobody else would hear of it
            log.exception("generation failed")
            self._say(state="failed", error=repr(error))

    def _progress(self, done: int, total: int) -> None:
        if self._stop.is_set():
            raise _Stopped
        self._say(done=done, total=total)

    def _say(self, **values: Any) -> None:
        with self._lock:
            self._state |= values

    def _new_folder(self) -> Path:
        taken = {place.name for place in self.outputs.iterdir()} if self.outputs.is_dir() else set()
        return self.outputs / next(name for number in range(10_000) if (name := f"{number:04d}") not in taken)


def mini_note(weights: str) -> str:
    """What to say about the mini model; "" for others."""
    if weights not in MINI:
        return ""
    others = [item.name for item in entries() if item.kind == "generator" and not item.shipped and _is_here(item)]
    small = "Mini weights: small videos of a synthetic world of simple shapes, only to try it out. "
    if others:
        return small + f"{', '.join(others)} is on this disk: start with --base {others[0]} --adapter RUN/.../adapter."
    return small + "Only mini weights are here; `mvideo weights fetch` gets public ones, and --base chooses them."


def _is_here(item: WeightsEntry) -> bool:
    return not any(state.problem for state in check(item.name, item.kind, digests=False))

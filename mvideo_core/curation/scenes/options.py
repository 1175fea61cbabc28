"""Options of the cut stage."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from mvideo_core.base.options import Options
from mvideo_core.curation.scenes.gradual import GradualOptions
from mvideo_core.curation.scenes.wipes import WipeOptions


class CutOptions(Options):
    """From shots to clips."""

    detector: str = Field(default="adaptive", description="hard-cut detector by name: adaptive, content, hash, ...")
    detector_options: dict[str, Any] = Field(default={}, description="options of the detector")
    gradual: GradualOptions = Field(default=GradualOptions(), description="second pass: dissolves and fades")
    wipes: WipeOptions = Field(default=WipeOptions(), description="third pass: wipes, slides, radial transitions")
    min_shot_s: float = Field(default=8.0, ge=0, description="seconds; shorter shots are dropped")
    trim_s: float = Field(default=0.25, ge=0, description="seconds trimmed on both sides of every cut")
    fps: float = Field(default=8.0, gt=0, le=60, description="frames per second of clips")
    width: int = Field(default=720, ge=16, multiple_of=2, description="clip width, pixels")
    height: int = Field(default=480, ge=16, multiple_of=2, description="clip height, pixels")
    min_frames: int = Field(default=65, ge=1, description="minimum frames of a clip, 8 n + 1; 65 at 8 fps is 8 s")
    max_frames: int = Field(
        default=97, ge=1, description="maximum frames of a clip, 8 n + 1; longer shots give several clips"
    )
    clips_per_shot: int = Field(default=0, ge=0, description="maximum clips per shot; 0 = no limit")
    fit: Literal["cover", "contain", "stretch"] = Field(
        default="cover", description="how to fit other aspect ratios: center crop, add bars, or distort"
    )
    crop_bars: bool = Field(
        default=False,
        description="remove black bars (letterbox, pillarbox) that a whole video has, before `fit`; decodes it twice",
    )
    use_spans: bool = Field(default=False, description="keep only footage inside the source's spans (HD-VILA)")
    min_motion: float = Field(
        default=0.0,
        ge=0,
        description="minimum mean change between neighboring small frames, 0 to 255; stiller clips are dropped",
    )
    warn_jump_frac: float = Field(
        default=0.02, ge=0, le=1, description="warn if more than this fraction of clips seem to contain a cut"
    )
    crf: int = Field(default=18, ge=0, le=51, description="x264 quality of clips; lower = better and larger")
    preset: str = Field(default="veryfast", pattern=r"[a-z]+", description="x264 preset")
    encode_threads: int = Field(default=1, ge=1, le=64, description="x264 threads; changes the clip's bytes")
    decode_threads: int = Field(
        default=0, ge=0, le=64, description="decoder threads; 0 = all cores; does not change the bytes"
    )
    small_width: int = Field(default=128, ge=32, description="maximum width of the frames searched for cuts, pixels")
    small_height: int = Field(default=72, ge=32, description="maximum height of the frames searched for cuts, pixels")
    max_clip_errors: int = Field(default=0, ge=0, description="drop clips with more damaged source frames than this")
    max_color_shift: float = Field(
        default=6.0, gt=0, description="drop clips whose mean color differs from the source by more than this, 0 to 255"
    )
    max_decode_errors: int = Field(default=16, ge=0, description="reject videos with more decoder errors than this")
    max_pixels: int = Field(default=8192 * 4320, ge=1, description="frames with more pixels are not decoded")
    memory_gib: float = Field(default=8.0, gt=0.5, description="address space of the decoder, GiB")
    wall_s_per_s: float = Field(default=20.0, gt=0, description="time limit, seconds per second of video")
    wall_s_base: float = Field(default=120.0, gt=0, description="time limit, extra seconds per video")

    @model_validator(mode="after")
    def _frame_counts(self) -> Self:
        for name in ("min_frames", "max_frames"):
            if getattr(self, name) % 8 != 1:
                raise ValueError(f"{name} must be 8 n + 1 (65, 97, ...); got {getattr(self, name)}")
        if self.min_frames > self.max_frames:
            raise ValueError(f"min_frames {self.min_frames} is larger than max_frames {self.max_frames}")
        return self

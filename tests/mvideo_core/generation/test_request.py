"""A whole request: from prompt and masks to a folder; killed for real and resumed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mvideo_core.base.errors import ConfigError, StoreError
from mvideo_core.editing.mask_files import load_masks, save_masks
from mvideo_core.generation.loading import Loaded
from mvideo_core.generation.request import GenerateRequest, generate
from mvideo_core.generation.sources import SourceOptions
from mvideo_core.generation.video import masks_of_video
from mvideo_core.masks import MaskSequence, encode
from mvideo_core.masks.io.clip import take_frames
from mvideo_core.media.decode import count_frames
from tests.mvideo_core.generation.conftest import TINY, tiny_adapter


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """What makes the tiny base see masks."""
    return tiny_adapter(tmp_path / "adapter")


def _request(masks: Path, adapter: Path, **changes: object) -> GenerateRequest:
    values = {"prompt": "a ball", "source": {"masks": str(masks)}, "base": TINY.model_dump(), "options": {"steps": 2},
              "adapter": str(adapter)}  # fmt: skip
    return GenerateRequest.parse({**values, **changes})


def test_sigkill_then_the_same_command(square: MaskSequence, adapter: Path, tmp_path: Path) -> None:
    masks = save_masks(tmp_path / "square.masks", square, 8.0, ["ball", "box"])
    command = [
        sys.executable, "-m", "mvideo_core.cli.main", "generate", "--out", str(tmp_path / "a"), "--prompt", "a ball",
        "--masks", str(masks), "--base", "random:tiny-sincos", "--dtype", "fp32", "--steps", "2",
        "--adapter", str(adapter),
    ]  # fmt: skip
    child = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE)
    first, deadline = tmp_path / "a" / "clips" / "0000.mp4", time.monotonic() + 600
    while not first.exists():
        assert child.poll() is None, child.stderr and child.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.send_signal(signal.SIGSTOP)  # it lives, and waits
    with pytest.raises(StoreError, match=rf"a: another live generation \(process {child.pid}\) writes here; stop it"):
        generate(_request(masks, adapter), str(tmp_path / "a"))
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (tmp_path / "a" / "video.mp4").exists()

    resumed = generate(_request(masks, adapter), str(tmp_path / "a"))
    straight = generate(_request(masks, adapter), str(tmp_path / "b"))
    assert (tmp_path / "a" / "video.mp4").read_bytes() == (tmp_path / "b" / "video.mp4").read_bytes()
    assert (resumed.frames, resumed.clips, count_frames(straight.video)) == (25, 3, 25)
    record = json.loads((tmp_path / "b" / "provenance.json").read_text())
    assert record["decides"]["prompt"] == "a ball"
    assert (record["masks_from"]["kind"], record["masks_from"]["path"]) == ("masks", str(masks))
    assert [clip["frames"] for clip in record["clips"]] == [9, 8, 8]
    assert (tmp_path / "b" / "conditions" / "masks.masks").exists()
    with pytest.raises(ConfigError, match="different request"):
        generate(_request(masks, adapter, prompt="a cube"), str(tmp_path / "b"))


def test_the_masks_kept_are_those_used(square: MaskSequence, adapter: Path, loaded: Loaded, tmp_path: Path) -> None:
    """docs/reference/generation.md: the chosen objects, one mask for each frame of the video."""
    masks = save_masks(tmp_path / "square.masks", square, 8.0, ["ball", "box"])
    for name, options, numbers in (
        ("short", {"seconds": 1.5}, list(range(13))),
        ("held", {"seconds": 3.5, "mask_end": "hold"}, [*range(25), *[24] * 4]),
        ("none", {"seconds": 4.0, "mask_end": "none"}, [*range(25), *[24] * 8]),  # the clip of frame 24 is guided
    ):
        request = _request(masks, adapter, options={"steps": 1, "objects": [0], **options})
        clip = masks_of_video(load_masks(masks), request.options, loaded.pipeline.format)
        assert (clip.sequence, clip.labels) == (take_frames(square, numbers).select([0]), ("ball",)), name
    made = generate(_request(masks, adapter, options={"steps": 1, "seconds": 1.0, "objects": [1]}), str(tmp_path / "a"))
    kept = load_masks(tmp_path / "a" / "conditions" / "masks.masks")
    assert (made.frames, kept.sequence) == (9, take_frames(square, range(9)).select([1]))


def test_masks_that_are_empty_where_they_are_used(square: MaskSequence, adapter: Path, tmp_path: Path) -> None:
    pixels = square.pixels()
    pixels[:13] = False  # only later frames have masks
    masks = save_masks(tmp_path / "late.masks", encode(pixels), 8.0)
    with pytest.raises(ConfigError, match="empty masks: 2 objects in 0 of 9 frames"):
        generate(_request(masks, adapter, options={"steps": 1, "seconds": 1.0}), str(tmp_path / "a"))
    assert not (tmp_path / "a").exists()


def test_no_prompt_and_no_sample(square: MaskSequence, adapter: Path, tmp_path: Path) -> None:
    masks = save_masks(tmp_path / "square.masks", square, 8.0)
    with pytest.raises(ConfigError, match="no prompt"):
        generate(_request(masks, adapter, prompt=""), str(tmp_path / "a"))
    with pytest.raises(ConfigError, match=r"prompt: 'a \\udcff b' is not Unicode"):  # a byte of the command line
        generate(_request(masks, adapter, prompt="a \udcff b"), str(tmp_path / "a"))
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"masks": "a", "sample": "b#c"}, "got masks and sample"),
        ({"video": "a.mp4"}, "video and objects go together"),
        ({"edits": ["mirror"]}, "edits need masks"),
    ],
)
def test_sources_that_contradict_themselves(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SourceOptions.parse(values)

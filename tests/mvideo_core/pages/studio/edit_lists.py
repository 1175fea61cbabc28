"""Random pictures of layers with edits, as the studio exports them, and both ways to compute them."""

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from mvideo_core.base.errors import MVideoError
from mvideo_core.editing.combine import CombineOptions, Layer, combine
from mvideo_core.editing.edits import apply_edits, parse_edits
from mvideo_core.masks import MaskSequence, from_bytes
from mvideo_core.masks.codec import encode
from mvideo_core.masks.io.clip import MaskClip
from mvideo_core.pages.studio.build import ENGINE, HERE, schemas

EASES = ["linear", "ease", "ease-in", "ease-out", "step"]
RUNNER = """
const task = JSON.parse(require("fs").readFileSync(0, "utf8"));
const bytes = text => new Uint8Array(Buffer.from(text, "base64"));
const clips = task.clips.map(one => readMasks(bytes(one.masks), one.fps, one.labels));
const edits = list => list.map(one => ({ name: Object.keys(one)[0], options: Object.values(one)[0] }));
console.log(JSON.stringify(task.pictures.map(one => {
  try {
    const layers = one.layers.map(each => {
      const done = applyEdits(clips[each.input], edits(each.edits), task.schemas);
      inspectSteps(done.steps);
      return { clip: done.clip, start_s: each.start_s, tail: each.tail };
    });
    const combined = combineLayers(layers, one.combine);
    const done = applyEdits(combined, edits(one.edits), task.schemas);
    inspectSteps(done.steps);
    const masks = Buffer.from(writeMasks(done.clip)).toString("base64");
    return { fps: done.clip.fps, labels: done.clip.labels, masks };
  } catch (error) { return { error: error.message }; }
})));
"""


def draw_clip(rng: np.random.Generator) -> MaskClip:
    """Discs with holes and boxes that move, shrink and vanish; one is cut by the frame's edge."""
    n_frames, n_objects = int(rng.integers(1, 9)), int(rng.integers(1, 4))
    height, width = (int(side) for side in rng.integers(20, 60, 2))
    y, x = np.mgrid[:height, :width] + 0.5
    masks = np.zeros((n_frames, n_objects, height, width), np.bool_)
    for obj in range(n_objects):
        start, speed = rng.uniform(0.1, 0.9, 2) * (width, height), rng.uniform(-4, 4, 2)
        radius, hole, square = rng.uniform(4, 16), rng.uniform(0, 4), rng.random() < 0.3
        for frame in range(n_frames):
            dx, dy = x - start[0] - speed[0] * frame, (y - start[1] - speed[1] * frame) * rng.uniform(0.8, 1.2)
            far = np.maximum(abs(dx), abs(dy)) if square else np.hypot(dx, dy)
            shown = (far < radius) & (far >= hole)
            masks[frame, obj] = shown & (rng.random() > 0.1) | (rng.random((height, width)) < 0.004)
    labels = tuple(str(rng.choice(["horse", "dog", ""])) for _ in range(n_objects))
    return MaskClip(encode(masks), float(rng.choice([8, 6, 12.5, 29.97])), labels)


def draw_edit(rng: np.random.Generator, clip: MaskClip) -> dict[str, Any]:
    """One operation with random options, a few of them wrong."""
    n_objects, duration_s = clip.sequence.n_objects, clip.duration_s
    number = lambda low, high: round(float(rng.uniform(low, high)), int(rng.integers(0, 5)))  # noqa: E731

    def keys(low: float, high: float, n_values: int = 1) -> list[list[Any]]:
        n_keys = int(rng.integers(1, 4))
        if rng.random() < 0.5:
            times: list[Any] = [f"{time:g}%" for time in np.linspace(0, 100, n_keys)]
        else:
            times = sorted(set(np.round(rng.uniform(0, duration_s, n_keys), 3).tolist()))
        return [[time, *(number(low, high) for _ in range(n_values))] for time in times]

    keyed = lambda low, high: number(low, high) if rng.random() < 0.5 else keys(low, high)  # noqa: E731
    name = str(rng.choice(list(schemas())))
    some = sorted(rng.choice(n_objects, int(rng.integers(1, n_objects + 1)), replace=False).tolist())
    ease, anchor = str(rng.choice(EASES)), str(rng.choice(["center", "feet", "frame"]))
    options: dict[str, Any] = {
        "delay": lambda: {"by_s": number(0.1, 1)},
        "freeze": lambda: {"at": keys(0, 1)[0][0], "for_s": number(0.1, 1)},
        "grow": lambda: {"px": int(rng.integers(1, 9))},
        "shrink": lambda: {"px": int(rng.integers(1, 4))},
        "smooth": lambda: {"px": int(rng.integers(1, 5))},
        "hide": lambda: {"objects": some},
        "keep": lambda: {"objects": some[::-1]} if rng.random() < 0.7 else {"labels": [str(rng.choice(clip.labels))]},
        "loop": lambda: {"mode": str(rng.choice(["repeat", "bounce"]))} | {"to_s": number(0.2, 2)}
        if rng.random() < 0.5 else {"times": int(rng.integers(1, 4)), "mode": "bounce"},
        "mirror": lambda: {"sides": str(rng.choice(["left-right", "top-bottom"]))},
        "pan": lambda: {"path": keys(-0.3, 0.3, 2), "ease": ease},
        "rotate": lambda: {"angle_deg": float(rng.choice([90, 45, 180])) if rng.random() < 0.3 else keyed(-90, 90),
                           "anchor": anchor, "ease": ease},
        "scale": lambda: {"factor": float(rng.choice([0.5, 0.25, 2, 1])) if rng.random() < 0.3 else keyed(0.1, 2.5),
                          "anchor": anchor, "ease": ease},
        "slope": lambda: {"angle_deg": number(1, 40), "direction": str(rng.choice(["uphill", "downhill"])),
                          "tilt": bool(rng.random() < 0.6), "level_at": str(rng.choice(["start", "middle", "end"])),
                          "facing": str(rng.choice(["auto", "left", "right"])),
                          "hidden_speed_frac_per_s": number(0, 0.3)},
        "speed_ramp": lambda: {"keys": keys(0.3, 3), "ease": ease},
        "stretch": lambda: {"speed": number(0.3, 3)} if rng.random() < 0.5 else {"to_s": number(0.2, 2)},
        "swap": lambda: {"objects": rng.choice(3, 2).tolist()},
        "translate": lambda: {"x_frac": keyed(-0.4, 0.4), "y_frac": keyed(-0.4, 0.4), "ease": ease},
        "trim": lambda: {"start": number(0, duration_s / 2),
                         "end": [None, "100%", number(0, duration_s)][rng.integers(3)]},
        "zoom": lambda: {"start": number(0.4, 2), "to": number(0.4, 2), "center": [number(0, 1), number(0, 1)],
                         "ease": ease} | ({"keys": keys(0.4, 2)} if rng.random() < 0.3 else {}),
    }.get(name, dict)()  # fmt: skip
    limited = "objects" in schemas()[name]["properties"] and name not in ("hide", "keep", "swap")
    if limited and rng.random() < 0.4:
        options["objects"] = some
    return {name: options}


def draw_edits(rng: np.random.Generator, clip: MaskClip, n_edits: int) -> list[dict[str, Any]]:
    """A list with at most one edit of the time: several would make clips of hundreds of frames."""
    edits, timed = [], False
    while len(edits) < n_edits:
        edit = draw_edit(rng, clip)
        timing = schemas()[next(iter(edit))]["kind"] == "timing"
        if not (timing and timed):
            edits.append(edit)
            timed |= timing
    return edits


def draw_picture(rng: np.random.Generator, clips: list[MaskClip]) -> dict[str, Any]:
    """Layers back to front, each with edits; how they are combined; edits of the whole."""
    layers = []
    for _ in range(int(rng.choice([1, 1, 2, 3]))):
        index = int(rng.integers(len(clips)))
        edits = draw_edits(rng, clips[index], int(rng.integers(0, 5)))
        start_s, tail = round(float(rng.uniform(-0.2, 0.5)), 2), str(rng.choice(["hide", "hold", "loop", "bounce"]))
        layers.append({"input": index, "edits": edits, "start_s": start_s if rng.random() < 0.5 else 0.0, "tail": tail})
    sides = {"height_px": int(rng.integers(20, 90)), "width_px": int(rng.integers(20, 90))}
    options = {
        "occlude": bool(rng.random() < 0.7), "length": str(rng.choice(["longest", "shortest", "first"])),
        "fps": float(rng.choice([0, 0, 10])), "fit": str(rng.choice(["crop", "letterbox", "stretch"])),
    }  # fmt: skip
    combined = CombineOptions.parse(options | (sides if rng.random() < 0.3 else {}))
    first = clips[layers[0]["input"]]
    edits = draw_edits(rng, first, int(rng.choice([0, 0, 1, 2])))
    return {"layers": layers, "combine": combined.model_dump(), "edits": edits}


def in_python(clips: list[MaskClip], picture: dict[str, Any]) -> MaskClip | str:
    """The clip, or the error."""
    try:
        layers = [
            Layer(apply_edits(clips[one["input"]], parse_edits(one["edits"])), one["start_s"], one["tail"])
            for one in picture["layers"]
        ]
        combined = combine(layers, CombineOptions.parse(picture["combine"]))
        return apply_edits(combined, parse_edits(picture["edits"]))
    except MVideoError as error:
        return str(error)


def in_javascript(clips: list[MaskClip], pictures: list[dict[str, Any]]) -> list[MaskClip | str]:
    """The same by the page's scripts, in Node."""
    task = {
        "clips": [
            {"masks": base64.b64encode(clip.sequence.to_bytes()).decode(), "fps": clip.fps, "labels": clip.labels}
            for clip in clips
        ],
        "pictures": pictures, "schemas": schemas(),
    }  # fmt: skip
    results: list[MaskClip | str] = []
    for one in run_node(RUNNER, task):
        if "error" in one:
            results.append(one["error"])
        else:
            sequence: MaskSequence = from_bytes(base64.b64decode(one["masks"]))
            results.append(MaskClip(sequence, one["fps"], tuple(one["labels"])))
    return results


def run_node(script: str, task: Any, extra: tuple[str, ...] = ()) -> Any:
    """What a script prints as JSON; it follows the page's own scripts."""
    source = "\n".join(Path(HERE / name).read_text(encoding="utf-8") for name in (*ENGINE, *extra))
    command = ["node", "-e", f'"use strict";\n{source}\n{script}']
    done = subprocess.run(command, input=json.dumps(task), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)

"""A list of edits applied to a clip, in order.

Distances are fractions of the frame (for outlines, pixels of the mask); times are seconds or percentages ("50%"). Edits
of time show the nearest source frame and keep the frame rate. An edit with `objects`, a list of numbers, changes only
those objects.

Consecutive edits of camera, objects and time are combined into one, and each mask is drawn once. Ten edits therefore
blur no more than one, and parts that an intermediate edit pushes out of the frame are not lost: `zoom: {start: 0.5, to:
0.5}` and then `zoom: {start: 2, to: 2}` restore the original clip. `to` alone ramps from 1, so `zoom: {to: 0.5}` and
`zoom: {to: 2}` do not undo each other.

If the camera of the reference video followed an object, its masks stay in place, and `slope` has no travel to follow.
Then set `hidden_speed_frac_per_s` and `facing`.
"""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options, parse_yaml, read_yaml
from mvideo_core.editing.geometry import Motion, after, measure_motion, shift
from mvideo_core.editing.operations import OPERATIONS, Operation
from mvideo_core.editing.presence import check_change, find_visible
from mvideo_core.editing.warp import cut_shows, warp_edges
from mvideo_core.masks.codec import check_shape
from mvideo_core.masks.io.clip import MaskClip, RunWriter, check_objects

log = logging.getLogger(__name__)

AFTER = "after the edits"


class Edit(NamedTuple):
    """An operation with its options."""

    operation: Operation
    options: Options

    def plain(self) -> dict[str, Any]:
        """The YAML form, with only the values that differ from the defaults."""
        return {self.operation.name: self.options.model_dump(mode="json", exclude_defaults=True)}


def parse_edits(items: Iterable[Any], where: str = "edits") -> list[Edit]:
    """Edits from their YAML forms.

    Args:
        items: each "name", "name: {option: value}" as text, or a mapping {name: {option: value}}.
        where: what messages call the list.

    Raises:
        ConfigError: unknown operation or option; the message lists the known ones.
    """
    return [_parse(item, f"{where}, number {number}") for number, item in enumerate(items, 1)]


def read_edits(path: str | Path) -> list[Edit]:
    """Edits of a YAML file: a mapping with the list under `edits`.

    Raises:
        ConfigError: missing, or in a different form.
    """
    values = read_yaml(path)
    if set(values) != {"edits"} or not isinstance(values["edits"], list):
        raise ConfigError(f"{path}: expected one key `edits` with a list, such as\nedits:\n  - zoom: {{to: 1.4}}")
    return parse_edits(values["edits"], str(path))


def apply_edits(clip: MaskClip, edits: Iterable[Edit]) -> MaskClip:
    """The clip after all edits, in order. Warns about objects that they push out of the picture.

    Raises:
        ConfigError: an edit that does not fit the clip (an object it does not have, times beyond its end), or no object
            is left in any frame.
    """
    state = _State.of(clip)
    for operation, options in edits:
        if operation.kind == "rewrite":
            state = _State.of(operation.function(state.draw(), options))
        elif operation.kind == "timing":
            state = state.retime(operation, options)
        else:
            state = state.warp(operation, options)
    return state.draw()


class _State(NamedTuple):
    """A clip, and the pending changes: which of its frames are shown, and each mask's map."""

    clip: MaskClip
    motion: Motion
    frames_T: np.ndarray
    maps_TN23: np.ndarray

    @classmethod
    def of(cls, clip: MaskClip) -> "_State":
        n_frames, n_objects = clip.sequence.shape[:2]
        maps = shift(np.zeros((n_frames, n_objects)), 0.0)
        return cls(clip, measure_motion(clip.sequence, clip.fps), np.arange(n_frames), maps)

    def retime(self, operation: Operation, options: Options) -> "_State":
        index = np.asarray(operation.function(len(self.frames_T), self.clip.fps, options), np.int64)
        check_shape(len(index), *self.clip.sequence.shape[1:])
        if not len(index):
            raise ConfigError(f"{operation.name}: none of the {len(self.frames_T)} frames is left")
        return self._replace(frames_T=self.frames_T[index], maps_TN23=self.maps_TN23[index])

    def warp(self, operation: Operation, options: Options) -> "_State":
        n_objects = self.clip.sequence.n_objects
        chosen = check_objects(getattr(options, "objects", None), n_objects)
        now = self.motion.move(self.frames_T, self.maps_TN23)
        outer = np.broadcast_to(operation.function(now, options), self.maps_TN23.shape)
        if not np.isfinite(outer).all():
            raise ConfigError(f"{operation.name}: its values overflow; use smaller ones")
        maps = self.maps_TN23.copy()
        maps[:, chosen] = after(outer, self.maps_TN23)[:, chosen]
        return self._replace(maps_TN23=maps)

    def draw(self) -> MaskClip:
        sequence = self.clip.sequence
        _, n_objects, height, width = sequence.shape
        writer = RunWriter(len(self.frames_T), n_objects, height, width)
        n_cut = np.zeros(n_objects, int)
        for frame, maps_N23 in zip(self.frames_T.tolist(), self.maps_TN23, strict=True):
            for obj in range(n_objects):
                edges = sequence.mask_edges(frame, obj)
                n_cut[obj] += cut_shows(edges, maps_N23[obj], height, width)
                writer.append(warp_edges(edges, maps_N23[obj], height, width))
        for obj in np.flatnonzero(n_cut).tolist():
            log.warning(
                "object %d: in %d of %d frames the source's edge cuts it off, and the edits move that edge inside",
                obj, n_cut[obj], len(self.frames_T),
            )  # fmt: skip
        result, seen_TN = writer.finish(), find_visible(sequence)
        check_change(seen_TN[self.frames_T].sum(axis=0), seen_TN.sum(axis=0), result, self.clip.labels, AFTER)
        return self.clip._replace(sequence=result)


def parse_options(item: Any, where: str) -> tuple[str, dict[str, Any] | None]:
    """A name with its options, from "name", "name: {option: value}" as text, or a mapping {name: {option: value}}.

    Raises:
        ConfigError: any other form.
    """
    value = item
    if isinstance(item, str):
        value = parse_yaml(item, f"{where}: {item!r}")
    if isinstance(value, str):
        value = {value: None}
    if not isinstance(value, dict) or len(value) != 1:
        raise ConfigError(f"{where}: expected 'name' or 'name: {{option: value}}', got {item!r}")
    [(name, options)] = value.items()
    if options is not None and not isinstance(options, dict):
        raise ConfigError(f"{where}: expected options of {name} in braces, as in 'zoom: {{to: 1.4}}'; got {options!r}")
    return str(name), options


def _parse(item: Any, where: str) -> Edit:
    name, options = parse_options(item, where)
    operation = OPERATIONS.get(name)
    return Edit(operation, operation.options.parse(options, f"{where} ({name})"))

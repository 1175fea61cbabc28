"""Captions say what the spec says."""

from dataclasses import replace

from mvideo_core.miniworld.world import Path, describe, sample_shot
from mvideo_core.miniworld.world.captions import direction_of


def test_caption_names_subject_action_direction_scene_and_camera():
    spec = sample_shot(0)
    walker = replace(spec.actors[0], kind="person", action="walk", path=Path(0.0, 0.9, -0.1), role="plain")
    walker = replace(walker, look=replace(walker.look, word="orange"))
    spec = replace(spec, actors=(walker,), camera=replace(spec.camera, kind="pan left"),
                   scene=replace(spec.scene, words="by a lake"))  # fmt: skip
    assert describe(spec) == "A person in orange is walking to the left by a lake. The camera pans to the left."


def test_direction_needs_one_way_travel():
    actor = sample_shot(0).actors[0]
    assert direction_of(replace(actor, path=Path(0.0, 0.5, 0.2)), 10) == "right"
    assert direction_of(replace(actor, path=Path(0.0, 0.5, 0.2, -0.5, 0.5)), 10) == "back and forth"
    assert direction_of(replace(actor, path=Path(0.0, 0.5, 0.2, -0.5, 0.5)), 2) == "right"
    assert direction_of(replace(actor, path=Path(0.0, 0.5)), 10) == ""

"""The true caption of a shot: actors, actions, scene, and camera movement."""

from mvideo_core.miniworld.world.kinds import kind_of
from mvideo_core.miniworld.world.spec import ActorSpec, ShotSpec

CAMERA = {
    "static": "The camera stays still.",
    "pan left": "The camera pans to the left.",
    "pan right": "The camera pans to the right.",
    "tilt up": "The camera tilts up.",
    "tilt down": "The camera tilts down.",
    "zoom in": "The camera zooms in.",
    "zoom out": "The camera zooms out.",
    "follow": "The camera follows along.",
}


def describe(spec: ShotSpec) -> str:
    """English caption in the order subject, movement, scene, camera."""
    first, *rest = spec.actors
    sentences = [f"{_sentence(first, spec.duration_s)} {spec.scene.words}."]
    sentences += [
        f"{_sentence(actor, spec.duration_s)}{' behind it' if _is_hidden(actor, spec) else ''}." for actor in rest
    ]
    return " ".join([*sentences, CAMERA[spec.camera.kind]])


def direction_of(actor: ActorSpec, duration_s: float) -> str:
    """Direction of travel over the shot: "right", "left", "back and forth", or "" = in place."""
    if not actor.path.vx:
        return ""
    signs = {actor.path.at(duration_s * step / 60)[2] for step in range(61)}
    if len(signs) > 1:
        return "back and forth"
    return "right" if signs == {1.0} else "left"


def _sentence(actor: ActorSpec, duration_s: float) -> str:
    one = kind_of(actor.kind)
    verb = next(action.verb for action in one.actions if action.name == actor.action)
    way = direction_of(actor, duration_s)
    how = {"": "", "back and forth": " back and forth"}.get(way, f" to the {way}")
    if actor.kind == "person":
        return f"{_article(actor.kind)} person in {actor.look.word} is {verb}{how}"
    return f"{_article(actor.look.word)} {actor.look.word} {actor.kind} is {verb}{how}"


def _is_hidden(actor: ActorSpec, spec: ShotSpec) -> bool:
    return actor.role == "crossing" and actor.depth < spec.actors[0].depth


def _article(word: str) -> str:
    return "An" if word[0] in "aeiou" else "A"

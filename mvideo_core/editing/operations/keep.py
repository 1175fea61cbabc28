"""Some of the objects."""

from pydantic import Field

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options
from mvideo_core.editing.operations import rewrite
from mvideo_core.masks.io.clip import MaskClip, check_objects


class KeepOptions(Options):
    """By number or by name."""

    objects: list[int] | None = Field(default=None, description="object numbers, in the order to give them")
    labels: list[str] | None = Field(default=None, description="names; all other objects are dropped")


@rewrite("keep", KeepOptions)
def keep(clip: MaskClip, options: KeepOptions) -> MaskClip:
    """Keep some objects and drop the others."""
    if (options.objects is None) == (options.labels is None):
        raise ConfigError("keep: give either `objects` or `labels`")
    if not (options.objects or options.labels):
        raise ConfigError(
            "keep: an empty list keeps nothing; give the objects to keep: "
            f"numbers 0 to {clip.sequence.n_objects - 1}, or names"
        )
    chosen = check_objects(options.objects, clip.sequence.n_objects)
    if options.labels is not None:
        known = sorted(set(clip.labels) - {""})
        unknown = [label for label in options.labels if label not in known]
        if unknown:
            raise ConfigError(
                f"keep: no object called {', '.join(unknown)}; the names are: {', '.join(known) or 'none'}"
            )
        chosen = [number for number, label in enumerate(clip.labels) if label in options.labels]
    return clip._replace(sequence=clip.sequence.select(chosen), labels=tuple(clip.labels[n] for n in chosen))

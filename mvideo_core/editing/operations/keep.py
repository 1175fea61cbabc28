"""Some of the objects."""

from pydantic import Field

from mvideo_core.editing.clip import MaskClip, checked_objects
from mvideo_core.editing.operations import rewrite
from mvideo_core.errors import ConfigError
from mvideo_core.options import Options


class KeepOptions(Options):
    """By number or by name."""

    objects: list[int] | None = Field(default=None, description="object numbers, in the order they shall have")
    labels: list[str] | None = Field(default=None, description="names; objects of other names go")


@rewrite("keep", KeepOptions)
def keep(clip: MaskClip, options: KeepOptions) -> MaskClip:
    """Keep some objects and drop the others."""
    if (options.objects is None) == (options.labels is None):
        raise ConfigError("keep: give `objects` or `labels`, one of them")
    chosen = checked_objects(options.objects, clip.sequence.n_objects)
    if options.labels is not None:
        chosen = [number for number, label in enumerate(clip.labels) if label in options.labels]
    if not chosen:
        raise ConfigError(f"keep: no object called {options.labels}; the names are {list(clip.labels)}")
    return clip._replace(sequence=clip.sequence.select(chosen), labels=tuple(clip.labels[n] for n in chosen))

"""Videos of a system for a list of prompts or samples, and their manifest; a killed run goes on at the next video.

<out>/manifest.jsonl           written first, with every item: a video that never comes counts as missing
<out>/system.json              the system's options
<out>/videos/<id>/video.mp4    with provenance.json beside it
"""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from mvideo_core.disk import write_whole
from mvideo_core.errors import ConfigError
from mvideo_core.evaluation.manifest import EvalItem, Manifest, checked, write_manifest
from mvideo_core.evaluation.plan import Part
from mvideo_core.evaluation.systems import FolderSystem, SystemOptions
from mvideo_core.listing import read_lines

log = logging.getLogger(__name__)

Progress = Callable[[int, int, str], None]


class Maker(Protocol):
    """What makes one video of a system."""

    def make(self, item: EvalItem, folder: Path) -> bool:
        """Leave `folder`/video.mp4. Returns: False when it was there already, made from the same.

        Raises:
            MediaError: the item's masks are bad. ConfigError: it lacks what the system needs.
        """
        ...


def items_of_prompts(prompts: Sequence[str], videos_per_prompt: int, seed: int) -> list[EvalItem]:
    """One item per prompt and seed; ids are "0007-1": number of the prompt, number of the video.

    Args:
        seed: of the first video of each prompt; the next ones count up.
    """
    return [
        EvalItem(id=f"{number:04d}-{copy}", prompt=prompt, seed=seed + copy)
        for number, prompt in enumerate(prompts)
        for copy in range(videos_per_prompt)
    ]


def read_prompts(path: str | Path) -> list[str]:
    """Prompts of a text file, one per line, or of the prompts.json of `mvideo testset vbench`.

    Raises:
        ConfigError: no such file, another form, or no prompt in it.
    """
    place = Path(path)
    try:
        if place.suffix == ".json":
            found = [_text(one["prompt"]) for one in json.loads(place.read_text(encoding="utf-8-sig"))["prompts"]]
        else:
            found = [line.strip() for line in read_lines(place, "list of prompts") if line.strip()]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{place}: prompts are wanted, one per line, or prompts.json of `mvideo testset vbench`: {error!r}"
        ) from None
    if not found:
        raise ConfigError(f"{place}: no prompt in it")
    return found


def with_lengthened(items: Sequence[EvalItem], path: str | Path) -> list[EvalItem]:
    """Items that are generated from other texts than they are scored with.

    Args:
        path: JSON object, prompt -> text to generate from.

    Raises:
        ConfigError: not such a file, or a prompt is not in it.
    """
    try:
        texts = dict(json.loads(Path(path).read_text(encoding="utf-8-sig")))
        return [item.model_copy(update={"prompt_generation": _text(texts[item.prompt])}) for item in items]
    except KeyError as error:
        raise ConfigError(f"{path}: no text for the prompt {error}") from None
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: a JSON object, prompt -> text to generate from, is wanted: {error!r}") from None


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise TypeError(f"{value!r} is no text")
    return value


def make_videos(
    system: SystemOptions, items: Iterable[EvalItem], out: str | Path, part: Part | None = None,
    progress: Progress | None = None,
) -> Path:  # fmt: skip
    """Every video of a system that is not there yet. Returns: the manifest.

    Args:
        items: paths absolute; `video` and `system` are filled in here.
        part: every n-th item only, for several GPUs; the manifest holds all of them.

    Raises:
        ModelError: weights or adapter absent; the message says which, from where and where to put them.
        ConfigError: an item lacks what the system needs. MediaError: its masks are bad.
    """
    place, piece = Path(out), part or Part()
    known = [item.model_copy(update={"system": system.name, **_length(system, item)}) for item in items]
    if system.folder is not None:
        known = [item.model_copy(update={"video": find_video(system.folder, item)}) for item in known]
    else:
        known = [item.model_copy(update={"video": f"videos/{item.id}/video.mp4"}) for item in known]
    checked(Manifest(tuple(known), place), str(place))
    manifest = write_manifest(known, place / "manifest.jsonl")
    write_whole(place / "system.json", json.dumps(system.model_dump(mode="json"), indent=1) + "\n")
    if system.folder is None:
        _make_all(_maker(system), known[piece.index :: piece.count], place, progress)
    return manifest


def _make_all(maker: Maker, items: Sequence[EvalItem], out: Path, progress: Progress | None) -> None:
    for number, item in enumerate(items, 1):
        fresh = maker.make(item, out / "videos" / item.id)
        if progress is not None:
            progress(number, len(items), f"{item.id}: {'made' if fresh else 'there already'}")


def _maker(system: SystemOptions) -> Maker:
    if system.mvideo is not None:
        from mvideo_core.evaluation.makers import MVideoMaker

        return MVideoMaker.load(system.mvideo)
    from mvideo_core.evaluation.makers import DiffusersMaker

    assert system.diffusers is not None
    return DiffusersMaker.load(system.diffusers)


def _length(system: SystemOptions, item: EvalItem) -> dict[str, Any]:
    """Length that the system's videos have, where it is its own and not the item's."""
    if system.diffusers is not None:
        return {"seconds": system.diffusers.seconds}
    if system.folder is not None:
        return {"seconds": system.folder.seconds or item.seconds}
    assert system.mvideo is not None
    return {"seconds": item.seconds or system.mvideo.options.seconds}


def find_video(folder: FolderSystem, item: EvalItem) -> str:
    """Path of the item's video in the folder; the first name, absent, when there is none.

    Raises:
        ConfigError: no folder given, or not there.
    """
    root = Path(folder.folder).expanduser()
    if not folder.folder or not root.is_dir():
        raise ConfigError(f"folder {folder.folder!r}: no such folder of videos; give it with --set folder.folder=PATH")
    values = {"id": item.id, "prompt": item.prompt, "seed": item.seed if item.seed is not None else 0}
    names = [root / name.format(**values).replace("/", "_") for name in folder.names]
    return str(next((path for path in names if path.is_file()), names[0]).absolute())

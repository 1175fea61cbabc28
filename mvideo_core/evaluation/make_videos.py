"""`mvideo eval generate` writes a system's videos, and the manifest to score them with:

    manifest.jsonl           written first, with every item: a video that is never generated counts as missing
    system.json              the system's options
    masks/<id>.masks         the item's masks, resampled to the frames the system generates
    videos/<id>/video.mp4    with provenance.json; failed.json if it could not be generated

Rerunning keeps finished videos and regenerates those whose prompt, seed, masks or weights changed. An item that cannot
be generated does not stop the others.
"""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from mvideo_core.base.disk import write_whole
from mvideo_core.base.errors import ConfigError, MediaError, ModelError
from mvideo_core.base.listing import exists, find_file, read_lines, visible_files
from mvideo_core.evaluation.failed_videos import absence_of, forget_failure, note_failure
from mvideo_core.evaluation.guides import (
    file_name_of,
    guide_facts,
    guide_path,
    has_guide,
    keep_guide,
)
from mvideo_core.evaluation.manifest import (
    OTHER_VIDEOS,
    VIDEO_ENDINGS,
    EvalItem,
    Manifest,
    check_unique,
    flatten_items,
    fold_items,
    read_manifest,
    write_manifest,
)
from mvideo_core.evaluation.plan import Part
from mvideo_core.evaluation.scores import masks_digest
from mvideo_core.evaluation.systems import FolderSystem, SystemOptions
from mvideo_core.masks.io.clip import MaskClip

log = logging.getLogger(__name__)

Progress = Callable[[int, int, str], None]


class Maker(Protocol):
    """Generates the videos of a system."""

    def make(self, item: EvalItem, folder: Path) -> bool:
        """Write `folder`/video.mp4. Returns: False if it already exists, generated from the same inputs.

        Raises:
            MediaError: the item's masks are bad. ConfigError: it lacks an input the system needs.
        """
        ...

    def grid(self, item: EvalItem) -> dict[str, Any]:
        """Facts that determine size, frame rate and length of the item's masks."""
        ...

    def guide(self, item: EvalItem) -> MaskClip:
        """The item's masks, resampled to the frames the system generates.

        Raises:
            MediaError, ConfigError: they cannot be read, or are shorter than the video they guide.
        """
        ...


def items_of_prompts(prompts: Sequence[str], videos_per_prompt: int, seed: int) -> list[EvalItem]:
    """One item per prompt and seed; ids are like "0007-1": prompt number, video number.

    Args:
        seed: seed of each prompt's first video; it increments for the next ones.
    """
    return [
        EvalItem(id=f"{number:04d}-{copy}", prompt=prompt, seed=seed + copy)
        for number, prompt in enumerate(prompts)
        for copy in range(videos_per_prompt)
    ]


def read_prompts(path: str | Path) -> list[str]:
    """Prompts of a text file, one per line, or of the prompts.json of `mvideo testset vbench`.

    Raises:
        ConfigError: no such file, wrong format, or no prompts.
    """
    place = Path(path)
    try:
        if place.suffix == ".json":
            found = [_text(one["prompt"]) for one in json.loads(place.read_text(encoding="utf-8-sig"))["prompts"]]
        else:
            found = [line.strip() for line in read_lines(place, "list of prompts") if line.strip()]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(
            f"{place}: expected one prompt per line, or prompts.json of `mvideo testset vbench`: {error!r}"
        ) from None
    if not found:
        raise ConfigError(f"{place}: no prompts in it")
    return found


def with_lengthened(items: Sequence[EvalItem], path: str | Path) -> list[EvalItem]:
    """Items whose generation prompt differs from the prompt they are scored with.

    Args:
        path: JSON object, prompt -> prompt to generate from.

    Raises:
        ConfigError: invalid file, or a prompt is missing.
    """
    try:
        texts = dict(json.loads(Path(path).read_text(encoding="utf-8-sig")))
        return [item.model_copy(update={"prompt_generation": _text(texts[item.prompt])}) for item in items]
    except KeyError as error:
        raise ConfigError(f"{path}: no text for the prompt {error}") from None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise ConfigError(f"{path}: expected a JSON object, prompt -> prompt to generate from: {error!r}") from None


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise TypeError(f"{value!r} is not a string")
    return value


def make_videos(
    system: SystemOptions, items: Iterable[EvalItem], out: str | Path, part: Part | None = None,
    progress: Progress | None = None,
) -> Path:  # fmt: skip
    """Generate a system's missing videos. Returns: the manifest.

    If a video cannot be generated, a note is left in its folder (`failed_videos.failure_of`), and the next one follows.

    Args:
        items: paths absolute; `video` and `system` are filled in here. Interventions become separate items.
        part: generate only every n-th video, for several GPUs; the manifest lists all of them.

    Raises:
        ModelError: weights or adapter missing; the message says which, where to get them and where to put them.
        ConfigError: no such folder, one without a video of any item, or two items with one id.
    """
    place, piece = Path(out), part or Part()
    asked = list(items)
    fresh = {"system": system.name, "seen_masks": ""}
    known = [item.model_copy(update={**fresh, **_length(system, item)}) for item in flatten_items(asked)]
    if system.folder is not None:
        known = [item.model_copy(update={"video": find_video(system.folder, item)}) for item in known]
        _check_any_there(system.folder, known)
    else:
        known = [item.model_copy(update={"video": f"videos/{file_name_of(item.id)}/video.mp4"}) for item in known]
    listed = known
    if system.folder is None:
        listed = [item.model_copy(update=_on_the_grid(item)) for item in known]
    check_unique(Manifest(tuple(listed), place), str(place))
    about = json.dumps(system.model_dump(mode="json"), indent=1) + "\n"
    if system.folder is None:
        _note_earlier(listed, about, place)
    manifest = write_manifest(fold_items(asked, listed), place / "manifest.jsonl")
    write_whole(place / "system.json", about)
    if system.folder is None:
        _make_all(_maker(system), known[piece.index :: piece.count], place, progress)
    return manifest


def _check_any_there(folder: FolderSystem, items: Sequence[EvalItem]) -> None:
    if items and not any(exists(item.video) for item in items):
        raise ConfigError(
            f"{folder.folder}: no video for any of the {len(items)} items, e.g. {items[0].id!r}; expected names: "
            f"{' or '.join(folder.names)}; set others with --set folder.names=[...]"
        )


def folder_notices(folder: FolderSystem, items: Sequence[EvalItem]) -> list[str]:
    """Items without a video in the folder, and videos in the folder that belong to no item.

    Args:
        items: with absolute paths, as `make_videos` lists them.
    """
    absent = [item.id for item in items if not exists(item.video)]
    used = {item.video for item in items}
    held = visible_files(Path(folder.folder).expanduser().absolute(), *VIDEO_ENDINGS, *OTHER_VIDEOS)
    unused = [path.name for path in held if str(path) not in used]
    found = []
    if absent:
        found.append(f"{len(absent)} of {len(items)} items have no video, such as {absent[0]!r}: they count as missing")
    if unused:
        found.append(f"{len(unused)} of {len(held)} videos belong to no item, such as {unused[0]}: ignored")
    return found


def _on_the_grid(item: EvalItem) -> dict[str, str]:
    """Manifest fields for the item's masks: the resampled masks, and which sample they belong to."""
    try:
        own = (item.sample_masks_sha256 or masks_digest(item.masks)) if item.masks else ""
    except MediaError:  # reported when the video is generated
        own = ""
    return {"masks": guide_path(item), "sample_masks_sha256": own}


def _note_earlier(items: Sequence[EvalItem], about: str, out: Path) -> None:
    """Mark outdated videos as failed until they are regenerated: the run may stop before it reaches them."""
    try:
        same = (out / "system.json").read_text(encoding="utf-8") == about
        held = flatten_items(read_manifest(out / "manifest.jsonl").items) if same else []
        before = {item.id: _request_key(item) for item in held}
    except (OSError, ConfigError):
        before = {}
    for item in items:
        if exists(out / item.video) and before.get(item.id) != _request_key(item):
            why = "not generated with the current options yet; `mvideo eval generate` has not finished"
            note_failure((out / item.video).parent, item.id, MediaError(why))


def _request_key(item: EvalItem) -> tuple[Any, ...]:
    """Fields of an item that, with the system, determine its video."""
    return item.prompt_generation or item.prompt, item.seed, item.seconds, item.masks, item.sample_masks_sha256


def _make_all(maker: Maker, items: Sequence[EvalItem], out: Path, progress: Progress | None) -> None:
    for number, item in enumerate(items, 1):
        folder = (out / item.video).parent
        try:
            guided = item.model_copy(update={"masks": _guide(maker, item, out)})
            outcome = "generated" if maker.make(guided, folder) else "already there"
            forget_failure(folder)
        except (ConfigError, MediaError, ModelError) as error:
            note_failure(folder, item.id, error)
            outcome = f"failed: {error}"
        if progress is not None:
            progress(number, len(items), f"{item.id}: {outcome}")


def failures(items: Iterable[EvalItem]) -> dict[str, str]:
    """Id and reason of each video that could not be generated, whether or not an older one exists.

    Args:
        items: with absolute paths.
    """
    absent = {item.id: absence_of(item.video) for item in items}
    return {name: one.why for name, one in absent.items() if one is not None and one.status == "failed"}


def _guide(maker: Maker, item: EvalItem, out: Path) -> str:
    """Path of the item's resampled masks, created if missing; "" without masks."""
    if not item.masks:
        return ""
    facts = guide_facts(item, maker.grid(item))
    if not has_guide(out, item, facts):
        keep_guide(out, item, maker.guide(item), facts)
    return str(out / guide_path(item))


def _maker(system: SystemOptions) -> Maker:
    if system.mvideo is not None:
        from mvideo_core.evaluation.makers import MVideoMaker

        return MVideoMaker.load(system.mvideo)
    from mvideo_core.evaluation.makers import DiffusersMaker

    assert system.diffusers is not None
    return DiffusersMaker.load(system.diffusers)


def _length(system: SystemOptions, item: EvalItem) -> dict[str, Any]:
    """Length of the system's videos, if it is set by the system and not the item."""
    if system.diffusers is not None:
        return {"seconds": system.diffusers.seconds}
    if system.folder is not None:
        return {"seconds": system.folder.seconds or item.seconds}
    assert system.mvideo is not None
    return {"seconds": item.seconds or system.mvideo.options.seconds}


def find_video(folder: FolderSystem, item: EvalItem) -> str:
    """Path of the item's video in the folder; if there is none, the first candidate name.

    Raises:
        ConfigError: no folder given, or it does not exist.
    """
    root = Path(folder.folder).expanduser()
    if not folder.folder or not root.is_dir():
        raise ConfigError(f"folder {folder.folder!r}: no such folder of videos; set it with --set folder.folder=PATH")
    values = {"id": item.id, "prompt": item.prompt, "seed": item.seed if item.seed is not None else 0}
    names = [name.format(**values).replace("/", "_") for name in folder.names]
    return str(next((path for path in (find_file(root, name) for name in names) if path), root / names[0]).absolute())

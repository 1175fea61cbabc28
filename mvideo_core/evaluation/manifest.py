"""The items to score: a manifest with one JSON object per line, or a folder of videos.

    {"id": "cat-0", "system": "ours", "video": "cat-0.mp4", "prompt": "a cat runs", "masks": "cat.masks"}

Paths are relative to the manifest. A video that is listed but does not exist counts as missing, because leaving failed
generations out of the mean would flatter the system.

A folder has a `manifest.jsonl`, outputs of `mvideo generate`, or videos named after their prompts as in VBench (`a cat
runs-0.mp4`). A folder that also has other videos, which would not be scored, is refused.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field, ValidationError, field_validator

from mvideo_core.base.disk import write_whole
from mvideo_core.base.errors import ConfigError
from mvideo_core.base.listing import exists, read_lines, spellings, visible_files, visible_folders
from mvideo_core.base.options import digest
from mvideo_core.base.records import Record

VIDEO_ENDINGS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
OTHER_VIDEOS = (
    ".gif",
    ".apng",
    ".webp",
    ".mpg",
    ".mpeg",
    ".ts",
    ".mts",
    ".wmv",
    ".flv",
    ".ogv",
    ".3gp",
    ".mxf",
    ".y4m",
)
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
_NUMBERED = re.compile(r"-\d+$")


class Intervention(Record):
    """An item again, under edited masks; all paths as in the item.

    Attributes:
        edit: name of the edit, such as "shift"; the letters of a file name.
        masks: the edited masks: same frames, objects and size as the item's; an object that is dropped has empty ones.
        video: made from the item's prompt and seed with these masks; "" = not made yet.
        seen_masks: as in the item.
    """

    edit: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    masks: str
    video: str = ""
    seen_masks: str = ""


class EvalItem(Record):
    """Each line of a manifest describes one video of one system.

    Attributes:
        id: id of the prompt or sample (and seed); equal in every system, so that systems are compared in pairs.
        system: name of the system that generated the video. Each combination of system, variant and test set has its
            own mean and table row.
        test_set: name of its set of prompts or samples, such as "complexmotion"; "" = the only one.
        video: path; "" or a nonexistent file = missing.
        prompt: the prompt to compare the video with.
        prompt_generation: the prompt it was generated from, if different (lengthened by a language model).
        seed: seed of the generation.
        masks: the masks that guided it: .masks, .npz, .npy, image folder, mask video, or DATASET#KEY.
        sample_masks_sha256: digest of the sample's own masks, if `masks` are a copy resampled to a system's frame size
            and length. It shows that systems of different sizes share the sample. "" = `masks` are the sample's own, or
            were edited. Remove this field if you replace the masks.
        source_video: the video the masks come from: upper bound of S_m, and a column of the report.
        seconds: requested length.
        variant: variant of the system, such as "8 s" or "no consistency loss"; variants get separate rows.
        fit: how the system fitted masks with another aspect ratio to its frame; "" = the metric's option.
        bars_px: black bars above, below, left and right of the picture, to crop before scoring; `--set crop_bars=true`
            detects them.
        seen_masks: true masks of the objects in the video, from rendering or another source; "" = unknown.
        interventions: the same item with edited masks, for the control score (docs/reference/control.md#files).
    """

    id: str
    system: str = ""
    test_set: str = ""
    video: str = ""
    prompt: str = ""
    prompt_generation: str = ""
    seed: int | None = None
    masks: str = ""
    sample_masks_sha256: str = ""
    source_video: str = ""
    seconds: float | None = None
    variant: str = ""
    fit: Literal["", "same", "crop", "letterbox", "stretch"] = ""
    bars_px: tuple[int, int, int, int] = (0, 0, 0, 0)
    seen_masks: str = ""
    interventions: tuple[Intervention, ...] = ()

    @field_validator("interventions")
    @classmethod
    def _check_edits(cls, given: tuple[Intervention, ...]) -> tuple[Intervention, ...]:
        """Each edit name may occur once: results refer to edits by name."""
        name, n = Counter(one.edit for one in given).most_common(1)[0] if given else ("", 0)
        if n > 1:
            raise ValueError(f"{n} interventions are called {name!r}; edits of one item need different names")
        return given

    @field_validator("id", "prompt", "prompt_generation")
    @classmethod
    def _compose(cls, text: str) -> str:
        """Normalize accents (NFC), so that items match even if their files were named on different machines."""
        return unicodedata.normalize("NFC", text)


def item_under(item: EvalItem, one: Intervention) -> EvalItem:
    """The item with the masks of an intervention; "cat-0" becomes "cat-0+shift"."""
    return item.model_copy(
        update={
            "id": f"{item.id}+{one.edit}", "masks": one.masks, "video": one.video, "seen_masks": one.seen_masks,
            "sample_masks_sha256": "", "interventions": (),
        }
    )  # fmt: skip


def flatten_items(items: Iterable[EvalItem]) -> list[EvalItem]:
    """Each item without its interventions, followed by each intervention as an item: every video to be made."""
    return [
        one
        for item in items
        for one in (item.model_copy(update={"interventions": ()}), *(item_under(item, x) for x in item.interventions))
    ]


def fold_items(items: Sequence[EvalItem], flat: Iterable[EvalItem]) -> list[EvalItem]:
    """The inverse: `items` with masks and videos of `flat`, which is in the order of `flatten_items(items)`."""
    rest = iter(flat)
    folded = []
    for item in items:
        base = next(rest)
        under = tuple(
            Intervention(edit=one.edit, masks=made.masks, video=made.video, seen_masks=made.seen_masks)
            for one, made in ((one, next(rest)) for one in item.interventions)
        )
        folded.append(base.model_copy(update={"interventions": under}))
    return folded


class Manifest(NamedTuple):
    """Items, and the folder their relative paths refer to."""

    items: tuple[EvalItem, ...]
    root: Path

    def path(self, text: str) -> str:
        """Make an item's path absolute; "", URLs and the #KEY of a dataset sample are unchanged."""
        if not text or "://" in text:
            return text
        whole = str((self.root / Path(text).expanduser()).absolute())
        return next((form for form in spellings(whole) if exists(form)), whole)


def read_manifest(path: str | Path) -> Manifest:
    """Read the items of a manifest.

    A folder is read through its manifest.jsonl, as output of `mvideo generate`, or as plain videos.

    Raises:
        ConfigError: no such file, an invalid line, or two items of one system with the same id.
    """
    place = Path(path)
    if place.is_dir():
        inside = place / "manifest.jsonl"
        if inside.is_file():
            return read_manifest(inside)
        return manifest_of_generated(place) or manifest_of_folder(place)
    if not place.exists():
        raise ConfigError(f"{place}: no such manifest; give a .jsonl file or a folder of videos")
    lines = enumerate(read_lines(place, "manifest"), 1)
    items = [_item(line, f"{place}, line {number}") for number, line in lines if line.strip()]
    return check_unique(Manifest(tuple(items), place.parent.absolute()), str(place))


def absolute_items(manifest: Manifest) -> list[EvalItem]:
    """The items with absolute paths."""

    def whole(given: Record) -> dict[str, str]:
        names = ("video", "masks", "source_video", "seen_masks")
        return {name: manifest.path(getattr(given, name)) for name in names if hasattr(given, name)}

    return [
        item.model_copy(
            update=whole(item)
            | {"interventions": tuple(one.model_copy(update=whole(one)) for one in item.interventions)}
        )
        for item in manifest.items
    ]


def write_manifest(items: Iterable[EvalItem], path: str | Path) -> Path:
    """Write one line per item, atomically. Paths are kept as they are: relative to the manifest's folder."""
    place = Path(path)
    lines = [json.dumps(item.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False) for item in items]
    write_whole(place, "".join(line + "\n" for line in lines))
    return place


def manifest_of_folder(folder: str | Path, prompts: Mapping[str, str] | None = None, system: str = "") -> Manifest:
    """Every video in a folder, by name; the prompt is the file name without extension and "-0", as in VBench.

    Args:
        prompts: file name -> prompt; a name without a file becomes a missing item.
        system: name of the system; "" = the folder's name.

    Raises:
        ConfigError: no such folder, no video in it, or videos that would be left out: of another format, as images, or
            in subfolders.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ConfigError(f"{root}: no such folder of videos")
    _check_nothing_left_out(root)
    names = {path.name for path in visible_files(root, *VIDEO_ENDINGS)}
    wanted = sorted(names | set(prompts or {}))
    if not wanted:
        raise ConfigError(f"{root}: contains no videos ({', '.join(VIDEO_ENDINGS)})")
    known = prompts or {}
    items = [
        EvalItem(
            id=Path(name).stem,
            system=system or root.absolute().name,
            video=name,
            prompt=known.get(name, "" if prompts else prompt_of_name(name)),
        )
        for name in wanted
    ]
    return check_unique(Manifest(tuple(items), root.absolute()), str(root))


def manifest_of_generated(folder: str | Path) -> Manifest | None:
    """The videos that `mvideo generate` wrote to a folder or its subfolders; None if there are none.

    Prompt, seed and masks come from the provenance. A deleted video counts as missing.

    Raises:
        ConfigError: a provenance.json not written by this project, or videos without one: unfinished, or of another
            program.
    """
    root = Path(folder)
    places = [place for place in (root, *visible_folders(root)) if (place / "provenance.json").is_file()]
    items = [_read_generated(place, root) for place in places]
    if not items:
        return None
    if root not in places:
        _check_all_generated(root, places)
    return check_unique(Manifest(tuple(items), root.absolute()), str(root))


def _check_all_generated(root: Path, places: Sequence[Path]) -> None:
    """Check that every video below a folder is in an output of `mvideo generate`."""
    loose = visible_files(root, *VIDEO_ENDINGS, *OTHER_VIDEOS)
    for place in visible_folders(root):
        if place not in places and not (place / "result.json").is_file():
            held = visible_files(place, *VIDEO_ENDINGS, *OTHER_VIDEOS, recursive=True)
            loose += [place] if held or (place / "clips").is_dir() else []
    if loose:
        raise ConfigError(
            f"{root}: {loose[0].name!r} is or has a video without a provenance.json ({len(loose)} in total), "
            "which would not be scored; if `mvideo generate` was stopped there, rerun it; otherwise move them elsewhere"
        )


def _check_nothing_left_out(root: Path) -> None:
    """Check that every video in a folder is a file with one of `VIDEO_ENDINGS`.

    Raises:
        ConfigError: names the first exception, their number, and what to do.
    """
    inside = [place for place in visible_folders(root) if not (place / "result.json").is_file()]  # not our own results
    for others, what, remedy in (
        (visible_files(root, *OTHER_VIDEOS), "in an unsupported format", "convert them: ffmpeg -i IN OUT.mp4"),
        (
            [] if visible_files(root, *VIDEO_ENDINGS) else visible_files(root, *PICTURES),  # else thumbnails
            "an image",
            "encode the frames as a video: ffmpeg -framerate 8 -i %05d.png OUT.mp4",
        ),
        (
            [place for place in inside if visible_files(place, *VIDEO_ENDINGS, *OTHER_VIDEOS, recursive=True)],
            "a subfolder with videos",
            "pass each folder separately, or a manifest.jsonl that lists the videos",
        ),
        (
            [place for place in inside if visible_files(place, *PICTURES, recursive=True)],
            "a folder of images",
            "encode each as a video: ffmpeg -framerate 8 -i FOLDER/%05d.png OUT.mp4",
        ),
    ):
        if others:
            raise ConfigError(
                f"{root}: {others[0].name!r} is {what} ({len(others)} in total) and would not be scored; only "
                f"{', '.join(VIDEO_ENDINGS)} files in the folder itself are read; {remedy}"
            )


def prompt_of_name(name: str) -> str:
    """ "a cat runs-3.mp4" -> "a cat runs", as VBench names its samples."""
    return _NUMBERED.sub("", Path(name).stem)


def check_unique(manifest: Manifest, where: str) -> Manifest:
    """Return the manifest if it has no duplicate items.

    Raises:
        ConfigError: no items, or two of one system, variant and test set with the same id.
    """
    if not manifest.items:
        raise ConfigError(f"{where}: contains no items")
    counts = Counter((item.test_set, item.system, item.variant, item.id) for item in manifest.items)
    key, n = counts.most_common(1)[0]
    if n > 1:
        raise ConfigError(
            f"{where}: id {key[3]!r} occurs {n} times for system {key[1]!r} (test set {key[0]!r}, variant "
            f"{key[2]!r}); ids must be unique"
        )
    return manifest


def _read_generated(place: Path, root: Path) -> EvalItem:
    try:
        record = json.loads((place / "provenance.json").read_text(encoding="utf-8"))
        made = record["decides"]
        prompt, seed, masked = str(made["prompt"]), int(made["options"]["seed"]), bool(made["masks"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{place}/provenance.json: not written by `mvideo generate`: {error!r}") from None
    inside = place.relative_to(root)
    return EvalItem(
        id=place.absolute().name,
        system=root.absolute().name,
        video=str(inside / "video.mp4"),
        prompt=prompt,
        seed=seed,
        masks=str(inside / "conditions" / "masks.masks") if masked else "",
        sample_masks_sha256=_masks_given(record) if masked else "",
    )


def _masks_given(record: dict[str, Any]) -> str:
    """Digest of the masks given to `mvideo generate`, before resampling; "" if its record does not have it."""
    given = record.get("masks_from")
    if not isinstance(given, dict) or not given:
        return ""
    source = {key: value for key, value in given.items() if key != "path" or "sha256" not in given}
    return digest({"masks_from": source, "objects": record["decides"]["options"].get("objects")})


def _item(line: str, where: str) -> EvalItem:
    try:
        return EvalItem.model_validate(json.loads(line))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise ConfigError(f"{where}: {problems}; allowed keys: {', '.join(EvalItem.model_fields)}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: not a JSON object: {error}") from None

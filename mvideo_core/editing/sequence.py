"""Mask sequences in and out of files; the kind is told by what is there, not by the name.

| Form | Frame rate and names |
|---|---|
| `.masks` (mvideo_core.masks) | `<file>.json` beside it, or the `.json` of an extracted dataset sample |
| `.npz` with `masks` (T, H, W) or (T, N, H, W) | arrays `fps`, `labels` inside |
| folder of PNGs, sorted by name | `masks.json` inside |
| gray mp4 | the container's rate; names in `<file>.json` |
| `DATASET#KEY`: a sample of a finished dataset | the sample's own |

PNG and mp4 frames are label maps (0 = nothing, n = object n - 1) when no value reaches 128, else black and white.
"""

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mvideo_core.editing import gray_video, npz_file, png_folder
from mvideo_core.editing.clip import MaskClip
from mvideo_core.editing.label_maps import check_maps
from mvideo_core.errors import ConfigError, MediaError
from mvideo_core.masks import MaskSequence, from_bytes

log = logging.getLogger(__name__)

MAX_FPS = 1000.0
MAX_SIDECAR_BYTES = 1 << 20
KINDS = (".masks", ".npz", ".mp4", "a folder (PNGs)")


class ReadMasks(NamedTuple):
    """What a file holds; `fps` is None where it does not tell, `labels` () where it names nothing.

    `caption` is set for dataset samples only.
    """

    sequence: MaskSequence
    fps: float | None
    labels: tuple[str, ...]
    kind: str
    caption: str = ""


def load_masks(path: str | Path, fps: float | None = None) -> MaskClip:
    """The masks of a file, folder or dataset sample.

    Args:
        path: see the module's table.
        fps: frames per second; wins over what the file says.

    Raises:
        ConfigError: nothing there, or no frame rate known: give `fps`.
        MediaError: not masks, damaged, or beyond the limits.
    """
    found = read_masks(path)
    rate = fps if fps is not None else found.fps
    if rate is None:
        raise ConfigError(f"{path}: it does not tell its frame rate; give it (--fps, or fps=...)")
    if not 0 < rate <= MAX_FPS:
        raise ConfigError(f"{path}: {rate:g} frames per second; above 0, at most {MAX_FPS:g} wanted")
    return MaskClip(found.sequence, rate, _named(found.labels, found.sequence.n_objects, path))


def read_masks(path: str | Path) -> ReadMasks:
    """As `load_masks`, with whatever the file tells.

    Raises:
        ConfigError: nothing there. MediaError: not masks, or damaged.
    """
    text = str(path)
    root, mark, key = text.rpartition("#")
    if mark and not Path(text).exists():
        return _sample(root, key)
    place = Path(text)
    if place.is_dir():
        return _folder(place)
    if not place.is_file():
        raise ConfigError(f"{place}: no such file or folder")
    with place.open("rb") as stream:
        head = stream.read(12)
    if head[:4] == b"MVMS":
        sequence = from_bytes(place.read_bytes())
        sidecar = _sidecar(place)
        return _kept(ReadMasks(sequence, sidecar.fps, sidecar.labels, "masks"), sidecar.objects)
    if head[:4] == b"PK\x03\x04":
        return ReadMasks(*npz_file.read(place), "npz")
    if head[4:8] == b"ftyp":
        sequence, fps = gray_video.read(place)
        return ReadMasks(sequence, fps, _sidecar(place).labels, "gray mp4")
    raise MediaError(f"{place}: no masks: it begins with {head!r}; {', '.join(KINDS)} or DATASET#KEY can be read")


def save_masks(path: str | Path, sequence: MaskSequence, fps: float, labels: Sequence[str] = ()) -> Path:
    """Write masks in the form that the name's ending asks for; a name without one is a folder of PNGs.

    A file appears whole or not at all. PNG and mp4 keep one object per pixel: where objects overlap the later one
    shows, and a warning says so.

    Raises:
        ConfigError: an ending that is none of ours, or `path` is something else already.
        MediaError: masks that the form cannot hold (odd sides in mp4, over 127 objects in label maps).
    """
    place = Path(path)
    names = _named(tuple(labels), sequence.n_objects, place)
    about = {"fps": fps, "labels": list(names)}
    if place.suffix == ".masks":
        _replaced(place, lambda work: work.write_bytes(sequence.to_bytes()))
        _write_json(_beside(place), about)
    elif place.suffix == ".npz":
        _replaced(place, lambda work: npz_file.write(work, sequence, fps, names))
    elif place.suffix == ".mp4":
        check_maps(sequence, place)
        _replaced(place, lambda work: gray_video.write(work, sequence, fps))
        _write_json(_beside(place), about)
    elif place.suffix == "":
        check_maps(sequence, place)
        _write_folder(place, sequence, about)
    else:
        raise ConfigError(f"{place}: masks are written as {', '.join(KINDS)}; choose one of these endings")
    return place


class _Sidecar(NamedTuple):
    fps: float | None = None
    labels: tuple[str, ...] = ()
    objects: tuple[tuple[str, bool], ...] | None = None
    """(label, kept) of each object, of a dataset sample's .json."""


def _beside(place: Path) -> Path:
    return place.with_name(place.name + ".json")


def _sidecar(place: Path) -> _Sidecar:
    """What stands beside a file; the .json of an extracted sample counts too."""
    for file in (_beside(place), place.with_suffix(".json")):
        if file.is_file():
            return _read_sidecar(file)
    return _Sidecar()


def _read_sidecar(file: Path) -> _Sidecar:
    try:
        if file.stat().st_size > MAX_SIDECAR_BYTES:
            raise MediaError(f"{file}: {file.stat().st_size} bytes; a description of masks is smaller")
        return _described(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise MediaError(
            f"{file}: not a description of masks ({error!r}); {{'fps': 8, 'labels': [...]}} wanted"
        ) from None


def _described(meta: dict[str, Any]) -> _Sidecar:
    fps = None if meta.get("fps") is None else float(meta["fps"])
    if "objects" in meta:
        objects = tuple((str(one["label"]), bool(one.get("kept", True))) for one in meta["objects"])
        return _Sidecar(fps, tuple(label for label, _ in objects), objects)
    return _Sidecar(fps, tuple(str(label) for label in meta.get("labels", ())))


def _kept(found: ReadMasks, objects: tuple[tuple[str, bool], ...] | None) -> ReadMasks:
    """Without the objects that the quality gate of the dataset dropped."""
    if objects is None or len(objects) != found.sequence.n_objects:
        return found
    chosen = [number for number, (_, kept) in enumerate(objects) if kept]
    labels = tuple(objects[number][0] for number in chosen)
    return found._replace(sequence=found.sequence.select(chosen), labels=labels)


def _sample(root: str, key: str) -> ReadMasks:
    from mvideo_core.shards.dataset import MaskVideoDataset, read_info
    from mvideo_core.shards.files import DatasetFiles

    for split in read_info(DatasetFiles(root)).splits:
        dataset = MaskVideoDataset(root, split, members=("json", "masks", "txt"))
        places = [number for number, known in enumerate(dataset.keys) if known == key]
        if places:
            sample = dataset.sample(places[0])
            about = _described(sample.meta())
            return _kept(
                ReadMasks(sample.masks(), about.fps, about.labels, "dataset sample", sample.text), about.objects
            )
    raise ConfigError(f"{root}: no sample {key!r}; index.parquet has all keys in its column `key`")


def _folder(place: Path) -> ReadMasks:
    if (place / "dataset.json").is_file():
        raise ConfigError(f"{place}: a dataset; name one of its samples: {place}#KEY")
    about = _read_sidecar(place / "masks.json") if (place / "masks.json").is_file() else _Sidecar()
    return ReadMasks(png_folder.read(place), about.fps, about.labels, "png folder")


def _write_folder(place: Path, sequence: MaskSequence, about: dict[str, Any]) -> None:
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise ConfigError(f"{place}: there already, and PNGs are not mixed with what it holds; choose another name")
    work = place.with_name(f".{place.name}.tmp")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    png_folder.write(work, sequence)
    _write_json(work / "masks.json", about)
    if place.exists():
        place.rmdir()
    work.rename(place)


def _replaced(place: Path, write: Callable[[Path], object]) -> None:
    """Writes beside the place and renames into it."""
    if place.is_dir():
        raise ConfigError(f"{place}: a folder; a file name wanted")
    place.parent.mkdir(parents=True, exist_ok=True)
    work = place.with_name(f".{place.stem}.tmp{place.suffix}")
    try:
        write(work)
        work.replace(place)
    finally:
        work.unlink(missing_ok=True)


def _write_json(file: Path, value: dict[str, Any]) -> None:
    _replaced(file, lambda work: work.write_text(json.dumps(value, ensure_ascii=False) + "\n", encoding="utf-8"))


def _named(labels: tuple[str, ...], n_objects: int, path: str | Path) -> tuple[str, ...]:
    if labels and len(labels) != n_objects:
        raise MediaError(f"{path}: {len(labels)} labels for {n_objects} objects")
    return labels or ("",) * n_objects

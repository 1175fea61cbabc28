"""The content of a mask file decides how it is read; the extension of its name decides how it is written.

| Form | Written as | Frame rate and object names |
|---|---|---|
| `.masks`, this project's codec | the same | `<file>.json` next to it, or the `.json` of an extracted dataset sample |
| `.npz`: an array `masks`, or a single array of any name | (T, N, H, W) bool | arrays `fps`, `labels` |
| `.npy` | not written | `<file>.json` |
| video: gray, black and white, or with alpha | lossless gray `.mp4` | the container; names in `<file>.json` |
| folder of images, one per frame | PNG, if the name has no extension | `masks.json` inside |
| one image: PNG, JPEG, BMP, TIFF, WebP, EXR | not written | `<file>.json` |
| `DATASET#KEY`, a sample of a finished dataset | not written | the sample's own |

The JSON files look like `{"fps": 8, "labels": ["horse", "dog"]}`. A file without a frame rate needs `--fps`. Videos and
images cannot hold overlapping objects: the later object covers the earlier one, with a warning. Files get their final
name only when complete; the same masks give the same bytes.

How values are read:

- **Black and white**: pixels brighter than 50% gray are the object.
- **Object numbers** (small integers, palette indices as in DAVIS): value n is object n - 1; 255 in a palette means no
  object.
- **Colors**: each flat color on black is one object; objects are sorted by hex code.
- **Folders**: the number in a file's name is its frame number. Missing numbers are an error.
- **Arrays**: (T, H, W), (T, N, H, W) or (T, H, W, 1); bool, integers or fractions. Logits (negative values) are
  refused: store `logits > 0`.

Ambiguous input is refused, and the message lists the [values of `--as`](docs/reference/masks.md#ambiguous-masks) to
choose from.
"""

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mvideo_core.base.disk import new_file, new_folder
from mvideo_core.base.errors import ConfigError, MediaError
from mvideo_core.base.listing import exists
from mvideo_core.base.unicode import is_unicode
from mvideo_core.editing.presence import check_read
from mvideo_core.masks import MaskSequence, from_bytes
from mvideo_core.masks.io import arrays, gray_video, picture_folder
from mvideo_core.masks.io.clip import MaskClip, invert
from mvideo_core.masks.io.label_maps import check_maps
from mvideo_core.masks.io.mask_form import MaskForm
from mvideo_core.masks.io.mask_frames import Read
from mvideo_core.masks.io.picture_file import is_picture
from mvideo_core.media.files import open_regular, sniff

log = logging.getLogger(__name__)

MAX_FPS = 1000.0
MAX_SIDECAR_BYTES = 1 << 20
WRITTEN = (".masks", ".npz", ".mp4", "no extension (a folder of PNGs)")
READ = ".masks, .npz, .npy, a folder of pictures or one of them, a mask video, DATASET#KEY"


class ReadMasks(NamedTuple):
    """The contents of a file; `fps` is None and `labels` () if the file does not have them.

    `caption` is set only for dataset samples.
    """

    sequence: MaskSequence
    fps: float | None
    labels: tuple[str, ...]
    kind: str
    caption: str = ""


def load_masks(path: str | Path, fps: float | None = None, form: MaskForm = MaskForm()) -> MaskClip:
    """The masks of a file, folder or dataset sample.

    Args:
        path: see the module's table.
        fps: frames per second; overrides the file's.
        form: how to read ambiguous files.

    Raises:
        ConfigError: no such path, or unknown frame rate: pass `fps`.
        MediaError: not masks, damaged, beyond the limits, without a frame or an object, or ambiguous.
    """
    return clip_of(read_masks(path, form), path, fps)


def clip_of(found: "ReadMasks", path: str | Path, fps: float | None = None) -> MaskClip:
    """What was read, with a frame rate.

    Raises:
        ConfigError: the rate is unknown. MediaError: no frame, or no object.
    """
    n_frames, n_objects = found.sequence.shape[:2]
    if not n_frames or not n_objects:
        raise MediaError(f"{path}: {n_frames} frames of {n_objects} objects; nothing to use")
    rate = fps if fps is not None else found.fps
    if rate is None:
        raise ConfigError(
            f"{path}: it does not store its frame rate; set it (--fps, fps=..., or with generate --set source.fps=...)"
        )
    check_fps(rate, path)
    return MaskClip(found.sequence, rate, found.labels or ("",) * n_objects)


def check_fps(fps: float, path: str | Path) -> None:
    """Raise ConfigError unless it is a frame rate; `path` starts the message."""
    if not 0 < fps <= MAX_FPS:
        raise ConfigError(f"{path}: {fps:g} frames per second; expected above 0 and at most {MAX_FPS:g}")


def read_masks(path: str | Path, form: MaskForm = MaskForm()) -> ReadMasks:
    """As `load_masks`, with the metadata that the file has, if any.

    Raises:
        ConfigError: no such path. MediaError: not masks, damaged, or ambiguous.
    """
    found = _read(str(path), form)
    check_labels(found.labels, found.sequence.n_objects, path)
    check_read(found.sequence, found.labels, str(path))
    return found


def _read(text: str, form: MaskForm) -> ReadMasks:
    root, mark, key = text.rpartition("#")
    if mark and not exists(text):
        return _apply_form(_sample(root, key), form, text)
    place = Path(text)
    if not exists(place):
        raise ConfigError(f"{place}: no such file or folder")
    if place.is_dir():
        return _folder(place, form)
    if not place.is_file():
        raise ConfigError(f"{place}: no such file or folder")
    with place.open("rb") as stream:
        head = stream.read(12)
    if head[:4] == b"MVMS":
        try:
            sequence = from_bytes(place.read_bytes())
        except MediaError as error:
            raise MediaError(f"{place}: {str(error).removeprefix('mask file: ')}") from None
        sidecar = _sidecar(place)
        kept = _drop_rejected(ReadMasks(sequence, sidecar.fps, sidecar.labels, "masks"), sidecar.objects)
        return _apply_form(kept, form, text)
    if form.joined:
        raise ConfigError(f"{place}: --as joined is for a folder of pictures; this is a file")
    if head[:4] == b"PK\x03\x04":
        read, fps = arrays.read_npz(place, form)
        return _add_sidecar(read, _Sidecar(fps), "npz")
    sidecar = _sidecar(place)
    if head[:6] == b"\x93NUMPY":
        return _add_sidecar(arrays.read_npy(place, form), sidecar, "npy")
    if form.layout:
        raise ConfigError(f"{place}: --as {form.layout} names the axes of an array (.npz, .npy); this file has none")
    if is_picture(head):
        return _add_sidecar(picture_folder.read(place, form, len(sidecar.labels)), sidecar, "one picture")
    if _is_video(place):
        read, fps = gray_video.read(place, form, len(sidecar.labels))
        return _add_sidecar(read, sidecar._replace(fps=fps), f"gray {place.suffix.lower().lstrip('.') or 'video'}")
    raise MediaError(f"{place}: not masks: it starts with {head!r}; supported: {READ}")


def _apply_form(found: ReadMasks, form: MaskForm, name: str) -> ReadMasks:
    """Masks in our own format, for which `--as` can only swap inside and outside."""
    if form.content == "inverted" and not (form.layout or form.joined):
        return found._replace(sequence=invert(found.sequence))
    if any(form):
        raise ConfigError(f"{name}: this format is unambiguous; only --as inverted is possible")
    return found


def _add_sidecar(read: Read, sidecar: "_Sidecar", kind: str) -> ReadMasks:
    labels = sidecar.labels or read.labels
    return ReadMasks(read.sequence, sidecar.fps, labels, f"{kind} ({read.form})" if read.form else kind)


def _is_video(place: Path) -> bool:
    with open_regular(place) as fd:
        try:
            return bool(sniff(fd))
        except MediaError:
            return False


def save_masks(path: str | Path, sequence: MaskSequence, fps: float, labels: Sequence[str] = ()) -> Path:
    """Write masks in the format of the name's extension; a name without one is a folder of PNGs.

    A file appears whole or not at all. PNG and mp4 keep one object per pixel: where objects overlap, the later one
    wins, and a warning says so.

    Raises:
        ConfigError: an unsupported extension, or `path` already exists as something else.
        MediaError: masks that the format cannot hold (odd sides in mp4, more than 127 objects in label maps).
        StoreError: disk error; nothing is left behind.
    """
    place = Path(path)
    names = check_labels(tuple(labels), sequence.n_objects, place)
    about = {"fps": fps, "labels": list(names)}
    if place.suffix == ".masks":
        _replace(place, lambda work: work.write_bytes(sequence.to_bytes()))
        _write_json(_sidecar_path(place), about)
    elif place.suffix == ".npz":
        _replace(place, lambda work: arrays.write(work, sequence, fps, names))
    elif place.suffix == ".mp4":
        check_maps(sequence, place)
        _replace(place, lambda work: gray_video.write(work, sequence, fps))
        _write_json(_sidecar_path(place), about)
    elif place.suffix == "":
        check_maps(sequence, place)
        _write_folder(place, sequence, about)
    else:
        raise ConfigError(f"{place}: masks are written as {', '.join(WRITTEN)}; use one of these extensions")
    return place


class _Sidecar(NamedTuple):
    fps: float | None = None
    labels: tuple[str, ...] = ()
    objects: tuple[tuple[str, bool], ...] | None = None
    """(label, kept) of each object, from a dataset sample's .json."""


def _sidecar_path(place: Path) -> Path:
    return place.with_name(place.name + ".json")


def _sidecar(place: Path) -> _Sidecar:
    """The description next to a file; the .json of an extracted sample counts too."""
    for file in (_sidecar_path(place), place.with_suffix(".json")):
        if file.is_file():
            return _read_sidecar(file)
    return _Sidecar()


def _read_sidecar(file: Path) -> _Sidecar:
    try:
        if file.stat().st_size > MAX_SIDECAR_BYTES:
            raise MediaError(f"{file}: {file.stat().st_size} bytes; too large for a description of masks")
        return _parse_sidecar(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise MediaError(
            f"{file}: not a description of masks ({error!r}); expected {{'fps': 8, 'labels': [...]}}"
        ) from None


def _parse_sidecar(meta: dict[str, Any]) -> _Sidecar:
    fps = None if meta.get("fps") is None else float(meta["fps"])
    if "objects" in meta:
        objects = tuple((str(one["label"]), bool(one.get("kept", True))) for one in meta["objects"])
        return _Sidecar(fps, tuple(label for label, _ in objects), objects)
    return _Sidecar(fps, tuple(str(label) for label in meta.get("labels", ())))


def _drop_rejected(found: ReadMasks, objects: tuple[tuple[str, bool], ...] | None) -> ReadMasks:
    """Drop the objects that the dataset's quality gate rejected."""
    if objects is None or len(objects) != found.sequence.n_objects:
        return found
    chosen = [number for number, (_, kept) in enumerate(objects) if kept]
    labels = tuple(objects[number][0] for number in chosen)
    return found._replace(sequence=found.sequence.select(chosen), labels=labels)


def _sample(root: str, key: str) -> ReadMasks:
    from mvideo_core.shards.dataset import MaskVideoDataset, read_info
    from mvideo_core.shards.files import DatasetFiles

    if Path(root).is_file():
        raise ConfigError(
            f"{root}#{key}: {root} is a file, not a dataset; to extract masks of {key!r} from a video: "
            f"mvideo masks extract {root} OUT -n {key}"
        )
    for split in read_info(DatasetFiles(root)).splits:
        dataset = MaskVideoDataset(root, split, members=("json", "masks", "txt"))
        places = [number for number, known in enumerate(dataset.keys) if known == key]
        if places:
            sample = dataset.sample(places[0])
            about = _parse_sidecar(sample.meta())
            return _drop_rejected(
                ReadMasks(sample.masks(), about.fps, about.labels, "dataset sample", sample.text), about.objects
            )
    raise ConfigError(f"{root}: no sample {key!r}; the column `key` of index.parquet lists all keys")


def _folder(place: Path, form: MaskForm) -> ReadMasks:
    if (place / "dataset.json").is_file():
        raise ConfigError(f"{place}: a dataset; choose one of its samples: {place}#KEY")
    if form.layout:
        raise ConfigError(f"{place}: --as {form.layout} names the axes of an array (.npz, .npy); this is a folder")
    about = _read_sidecar(place / "masks.json") if (place / "masks.json").is_file() else _Sidecar()
    return _add_sidecar(picture_folder.read(place, form, len(about.labels)), about, "picture folder")


def _write_folder(place: Path, sequence: MaskSequence, about: dict[str, Any]) -> None:
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise ConfigError(f"{place}: not empty, and PNGs are not mixed with its contents; use another name")
    with new_folder(place) as work:
        picture_folder.write(work, sequence)
        _write_json(work / "masks.json", about)


def _replace(place: Path, write: Callable[[Path], object]) -> None:
    if place.is_dir():
        raise ConfigError(f"{place}: a folder; expected a file name")
    with new_file(place) as work:
        write(work)


def _write_json(file: Path, value: dict[str, Any]) -> None:
    _replace(file, lambda work: work.write_text(json.dumps(value, ensure_ascii=False) + "\n", encoding="utf-8"))


def check_labels(labels: tuple[str, ...], n_objects: int, path: str | Path) -> tuple[str, ...]:
    """A name per object; none given: empty ones.

    Raises:
        MediaError: another number of names, or one that is not Unicode; `path` starts the message.
    """
    if labels and len(labels) != n_objects:
        raise MediaError(f"{path}: {len(labels)} labels for {n_objects} objects")
    if wrong := [label for label in labels if not is_unicode(label)]:
        raise MediaError(f"{path}: the label {wrong[0]!r} has half of a surrogate pair, which is no text; rename it")
    return labels or ("",) * n_objects

"""Folders of other formats as people have them: a fault is refused with its file and value, and no guess is stored."""

import json
import os
import shutil

import pytest

from mvideo_core.base.errors import ConfigError, MediaError, StoreError
from mvideo_core.curation.import_dataset import import_dataset, sample_key
from mvideo_core.shards.imports import IMPORTS
from mvideo_core.store.workspace import Workspace
from tests.mvideo_core.shards.exports.conftest import dataset, exported  # noqa: F401 - fixtures

FPS = {"davis": 8.0}
FOUR = ["v00_000000", "v00_000001", "v01_000000", "v01_000001"]


def listed(root, name):
    """Name -> sample, not opened yet."""
    return {one.name: one for one in IMPORTS.get(name)(FPS.get(name, 0.0)).samples(root)}


def change(path, edit):
    """Edit a JSON file, or the first line of a list."""
    first, _, rest = path.read_text(encoding="utf-8").partition("\n" if path.suffix == ".jsonl" else "\0")
    content = json.loads(first)
    edit(content)
    path.write_text(json.dumps(content) + ("\n" + rest if rest else ""), encoding="utf-8")


def set_to(**fields):
    return lambda row: row.update(fields)


OF_A_SAMPLE = {
    "a caption that is a list": ("npz", set_to(text=["a"]), "`text` is ['a']"),
    "half a surrogate pair": ("npz", set_to(text="A dog \ud83d runs"), r"`text` is 'A dog \ud83d runs'"),
    "a label that is a list": ("huggingface", set_to(labels=[["a"], "b"]), "`labels` is ['a']"),
    "no list of labels": ("npz", set_to(labels="dog"), "`labels` are 'dog'"),
    "a time that is a word": ("huggingface", set_to(start_s="abc"), "`start_s` is 'abc'"),
    "an address that is a number": ("huggingface", set_to(source_url=7), "`url` is 7"),
    "a source that is a word": ("npz", set_to(source="x"), "`source` is 'x'"),
    "a time in a source": ("npz", set_to(source={"start_s": -1}), "`start_s` is -1"),
    "a rate that is a word": ("npz", set_to(fps="abc"), "`fps` is 'abc'"),
    "a rate that is not finite": ("npz", set_to(fps=float("nan")), "`fps` is nan"),
    "a rate unlike the file's": ("npz", set_to(fps=30), "`fps` is 30, but"),
    "objects without values": ("mask-mp4", set_to(objects=[{"value": "a", "label": "x"}]), "`objects`"),
}


@pytest.mark.parametrize("kind", OF_A_SAMPLE)
def test_a_bad_value_refuses_its_sample(exported, kind):  # noqa: F811
    name, edit, words = OF_A_SAMPLE[kind]
    root, _ = exported(name)
    path = root / "train" / "metadata.jsonl"
    change(path, edit)
    first, _ = [one for one in listed(root, name).values() if one.split == "train"]
    with pytest.raises(MediaError) as caught:
        first.load()
    assert words in str(caught.value)


def test_a_caption_that_is_null_is_none(exported):  # noqa: F811
    root, _ = exported("huggingface")
    change(root / "train" / "metadata.jsonl", set_to(text=None))
    key = json.loads((root / "train" / "metadata.jsonl").read_text().split("\n")[0])["key"]
    assert listed(root, "huggingface")[key].load().text == ""


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (set_to(key=None), "line 1: `key` is None"),
        (set_to(key="a\ud83d"), "line 1: `key` is 'a"),
        (set_to(file_name=5), "line 1: `file_name` is 5"),
    ],
)
def test_a_bad_name_refuses_the_list(exported, edit, words):  # noqa: F811
    root, _ = exported("huggingface")
    change(root / "train" / "metadata.jsonl", edit)
    with pytest.raises(ConfigError, match=words):
        listed(root, "huggingface")


SA_V = {
    "a frame that is a number": (lambda facts: facts["masklet"].__setitem__(2, 5), "not an SA-V annotation"),
    "endless frames": (set_to(video_frame_count=float("inf")), "not an SA-V annotation"),
    "a caption that is a number": (set_to(caption=5), "`caption` is 5"),
    "a time in the source": (set_to(source={"start_s": "abc"}), "`start_s` is 'abc'"),
}


@pytest.mark.parametrize("kind", SA_V)
def test_a_bad_sa_v_annotation_refuses_its_sample(exported, kind):  # noqa: F811
    edit, words = SA_V[kind]
    root, _ = exported("sa-v")
    change(root / "train" / "v00_000000_manual.json", edit)
    with pytest.raises(MediaError) as caught:
        listed(root, "sa-v")["v00_000000"].load()
    assert words in str(caught.value)


YOUTUBE_VIS = {
    "a rate that is a word": (lambda list_: list_["videos"][0].update(fps="abc"), "`fps` is 'abc'"),
    "a rate below 0": (lambda list_: list_["videos"][0].update(fps=-5), "`fps` is -5"),
    "two videos of one id": (lambda list_: list_["videos"][1].update(id=1), "two videos have the id 1"),
    "an id that is a list": (lambda list_: list_["videos"][0].update(id=[1]), "not a list of videos"),
    "a class without a name": (lambda list_: list_["categories"][0].update(name=3), "`name` is 3"),
}


@pytest.mark.parametrize("kind", YOUTUBE_VIS)
def test_a_bad_youtube_vis_list_is_refused(exported, kind):  # noqa: F811
    edit, words = YOUTUBE_VIS[kind]
    root, _ = exported("youtube-vis")
    place = root / "train" / "instances.json"
    change(place, edit)
    with pytest.raises(ConfigError) as caught:
        listed(root, "youtube-vis")
    assert words in str(caught.value)
    assert str(place) in str(caught.value)


@pytest.mark.parametrize("name", IMPORTS.names())
def test_hidden_files_and_folders_are_no_samples(exported, name):  # noqa: F811
    root, _ = exported(name)
    for path in [*root.rglob("*")]:
        if path.is_file() and not path.name.startswith("."):
            (path.parent / f"._{path.name}").write_bytes(b"\0\x05\x16\x07")
    if name == "davis":
        for kind in ("Annotations", "JPEGImages"):
            (root / kind / "480p").rename(root / kind / "720p")
            (root / kind / ".Trash").mkdir()
        (root / "Annotations" / "720p" / ".ipynb_checkpoints").mkdir()
    else:
        shutil.copytree(root / "train", root / ".Trash")
    found = listed(root, name)
    assert sorted(found) == FOUR
    assert found["v00_000000"].load().masks.n_frames == 9


def test_a_davis_sequence_in_lists_of_both_splits_is_held_out(exported):  # noqa: F811
    root, _ = exported("davis")
    lists = root / "ImageSets" / "2017"
    (lists / "test.txt").write_text("v00_000000\n")  # sorted before train.txt
    assert [name for name, one in listed(root, "davis").items() if one.split == "train"] == ["v00_000001"]
    (lists / "test.txt").write_text("../../../../etc\n")
    with pytest.raises(MediaError, match="leads out of"):
        listed(root, "davis")["../../../../etc"].load()


def test_a_name_that_is_not_utf_8_becomes_a_key():
    assert sample_key(os.fsdecode(b"caf\xe9")).startswith("caf-")


def test_a_source_that_changed_is_not_taken_for_the_imported_one(exported, tmp_path):  # noqa: F811
    """Names and splits are the same, and so is the number of bytes."""
    root, _ = exported("npz")
    workspace = Workspace(str(root / "ws"))
    done = import_dataset(root, workspace, "npz")
    assert import_dataset(root, workspace, "npz") == done, "the workspace is below the source"
    path = root / "train" / "metadata.jsonl"
    path.write_text(path.read_text().replace("moves to the right", "moves to the left!"))
    with pytest.raises(StoreError, match=r"another import \(npz, source .*; other files\); use another folder"):
        import_dataset(root, workspace, "npz")

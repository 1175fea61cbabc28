"""Files that are damaged, or of another form than they seem, are one line of ours: never a traceback, never a guess.

One row per reader: what is in the file, which error comes, and words of its message.
"""

import gzip
import importlib
import io
import zipfile

import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError, MediaError, ModelError, StoreError

LATIN1 = "é".encode("latin-1")


def reader(module, name, folder=False):
    """A function of the project, imported when it is called, with the file or its folder."""

    def read(path):
        return getattr(importlib.import_module(f"mvideo_core.{module}"), name)(path.parent if folder else path)

    return read


yaml_file = reader("base.options", "read_yaml")
detector_config = reader("perception.detection.groundingdino", "read_arch", folder=True)
model_config = reader("cogvideox.base", "read_json")
npz_masks = reader("masks.io.arrays", "read_npz")
held_out = reader("evaluation.testsets.samples", "read_test_set")
world_truth = reader("miniworld.world.truth", "read_truth")
vbench_scores = reader("evaluation.vbench_backend", "read_vbench")
sam2_checkpoint = reader("perception.segmentation.sam2_build", "read_checkpoint")
metric_checkpoint = reader("evaluation.networks.checkpoint", "read_checkpoint")
metrics_lines = reader("training.callbacks.metrics", "read_metrics", folder=True)
wandb_note = reader("training.callbacks.trackers", "_read_note")
weights_index = reader("cogvideox.weights_digest", "_weight_files", folder=True)
prompts = reader("evaluation.make_videos", "read_prompts")


def hf_detector_config(path):
    from mvideo_core.perception.detection.transformers_groundingdino import TransformersGroundingDino

    return TransformersGroundingDino._check_type(path.parent)


def finished_clips(path):
    from mvideo_core.generation.output import OutputFolder

    return OutputFolder(path.parent.parent, "request")


def last_clip(path):
    from mvideo_core.generation.output import OutputFolder

    return OutputFolder(path.parent.parent, "request").last_clip()


def merges(path):
    from mvideo_core.evaluation.networks.clip_tokenizer import ClipTokenizer

    return ClipTokenizer.from_file(path)


def lengthened(path):
    from mvideo_core.evaluation.make_videos import with_lengthened
    from mvideo_core.evaluation.manifest import EvalItem

    return with_lengthened([EvalItem(id="a", system="s", prompt="a dog")], path)


def listed(path):
    from mvideo_core.curation.ingest.sources import SourceOptions, list_sources

    return list(list_sources(SourceOptions(manifest=str(path))))


def dataset_info(path):
    from mvideo_core.shards.dataset import read_info
    from mvideo_core.shards.files import DatasetFiles

    return read_info(DatasetFiles(str(path)))


def broken_gzip():
    """Whole header and trailer, damaged in the middle: the decompressor stops, not the file."""
    packed = bytearray(gzip.compress(b"#version\n" + b"a b\n" * 500, mtime=0))
    packed[12:40] = b"\xff" * 28
    return bytes(packed)


def encrypted_npz():
    """An archive whose member says that it is encrypted, as password-protected ones do."""
    buffer, array = io.BytesIO(), io.BytesIO()
    np.save(array, np.zeros((1, 1, 2, 2), np.bool_))
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("masks.npy", array.getvalue())
    content = bytearray(buffer.getvalue())
    content[6] |= 1  # general purpose flag of the local header
    content[content.rindex(b"PK\x01\x02") + 8] |= 1  # and of the directory
    return bytes(content)


ROWS = {
    "options in Latin-1": (yaml_file, "o.yaml", b"a: " + LATIN1, ConfigError, "UTF-8"),
    "options with a key twice": (
        yaml_file,
        "o.yaml",
        b"cut: {a: 1}\nfps: 8\ncut: {b: 2}\n",
        ConfigError,
        "'cut' is given twice",
    ),
    "options with a date that is none": (
        yaml_file,
        "o.yaml",
        b"when: 2026-13-45\n",
        ConfigError,
        "not valid YAML: month",
    ),
    "options that end in a list": (yaml_file, "o.yaml", b"a: [1\n", ConfigError, "line 2, column 1"),
    "detector config of bytes": (detector_config, "config.json", LATIN1, ModelError, "config.json"),
    "transformers config that is a list": (hf_detector_config, "config.json", b"[1]", ModelError, "config.json"),
    "model config of bytes": (model_config, "config.json", LATIN1, ModelError, "cannot be read"),
    "note of clips that is a list": (finished_clips, "clips/done.json", b"[]", StoreError, "--overwrite"),
    "last frames cut short": (last_clip, "clips/last.npz", b"PK\x03\x04", StoreError, "--overwrite"),
    "last frames empty": (last_clip, "clips/last.npz", b"", StoreError, "--overwrite"),
    "merges damaged in the middle": (merges, "bpe.txt.gz", broken_gzip(), ModelError, "fetch it again"),
    "masks in an encrypted archive": (npz_masks, "m.npz", encrypted_npz(), MediaError, "encrypted"),
    "test set of bytes": (held_out, "t.json", LATIN1, ConfigError, "not a test set"),
    "truth of bytes": (world_truth, "t.json", LATIN1, MediaError, "not a truth file"),
    "VBench scores that are a folder": (vbench_scores, "s.json/x", b"", ConfigError, "VBench"),
    "checkpoint of a future pickle": (sam2_checkpoint, "m.pt", b"\x80\xc8", ModelError, "m.pt"),
    "metric's checkpoint of a future pickle": (metric_checkpoint, "m.pth", b"\x80\xc8", ModelError, "m.pth"),
    "metrics with a damaged line": (
        metrics_lines,
        "metrics.jsonl",
        b'{"step": 1}\n\0\0\0\n{"step": 3}\n',
        StoreError,
        "metrics.jsonl:2",
    ),
    "W&B note cut short": (wandb_note, "wandb.json", b'{"id": "a', StoreError, "delete it"),
    "index of weights without a map": (
        weights_index,
        "m.safetensors.index.json",
        b'{"metadata": {}}',
        ModelError,
        "weight_map",
    ),
    "prompt that is null": (prompts, "p.json", b'{"prompts": [{"prompt": null}]}', ConfigError, "None is not a string"),
    "longer text that is a number": (lengthened, "p.json", b'{"a dog": 3}', ConfigError, "3 is not a string"),
    "list with a path that has a comma": (listed, "l.csv", b"path\na,b.mp4\n", ConfigError, "l.csv:2"),
    "list with an id that is a number": (
        listed,
        "l.jsonl",
        b'{"path": "a.mp4", "video_id": 7}\n',
        ConfigError,
        "video_id is 7",
    ),
    "dataset that is none": (dataset_info, "hosts", b"", StoreError, "hosts"),
}


@pytest.mark.parametrize("row", ROWS)
def test_a_damaged_file_is_one_line(tmp_path, row):
    reader, name, content, kind, words = ROWS[row]
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(kind) as caught:
        reader(path.parent if name.endswith("/x") else path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_lists_in_latin1_name_their_files(tmp_path):
    """Names of files are bytes; a list may hold them as they are."""
    (tmp_path / "l.jsonl").write_bytes(b'{"path": "a' + LATIN1 + b'.mp4"}\n')
    (tmp_path / "l.csv").write_bytes(b"path\na" + LATIN1 + b".mp4\n")
    assert listed(tmp_path / "l.jsonl")[0].video_id == listed(tmp_path / "l.csv")[0].video_id


def test_a_line_separator_in_a_title_ends_no_line(tmp_path):
    (tmp_path / "l.jsonl").write_text('{"path": "a.mp4", "title": "one\u2028two\u0085three"}\n', encoding="utf-8")
    assert [item.title for item in listed(tmp_path / "l.jsonl")] == ["one\u2028two\u0085three"]


def test_hidden_files_of_macos_are_no_cards(tmp_path):
    """AppleDouble files beside copied cards, profiles and entries are bytes that no reader can make sense of."""
    from mvideo_core.evaluation.testsets.cards import read_cards

    (tmp_path / "._wild.yaml").write_bytes(b"\0\x05\x16\x07" + LATIN1)
    assert read_cards(tmp_path) == {}


def test_a_damaged_line_of_the_download_archive_is_named(tmp_path, caplog):
    from mvideo_core.curation.ingest.download import read_archive

    lines = ['{"video_id": "a", "status": "ok"}', "[1]", '{"video_id": "b"}', '{"video_id": "c", "sta']
    (tmp_path / "archive.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert read_archive(tmp_path / "archive.jsonl") == {"a": "ok"}
    assert len([record for record in caplog.records if "is damaged" in record.message]) == 3

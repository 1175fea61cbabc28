"""Broken and doubtful masks at the command line: one line each, the exit code, seconds, nothing of other libraries."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mvideo_core.cli import main
from mvideo_core.editing.mask_files import load_masks, save_masks
from mvideo_core.masks import encode
from mvideo_core.media.encode import write_mp4
from tests.mvideo_core.editing.written_masks import boxes, painted, write_exr, write_pictures, write_video

N_FRAMES = 97
ADVICE = ("Traceback", "allow_pickle", "max_header_size", "weights_only", "pip install", 'File "')


def draw_masks(root):
    """Write everything the table names into a folder."""
    pair = np.concatenate([boxes()] * 20)[:N_FRAMES]
    save_masks(root / "pair.masks", encode(pair), 8, ("dog", "cat"))
    save_masks(root / "empty.masks", encode(np.zeros((9, 1, 32, 48), bool)), 8)
    dotted = boxes()
    dotted[:, 1] = False
    dotted[:, 1, 20, 20] = True
    save_masks(root / "dotted.masks", encode(dotted), 8, ("box", "dot"))
    large = painted(85, 170).repeat(4, axis=1).repeat(4, axis=2)
    write_video(root / "levels.mp4", large, crf=23)
    write_mp4(np.random.default_rng(0).integers(0, 255, (2, 32, 48, 3), np.uint8), root / "film.mp4", 8)
    write_pictures(root / "gap", painted(255, 255)[:3], names=["0000", "0004", "0009"])
    write_pictures(root / "steps", painted(255, 255)[:3], names=["0000", "0004", "0008"])
    write_pictures(root / "void", painted(1, 255))
    write_pictures(root / "sticker", painted((255, 0, 0, 255), (0, 0, 255, 255)))
    write_pictures(root / "inverted", 255 - painted(255, 0))
    write_pictures(root / "sizes", painted(255, 255)[:1])
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(root / "sizes" / "00001.png")
    write_pictures(root / "cut", painted(255, 255)[:1])
    (root / "cut" / "00000.png").write_bytes((root / "cut" / "00000.png").read_bytes()[:60])
    (root / "exr").mkdir()
    write_exr(root / "exr" / "1.exr", np.full((32, 48), np.inf, np.float32))
    np.save(root / "objects_first.npy", boxes().transpose(1, 0, 2, 3))
    np.save(root / "logits.npy", painted(7.5, -3.0, dtype=np.float32))
    np.save(root / "pickle.npy", np.array([{}], object), allow_pickle=True)
    np.savez(root / "two.npz", a=boxes(), b=boxes())
    (root / "huge_header.npy").write_bytes(b"\x93NUMPY\x02\x00" + b"\xff\xff\x00\x00" + b"{" * 65535)
    (root / "masks.json").write_text('{"size": [32, 48], "counts": "abc"}')


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with everything the table names."""
    root = tmp_path_factory.mktemp("masks")
    draw_masks(root)
    return root


TABLE = [
    # name, arguments (files of the folder by name), exit code, what the line says
    ("all pushed out", "edit pair.masks OUT --op 'translate: {x_frac: 5}'", 2,
     "object 0 (dog), object 1 (cat): in 0 of 97 frames after the edits"),
    ("all shrunk away", "edit pair.masks OUT --op 'scale: {factor: 0.0001}'", 2,
     "nothing is left to write"),
    ("one pushed out", "edit pair.masks OUT --op 'translate: {x_frac: 5, objects: [0]}'", 3,
     "object 0 (dog) is in 0 of 97 frames after the edits"),
    ("mostly pushed out", "edit pair.masks OUT --op 'translate: {x_frac: [[0, 0], [1, 5]], objects: [0]}'", 3,
     "object 0 (dog) is in 2 of 97 frames after the edits"),
    ("a layer pushed out", "combine OUT pair.masks 'pair.masks: {edits: [{translate: {x_frac: 5}}]}'", 2,
     "in 0 of 97 frames after the edits"),
    ("a layer hidden by its copy", "combine OUT pair.masks pair.masks", 3,
     "object 0 (dog) is in 0 of 97 frames of the combined picture"),
    ("lost on the grid", "resample dotted.masks OUT --size 16x16 --clip-frames 9 --clips 1", 3,
     "object 1 (dot) is in 0 of 9 frames after resampling"),
    ("keep nothing", "edit pair.masks OUT --op 'keep: {objects: []}'", 2, "keep: an empty list keeps nothing"),
    ("keep an unknown name", "edit pair.masks OUT --op 'keep: {labels: [cow]}'", 2,
     "no object called cow; the names are: cat, dog"),
    ("empty masks", "edit empty.masks OUT --op mirror", 2, "no object is in any frame of the masks"),
    ("empty masks looked at", "info empty.masks", 3, "the masks are empty in all of 9 frames"),
    ("a gap in the numbers", "convert gap OUT --fps 8", 1,
     "7 frames are missing between 0000.png and 0009.png: 1-3, 5-8"),
    ("every fourth frame", "convert steps OUT --fps 8", 1, "every 4th frame only"),
    ("two gray levels", "info levels.mp4", 1, "--as colors reads each level as an object"),
    ("a film", "info film.mp4", 1, "film.mp4#NAME"),
    ("numbers and void", "info void", 1, "--as labels reads value n as object n - 1"),
    ("colors on a transparent ground", "info sticker", 1, "--as alpha all of them as one object"),
    ("inverted", "info inverted", 3, "covers 96 % of the picture on average: inverted"),
    ("two sizes", "info sizes", 1, "frame 1 00001.png is 8x8 px, the first is 48x32"),
    ("a picture cut off", "info cut", 1, "00000.png: not a readable picture"),
    ("infinite EXR", "info exr", 1, "1.exr: non-finite values"),
    ("objects before frames", "info objects_first.npy", 1, "--as NTHW reads 2 objects in 5 frames"),
    ("logits", "info logits.npy", 1, "values from -3 to 7.5"),
    ("a pickle", "info pickle.npy", 1, "Python objects (a pickle), which are never loaded"),
    ("a huge header", "info huge_header.npy", 1, "the header of array"),
    ("two arrays", "info two.npz", 1, "no array `masks`, and not exactly one other array"),
    ("another kind of file", "info masks.json", 1, "not masks: it starts with b'{\"size\": [32'"),
    ("nothing there", "info gone.masks", 2, "no such file or folder"),
    ("a word of --as", "info gap --as tints", 2, "'tints' is unknown"),
]  # fmt: skip


def words_of(arguments: str, place, out) -> list[str]:
    """The table's line as arguments: files by their path."""
    import shlex

    arguments = arguments.replace("'pair.masks: {", f"'{place}/pair.masks: {{")
    words = [str(out) if word == "OUT" else word for word in shlex.split(arguments)]
    return ["masks", words[0], *(str(place / word) if (place / word).exists() else word for word in words[1:])]


@pytest.mark.parametrize(("arguments", "code", "line"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_each_prints_one_line(place, tmp_path, monkeypatch, capsys, caplog, arguments, code, line):
    out = tmp_path / "out.masks"
    monkeypatch.setattr(sys, "argv", ["mvideo", *words_of(arguments, place, out)])
    started = time.monotonic()
    with pytest.raises(SystemExit) as ended:
        main.main()
    said = capsys.readouterr().err
    warnings = "".join(f"{record.getMessage()}\n" for record in caplog.records if record.levelname == "WARNING")
    assert ended.value.code == code, said + warnings
    assert line in (warnings if code == 3 else said)
    assert len(said.strip().splitlines()) <= 1 or code == 3, said
    assert not [advice for advice in ADVICE if advice in said + warnings]
    assert out.exists() == (code == 3 and "OUT" in arguments)
    assert time.monotonic() - started < 30  # milliseconds on a quiet machine


@pytest.mark.parametrize("name", ["one pushed out", "a pickle", "a gap in the numbers"])
def test_the_same_from_a_shell(place, tmp_path, name):
    arguments, code, line = next(row[1:] for row in TABLE if row[0] == name)
    command = [sys.executable, "-m", "mvideo_core.cli.main", *words_of(arguments, place, tmp_path / "out.masks")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr
    assert line in done.stderr


def test_info_extracts_from_a_video_as_every_command_does(place, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["mvideo", "masks", "info", f"{place}/film.mp4#dog"])
    with pytest.raises(SystemExit):
        main.main()
    assert "not found in the first 0.25 s: 'dog'" in capsys.readouterr().err  # a film of noise


def test_what_was_settled_once_is_kept(place, tmp_path):
    run = CliRunner()
    done = run.invoke(main.app, ["masks", "convert", f"{place}/levels.mp4", f"{tmp_path}/a.masks", "--as", "colors"])
    assert done.exit_code == 0, done.output
    assert load_masks(tmp_path / "a.masks").sequence.n_objects == 2
    layer = f"{place}/levels.mp4: {{read_as: colors, tail: hold}}"
    done = run.invoke(main.app, ["masks", "combine", f"{tmp_path}/b.npz", f"{place}/pair.masks", layer])
    assert load_masks(tmp_path / "b.npz").sequence.n_objects == 4


def test_generate_refuses_empty_masks_before_it_loads_a_model(place, tmp_path, monkeypatch, capsys):
    for masks, more, line in (
        ("empty.masks", [], "empty masks: 1 objects in 0 of 9 frames"),
        ("pair.masks", ["--op", "translate: {x_frac: 5}"], "in 0 of 97 frames after the edits"),
        ("pair.masks", ["--set", "options.objects=[2]"], "objects [2] are not in the masks"),
        ("levels.mp4", [], "--as colors reads each level as an object"),
    ):
        words = [
            "generate",
            "--out",
            tmp_path / "out",
            "--prompt",
            "a",
            "--masks",
            place / masks,
            "--base",
            "mini",
            *more,
        ]
        monkeypatch.setattr(sys, "argv", ["mvideo", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main.main()
        said = capsys.readouterr().err
        assert ended.value.code in (1, 2)
        assert line in said
        assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_description_names_the_objects_of_pictures(place, tmp_path):
    folder = write_pictures(tmp_path / "a", painted(1, 2))
    (folder / "masks.json").write_text(json.dumps({"fps": 8, "labels": ["dog", "cat"]}))
    done = CliRunner().invoke(main.app, ["masks", "info", str(folder)])
    assert "picture folder (object numbers): 5 frames of 48x32, 8 fps, 0.62 s, 2 objects" in done.output

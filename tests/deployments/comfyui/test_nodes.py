"""The nodes as ComfyUI loads, checks and executes them, with the shipped mini models."""

import inspect
import json
import sys
from itertools import islice
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

import mvideo.deployments.comfyui
from mvideo.deployments.comfyui._host import _module
from mvideo.deployments.comfyui.video_nodes import _name
from mvideo_core.base.errors import ConfigError
from mvideo_core.curation.import_dataset import import_dataset
from mvideo_core.editing.mask_files import load_masks, save_masks
from mvideo_core.generation.options import GenerateOptions
from mvideo_core.masks import encode
from mvideo_core.masks.io.clip import MaskClip
from mvideo_core.masks.measure import pixel_iou
from mvideo_core.media.decode import read_clip
from mvideo_core.media.encode import write_gray_mp4, write_mp4
from mvideo_core.miniworld.world.source import render_source, sample_source
from mvideo_core.store.workspace import Workspace
from tests.deployments.comfyui.stand_in import ComfyUI, Refused

FOLDER = Path(mvideo.deployments.comfyui.__file__).parent
T, H, W = 33, 64, 96
TYPES = {"IMAGE", "MASK", "STRING", "FLOAT", "MVIDEO_MASKS", "MVIDEO_MODEL"}


class Bar:
    """comfy.utils.ProgressBar."""

    steps: list[tuple[int, int]] = []

    def __init__(self, total):
        self.total = total

    def update_absolute(self, value, total=None):
        Bar.steps.append((value, total))


@pytest.fixture
def comfy(tmp_path, monkeypatch):
    """ComfyUI with our folder linked into custom_nodes, and its own modules."""
    for name in ("custom_nodes", "input", "output"):
        (tmp_path / name).mkdir()
    (tmp_path / "custom_nodes" / "mvideo").symlink_to(FOLDER)
    stopped = SimpleNamespace(throw_exception_if_processing_interrupted=lambda: None)
    for name, members in {
        "folder_paths": {
            "get_input_directory": lambda: str(tmp_path / "input"),
            "get_output_directory": lambda: str(tmp_path / "output"),
        },
        "comfy": {}, "comfy.utils": {"ProgressBar": Bar}, "comfy.model_management": vars(stopped),
    }.items():  # fmt: skip
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    Bar.steps = []
    return ComfyUI(tmp_path / "custom_nodes")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """One clip of 33 frames: a square of 16 px that moves by 2 px per frame."""
    root = tmp_path_factory.mktemp("pairs")
    for name in ("videos", "masks"):
        (root / name).mkdir()
    maps = np.zeros((T, H, W), np.uint8)
    for t in range(T):
        maps[t, 24:40, 2 * t : 2 * t + 16] = 255
    write_mp4([np.repeat(one[..., None], 3, 2) // 2 for one in maps], root / "videos" / "walk.mp4", 8)
    write_gray_mp4(maps, root / "masks" / "walk.mp4", 8)
    return import_dataset(root, Workspace(str(root / "ws")), "mask-mp4").root


def node(kind, **inputs):
    return {"class_type": f"MVideo{kind}", "inputs": inputs}


def test_every_node_keeps_the_contract(comfy):
    ours = {name: one for name, one in comfy.nodes.items() if name.startswith("MVideo")}
    assert len(ours) == 12 == len(comfy.names)
    for name, one in ours.items():
        types = one.INPUT_TYPES()
        assert set(types) <= {"required", "optional"}
        given = {**types["required"], **types.get("optional", {})}
        assert one.CATEGORY == "MVideo"
        assert one.DESCRIPTION
        assert len(one.RETURN_TYPES) == len(one.RETURN_NAMES)
        assert set(one.RETURN_TYPES) <= TYPES
        arguments = inspect.signature(getattr(one, one.FUNCTION)).parameters
        assert list(arguments)[1:] != []
        assert {word for word in arguments if word != "self"} == set(given), name
        for word in types.get("optional", {}):
            assert arguments[word].default is not inspect.Parameter.empty, f"{name}.{word}"
        for kind, *rest in given.values():
            if isinstance(kind, list):
                assert rest[0]["default"] in kind
            else:
                assert kind in {*TYPES, "INT", "BOOLEAN"}
                assert (kind in {"INT", "FLOAT", "STRING", "BOOLEAN"}) == bool(rest)


def test_the_example_workflow_generates_a_long_video(comfy, dataset, tmp_path):
    workflow = json.loads((FOLDER / "example_workflows" / "long_video.json").read_text())
    prompt = comfy.prompt_of(workflow)
    number = {entry["class_type"]: key for key, entry in prompt.items()}
    prompt[number["MVideoLoadSample"]]["inputs"]["dataset"] = dataset
    prompt[number["MVideoSampler"]]["inputs"] |= {"steps": 1, "prompt": "a dog walks"}
    done = comfy.run(prompt)
    (images, path, fps), _ = done[number["MVideoSampler"]]
    assert images.shape == (T, H, W, 3)  # two clips of 17 frames that share one
    assert images.dtype == torch.float32
    assert 0 <= images.min() < images.max() <= 1
    assert fps == 8.0
    assert Path(path).is_relative_to(tmp_path / "output" / "mvideo" / "video")
    assert Bar.steps[-1] == (2, 2)
    saved = Path(done[number["MVideoSaveVideo"]][1]["text"][0])
    assert saved == tmp_path / "output" / "mvideo" / "horse_00001.mp4"
    assert np.abs(read_clip(saved) - images.numpy() * 255).mean() < 3
    masks = load_masks(done[number["MVideoSaveMasks"]][1]["text"][0])
    assert masks.sequence.n_objects == 2  # the walk, and its mirror image
    assert masks.sequence.shape == (T, 2, H, W)
    assert done[number["PreviewImage"]][1]["images"][0][1:3] == (H, W)
    n_runs = len(comfy.runs)
    assert comfy.run(prompt).keys() == done.keys()
    assert len(comfy.runs) == n_runs  # nothing has changed
    prompt[number["MVideoSaveVideo"]]["inputs"]["crf"] = 20
    again = comfy.run(prompt)
    assert comfy.runs[n_runs:] == ["MVideoSaveVideo"]
    assert again[number["MVideoSaveVideo"]][1]["text"][0].endswith("horse_00002.mp4")


def test_lines_of_a_text_field_end_at_newlines_alone(comfy):
    from mvideo.deployments.comfyui._tensors import lines

    assert lines("# two edits\r\nshift: {dx: 0.1}\r\n\n label a\u2028b \n") == ["shift: {dx: 0.1}", "label a\u2028b"]


def test_a_picture_that_changes_within_a_folder_of_masks_is_read_again(comfy, tmp_path):
    """A file that is overwritten leaves the size and time of its folder as they are."""
    from mvideo.deployments.comfyui._host import state_of

    picture = tmp_path / "masks" / "00000.png"
    picture.parent.mkdir()
    picture.write_bytes(b"one")
    before, folder = state_of(str(picture.parent)), picture.parent.stat()
    assert before == state_of(str(picture.parent)) != ""
    picture.write_bytes(b"three")
    assert picture.parent.stat().st_mtime_ns == folder.st_mtime_ns
    assert state_of(str(picture.parent)) != before
    assert state_of(str(tmp_path / "none")) == ""


def test_every_request_has_its_own_folder():
    loaded = SimpleNamespace(base_sha256="1", adapter_sha256="2")
    names = {
        _name(loaded, prompt, GenerateOptions(seed=seed), masks)
        for prompt in ("a", "b")
        for seed in (0, 1)
        for masks in (None, MaskClip(encode(np.ones((1, 1, 4, 4), bool)), 8.0, ("a",)))
    }
    assert len(names) == 8


def test_extraction_from_images_finds_the_object(comfy, tmp_path):
    spec = sample_source(5, "val", 0.0, 1)
    shown = list(islice(render_source(spec), 0, 13, 3))
    small = [cv2.resize(one.rgb, (320, 180), interpolation=cv2.INTER_AREA) for one in shown]
    images = torch.from_numpy(np.stack(small)).float() / 255
    inputs = {
        "objects": "elephant", "detector": "groundingdino", "detector_weights": "mini", "segmenter": "sam2",
        "segmenter_weights": "mini", "box_threshold": 0.3, "per_name": 3, "fps": 8.0,
    }  # fmt: skip
    with torch.inference_mode():
        (clip,) = comfy.nodes["MVideoExtractMasks"]().run(**inputs, images=images)
    assert (clip.sequence.n_frames, clip.sequence.height, clip.sequence.width) == (5, 180, 320)
    assert set(clip.labels) == {"elephant"}
    visible = shown[2].shots[0][2].visible.astype(np.uint8)
    true = [cv2.resize(one, (320, 180), interpolation=cv2.INTER_NEAREST) > 0 for one in visible]
    assert max(pixel_iou(clip.sequence.mask(2, 0), one) for one in true) > 0.7
    with pytest.raises(ConfigError, match="connect images, or name a video file; one of the two"):
        comfy.nodes["MVideoExtractMasks"]().run(**inputs)


def test_masks_and_comfyui_masks_convert_by_hand(comfy, tmp_path):
    masks = np.zeros((2, 2, 4, 6), bool)
    masks[0, 0, 1, 2] = masks[1, 1, 3, 5] = True
    save_masks(tmp_path / "input" / "two.masks", encode(masks), 12.0, ["a", "b"])
    prompt = {
        "1": node("LoadMasks", path="two.masks", fps=0, form=""),
        "2": node("MasksToMask", masks=["1", 0], objects="1"),
        "3": node("MaskToMasks", mask=["2", 0], fps=["2", 1], threshold=0.5, label="c"),
        "4": node("SaveMasks", masks=["3", 0], name="out/c.npz"),
        "5": node("PreviewMasks", masks=["1", 0], max_side_px=16),
        "6": {"class_type": "PreviewImage", "inputs": {"images": ["5", 0]}},
    }
    done = comfy.run(prompt)
    mask, fps = done["2"][0]
    assert (mask.shape, mask.dtype, fps) == ((2, 4, 6), torch.float32, 12.0)
    assert mask.nonzero().tolist() == [[1, 3, 5]]
    back = load_masks(tmp_path / "output" / "out" / "c_00001.npz")
    assert (back.fps, back.labels) == (12.0, ("c",))
    assert np.array_equal(back.sequence.pixels(), masks[:, 1:])
    assert done["6"][1] == {"images": [(2, 4, 6, 3)]}
    save_masks(tmp_path / "input" / "two.masks", encode(masks[:, ::-1].copy()), 12.0, ["a", "b"])
    assert comfy.run(prompt)["2"][0][0].nonzero().tolist() == [[0, 1, 2]]  # the file has changed


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"name": "../secret.masks"}, "expected a name below"),
        ({"name": "/etc/cron.d/x.masks"}, "expected a name below"),
        ({"name": " "}, "expected a name below"),
    ],
)
def test_a_workflow_writes_nothing_outside_the_output_folder(comfy, tmp_path, inputs, words):
    clip = MaskClip(encode(np.ones((1, 1, 4, 4), bool)), 8.0, ("a",))
    with pytest.raises(ConfigError, match=words):
        comfy.nodes["MVideoSaveMasks"]().run(clip, **inputs)
    assert not (tmp_path / "secret.masks").exists()


def test_wrong_links_and_values_are_refused_before_anything_runs(comfy, dataset):
    sample = node("LoadSample", dataset=dataset, key="", split="train")
    for wrong, words in [
        (
            node("SaveMasks", masks=["1", 0], name="a.masks"),
            r"received_type\(IMAGE\) mismatch input_type\(MVIDEO_MASKS",
        ),
        (node("SaveVideo", images=["1", 0], fps=0, name="a", crf=14), "fps: Value 0.0 smaller than min"),
        (node("SaveVideo", fps=8, name="a", crf=14), "images: Required input is missing"),
    ]:
        with pytest.raises(Refused, match=words):
            comfy.run({"1": sample, "2": wrong})
    assert comfy.runs == []
    with pytest.raises(ConfigError, match="no sample 'run' in split train"):
        comfy.nodes["MVideoLoadSample"]().run(dataset, "run", "train")
    with pytest.raises(ConfigError, match=r"objects '1 a': expected numbers"):
        comfy.nodes["MVideoMasksToMask"]().run(None, "1 a")


def test_a_comfyui_that_does_not_import_is_not_taken_for_none(tmp_path, monkeypatch):
    (tmp_path / "folder_paths_of_a_test.py").write_text("import yaml_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert _module("comfy_that_is_not_there.utils") is None
    with pytest.raises(ModuleNotFoundError, match="yaml_that_is_not_there"):
        _module("folder_paths_of_a_test")

"""Loading, strictness and the model folder of the package detector."""

import shutil

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from mvideo_core.base.errors import ModelError, StoreError
from mvideo_core.cli.main import app
from mvideo_core.perception.detection.arch import GroundingDinoArch
from mvideo_core.perception.detection.convert import save_transformers
from mvideo_core.perception.detection.groundingdino import (
    GroundingDinoDetector,
    GroundingDinoOptions,
    bert_tokenizer,
    build_groundingdino,
    preprocess,
    write_model_folder,
)
from mvideo_core.perception.detection.state import LEFTOVERS, find_shared_names, read_state
from mvideo_core.perception.detection.transformers_groundingdino import TransformersGroundingDino, TransformersOptions

FRAMES = np.random.default_rng(7).integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def vocab(tiny):
    return sorted(tiny.tokenizer.get_vocab(), key=tiny.tokenizer.get_vocab().get)


@pytest.fixture
def folder(tiny, vocab, tmp_path):
    write_model_folder(tmp_path / "tiny", tiny.model, tiny.arch, vocab, half=False)
    return tmp_path / "tiny"


def load(folder, **options):
    return GroundingDinoDetector.load(GroundingDinoOptions(weights=str(folder), **options))


def test_folder_round_trip_is_exact(tiny, folder):
    again = load(folder, score_floor=0.0)
    assert again.model_name == "groundingdino/tiny"
    assert len(again.weights_sha256) == 64
    for a, b in zip(tiny.detect(FRAMES, ["person", "car"]), again.detect(FRAMES, ["person", "car"]), strict=True):
        np.testing.assert_array_equal(a.scores, b.scores)
        np.testing.assert_array_equal(a.boxes_xyxy, b.boxes_xyxy)
        assert a.labels == b.labels


def test_half_precision_folder_is_half_the_size(tiny, vocab, folder, tmp_path):
    write_model_folder(tmp_path / "half", tiny.model, tiny.arch, vocab)
    full, half = ((p / "model.safetensors").stat().st_size for p in (folder, tmp_path / "half"))
    assert 0.49 < half / full < 0.52
    assert next(load(tmp_path / "half").model.parameters()).dtype == torch.float32


def test_score_floor_cuts_the_tail(tiny, folder):
    scores = tiny.detect(FRAMES, ["person"])[0].scores
    cut = float(np.median(scores))
    kept = load(folder, score_floor=cut).detect(FRAMES, ["person"])[0].scores
    np.testing.assert_array_equal(kept, scores[scores >= np.float32(cut)])


def test_official_checkpoint_layout(tiny, folder):
    """`.pth` with a "model" entry, "module." before every name and the two keys that nobody reads."""
    state = {f"module.{name}": value for name, value in tiny.model.state_dict().items()}
    state["module.bert.embeddings.position_ids"] = torch.arange(64)[None]
    state["module.label_enc.weight"] = torch.zeros(3, 256)
    (folder / "model.safetensors").unlink()
    torch.save({"model": state}, folder / "official.pth")
    found = load(folder, score_floor=0.0).detect(FRAMES, ["person", "car"])[0]
    np.testing.assert_array_equal(found.scores, tiny.detect(FRAMES, ["person", "car"])[0].scores)
    assert {"label_enc.weight", "bert.embeddings.position_ids"} == LEFTOVERS


def test_weights_that_do_not_fit_are_refused(tiny, folder):
    state = dict(tiny.model.state_dict())
    state["extra.weight"] = torch.zeros(1)
    state["feat_map.bias"] = torch.zeros(7)
    del state["transformer.level_embed"]
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "odd.pth")
    with pytest.raises(ModelError) as caught:
        load(folder)
    text = str(caught.value)
    assert "1 missing: transformer.level_embed" in text
    assert "1 unknown: extra.weight" in text
    assert "1 of different shape: feat_map.bias (7,) for (256,)" in text


def test_a_pickle_with_code_is_refused(folder):
    (folder / "model.safetensors").unlink()
    torch.save({"model": {"x": GroundingDinoArch}}, folder / "evil.pth")
    with pytest.raises(ModelError, match="not a plain checkpoint"):
        load(folder)


def test_damaged_or_absent_files_are_named(folder):
    (folder / "model.safetensors").write_bytes(b"\x00" * 40)
    with pytest.raises(ModelError, match=r"model.safetensors: not a safetensors file"):
        load(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"expected model\.safetensors or one .pth"):
        load(folder)
    shutil.rmtree(folder / "bert")
    with pytest.raises(ModelError, match=r"vocab.txt: missing"):
        load(folder)
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"config.json: missing"):
        load(folder)


def test_shared_box_head_is_saved_once(tiny, folder):
    shared = find_shared_names(tiny.model)
    assert shared["bbox_embed.1.layers.0.weight"] == shared["bbox_embed.0.layers.0.weight"]
    _, state = read_state(folder)
    assert sum("bbox_embed" in name for name in state) == 12  # decoder's and encoder's head: 3 layers, weight and bias


def test_narrow_model_runs():
    """The mini width: box code of the package is 512 wide whatever the model; gradients reach every parameter."""
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", "dog"]
    arch = GroundingDinoArch.tiny(8).model_copy(update={"hidden_dim": 64, "use_text_enhancer": False})
    model = build_groundingdino(arch, bert_tokenizer(vocab))
    out = model(torch.randn(1, 3, 64, 96), captions=["dog ."])
    assert out["pred_boxes"].shape == (1, 20, 4)
    with pytest.raises(ModelError, match="text enhancer is 256 wide"):
        build_groundingdino(arch.model_copy(update={"use_text_enhancer": True}), bert_tokenizer(vocab))


def test_resize_and_normalization_by_hand():
    arch = GroundingDinoArch(short_side_px=32, long_side_px=40)
    assert arch.size_for(480, 720) == (27, 40)  # 48 would exceed the long side
    assert GroundingDinoArch.swin_t().size_for(480, 720) == (800, 1200)
    grey = preprocess(np.full((1, 480, 720, 3), 255, np.uint8), arch, "cpu")
    assert grey.shape == (1, 3, 27, 40)
    np.testing.assert_allclose(
        grey[0, :, 3, 3], [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225], rtol=1e-5
    )


def test_the_command_converts_it_for_the_detector_of_transformers(folder, tmp_path):
    """Same boxes and scores; a model without a place in transformers, and a folder that is there, are refused."""
    assert CliRunner().invoke(app, ["weights", "convert", str(folder), str(tmp_path / "hf")]).exit_code == 0
    assert sorted(path.name for path in (tmp_path / "hf").iterdir()) == [
        "config.json",
        "model.safetensors",
        "vocab.txt",
    ]
    sizes = {"score_floor": 0.0, "short_side_px": 64, "long_side_px": 128}
    theirs = TransformersGroundingDino.load(TransformersOptions(weights=str(tmp_path / "hf"), **sizes))
    ours = load(folder, score_floor=0.0)
    for a, b in zip(ours.detect(FRAMES, ["person", "car"]), theirs.detect(FRAMES, ["person", "car"]), strict=True):
        np.testing.assert_allclose(np.sort(a.scores), np.sort(b.scores), atol=1e-4)
        assert sorted(a.labels) == sorted(b.labels)
    with pytest.raises(StoreError, match="already exists"):
        save_transformers(ours, tmp_path / "hf")
    with pytest.raises(ModelError, match="always has text enhancer and fusion layers"):
        save_transformers(GroundingDinoDetector.load(GroundingDinoOptions()), tmp_path / "mini")

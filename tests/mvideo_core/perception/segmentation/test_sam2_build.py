import hashlib
import json

import pytest
import torch
from safetensors.torch import save_file

from mvideo_core.base.errors import ModelError
from mvideo_core.engine.loaded_models import weights_digests
from mvideo_core.perception.segmentation import SEGMENTERS
from mvideo_core.perception.segmentation.sam2_build import build_predictor, load_predictor
from mvideo_core.perception.segmentation.sam2_video import Sam2Options, Sam2Segmenter, tiny_arch

BASE = "sam2.1_hiera_t"


@pytest.fixture(scope="module")
def network():
    return build_predictor(BASE, tiny_arch(), seed=7)


@pytest.fixture
def folder(network, tmp_path):
    """A model folder with fp16 weights."""
    (tmp_path / "config.json").write_text(json.dumps({"format": "sam2", "base": BASE, "overrides": tiny_arch()}))
    save_file({name: value.half() for name, value in network.state_dict().items()}, tmp_path / "model.safetensors")
    return tmp_path


def test_a_seed_repeats_and_leaves_the_generator_alone(network):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    again = build_predictor(BASE, tiny_arch(), seed=7)
    assert torch.equal(torch.get_rng_state(), before)
    for a, b in zip(network.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_folder_loads_strictly_and_in_fp32(network, folder):
    loaded, name, sha256 = load_predictor(folder)
    assert name == folder.name
    assert len(sha256) == 64
    assert not loaded.training
    for (key, a), (_, b) in zip(network.state_dict().items(), loaded.state_dict().items(), strict=True):
        assert b.dtype == torch.float32
        torch.testing.assert_close(b, a.half().float(), msg=key, atol=0, rtol=0)


def test_the_public_network_and_a_checkpoint_of_its_authors(tmp_path):
    public = build_predictor(BASE)
    assert sum(p.numel() for p in public.parameters()) == 38_962_498  # 39.0 M in the model's card
    assert (public.image_size, public.num_maskmem, public.max_obj_ptrs_in_encoder) == (1024, 7, 16)
    path = tmp_path / "mine.pt"
    torch.save({"model": public.state_dict()}, path)
    with pytest.raises(ModelError, match="set `arch`"):
        load_predictor(path)
    loaded, name, _ = load_predictor(path, arch=BASE, image_size=256)
    assert (name, loaded.image_size) == ("mine", 256)


def test_what_does_not_fit_is_refused(network, folder, tmp_path):
    state = {name: value.half() for name, value in network.state_dict().items()}
    missing = dict(state)
    del missing["no_obj_ptr"]
    save_file(missing, folder / "model.safetensors")
    with pytest.raises(ModelError, match="no_obj_ptr"):
        load_predictor(folder)
    save_file({**state, "extra": torch.zeros(1)}, folder / "model.safetensors")
    with pytest.raises(ModelError, match="extra"):
        load_predictor(folder)
    (folder / "model.safetensors").write_bytes(b"\x00" * 40)
    with pytest.raises(ModelError, match="safetensors"):
        load_predictor(folder)
    (folder / "config.json").write_text('{"format": "other"}')
    with pytest.raises(ModelError, match="format"):
        load_predictor(folder)
    with pytest.raises(ModelError, match="no SAM2 weights found"):
        load_predictor(tmp_path / "nothing")


def test_a_pickle_that_runs_code_is_not_run(tmp_path):
    import os
    import pickle

    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm"),)

    path = tmp_path / "sam2.1_hiera_tiny.pt"
    path.write_bytes(pickle.dumps({"model": Harm()}))
    with pytest.raises(ModelError, match="tensor checkpoint"):
        load_predictor(path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("overrides", [{"_target_": "os.system"}, {"memory_encoder": {"_target_": "os.system"}}])
def test_a_config_cannot_name_code(overrides):
    with pytest.raises(ModelError, match="_target_"):
        build_predictor(BASE, overrides)


def test_unknown_architectures_and_switches():
    with pytest.raises(ModelError, match="known: sam2"):
        build_predictor("sam3")
    with pytest.raises(ModelError, match="no_such_switch"):
        build_predictor(BASE, {**tiny_arch(), "no_such_switch": 1})


def test_segmenter_says_what_it_runs(folder):
    segmenter = Sam2Segmenter.load(Sam2Options(weights=str(folder)))
    assert segmenter.model_name == f"sam2/{folder.name}"
    assert len(segmenter.weights_sha256) == 64


@pytest.mark.parametrize("segmenter", ["sam2", "transformers-sam2"])
def test_a_run_takes_a_checkpoint_file_as_its_options_say(tmp_path, segmenter):
    file = tmp_path / "sam2.1_hiera_tiny.pt"
    file.write_bytes(b"weights")
    found = weights_digests(SEGMENTERS, segmenter, {"weights": str(file)}, "segmenter")
    assert found == {file.name: hashlib.sha256(b"weights").hexdigest()}

import numpy as np
import pytest
import torch

from mvideo_core.base.errors import MediaError, ModelError
from mvideo_core.perception.segmentation import SEGMENTERS
from mvideo_core.perception.segmentation.convert import to_transformers, transformers_state
from mvideo_core.perception.segmentation.sam2_build import PUBLIC, build_predictor
from mvideo_core.perception.segmentation.sam2_video import Sam2Segmenter, tiny_arch
from mvideo_core.perception.segmentation.transformers_sam2 import TransformersSam2Options, TransformersSam2Segmenter
from tests.mvideo_core.perception.segmentation.test_sam2_video import BOXES, HEIGHT, WIDTH, moving_squares


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize("n_frames", [3, 9])
def test_equals_the_package_on_converted_random_weights(n_frames):
    package, ours = Sam2Segmenter.tiny(seed=5), TransformersSam2Segmenter.tiny(seed=5)
    frames = moving_squares(n_frames)
    a = list(package.steps(frames, HEIGHT, WIDTH, BOXES))
    b = list(ours.steps(frames, HEIGHT, WIDTH, BOXES))
    assert len(a) == len(b) == n_frames
    for one, other in zip(a, b, strict=True):
        torch.testing.assert_close(other.logits, one.logits, atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(other.scores, one.scores, atol=1e-5, rtol=1e-4)
    assert a[-1].logits.abs().max() > 0.01


def test_every_weight_of_the_public_network_has_a_place():
    """The tiny public architecture, random weights: strict loading would fail on any name or shape."""
    network = build_predictor(PUBLIC[0], seed=1)
    model = to_transformers(network)
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in network.parameters())


def test_names_by_hand():
    value = torch.zeros(1)
    points = {f"sam_prompt_encoder.point_embeddings.{n}.weight": torch.full((1, 2), float(n)) for n in range(4)}
    state = {
        **points,
        "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix": value,
        "memory_encoder.mask_downsampler.encoder.10.weight": value,
        "sam_mask_decoder.output_hypernetworks_mlps.2.layers.1.bias": value,
        "image_encoder.trunk.blocks.0.mlp.layers.1.weight": value,
    }
    renamed = transformers_state(state)
    assert renamed["prompt_encoder.point_embed.weight"][:, 0].tolist() == [0, 1, 2, 3]
    assert "memory_encoder.mask_downsampler.layers.3.layer_norm.weight" in renamed
    assert "mask_decoder.output_hypernetworks_mlps.2.layers.0.bias" in renamed
    assert "vision_encoder.backbone.blocks.0.mlp.proj_out.weight" in renamed


def test_what_transformers_cannot_do_is_refused():
    with pytest.raises(ModelError, match="soft_no_obj_ptr"):
        to_transformers(build_predictor(PUBLIC[0], {**tiny_arch(), "soft_no_obj_ptr": True}))


def test_session_forgets(monkeypatch):
    ours = TransformersSam2Segmenter.tiny()
    sessions = []
    make = ours._session
    monkeypatch.setattr(ours, "_session", lambda *args: sessions.append(make(*args)) or sessions[0])
    assert len(list(ours.propagate(moving_squares(12), HEIGHT, WIDTH, BOXES[:1]))) == 12
    assert sessions[0].processed_frames == {}
    assert sorted(sessions[0].output_dict_per_obj[0]["non_cond_frame_outputs"]) == [8, 9, 10, 11]


def test_reads_a_transformers_folder_and_gives_the_same(tmp_path):
    ours = TransformersSam2Segmenter(to_transformers(build_predictor(PUBLIC[0], tiny_arch(128, 64), seed=2)))
    ours.model.save_pretrained(tmp_path / "sam2")
    again = TransformersSam2Segmenter.load(TransformersSam2Options(weights=str(tmp_path / "sam2")))
    assert len(again.weights_sha256) == 64
    frames = moving_squares(3)
    for a, b in zip(
        ours.propagate(frames, HEIGHT, WIDTH, BOXES), again.propagate(frames, HEIGHT, WIDTH, BOXES), strict=True
    ):
        np.testing.assert_array_equal(a.masks_NHW, b.masks_NHW)
    (tmp_path / "sam2" / "model.safetensors").write_bytes(b"no")
    with pytest.raises(ModelError, match="cannot be read"):
        TransformersSam2Segmenter.load(TransformersSam2Options(weights=str(tmp_path / "sam2")))


def test_no_boxes_and_bad_frames():
    ours = TransformersSam2Segmenter.tiny()
    assert [f.masks_NHW.shape for f in ours.propagate(moving_squares(5), HEIGHT, WIDTH, np.zeros((0, 4)))] == [
        (0, HEIGHT, WIDTH)
    ] * 5
    with pytest.raises(MediaError, match="frame 0"):
        list(ours.propagate([np.zeros((3, 3, 3), np.uint8)], HEIGHT, WIDTH, BOXES))
    assert SEGMENTERS.names() == ["edgetam", "sam2", "sam3", "transformers-sam2"]

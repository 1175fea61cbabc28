import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError, MediaError, ModelError
from mvideo_core.masks.codec import encode
from mvideo_core.masks.measure import areas
from mvideo_core.perception.captioning import CAPTIONERS, Answer, CaptionInput, in_order
from mvideo_core.perception.captioning.transformers_vlm import TransformersVLMCaptioner, TransformersVLMOptions


def clip(key, color, calls=None):
    def frames(n):
        if calls is not None:
            calls.append(n)
        return np.full((n, 32, 48, 3), color, np.uint8)

    return CaptionInput(key=key, width=48, height=32, fps=8.0, frames_THWC=frames)


@pytest.fixture(scope="module")
def captioner():
    import torch

    torch.set_num_threads(1)
    return TransformersVLMCaptioner.tiny()


def test_batch_equals_one_by_one_and_looks_at_the_picture(captioner):
    calls = []
    clips = [clip("a", (255, 0, 0), calls), clip("b", (0, 0, 255), calls), clip("c", (10, 200, 30), calls)]
    together = in_order(captioner, clips)
    assert calls == [2, 2, 2]  # needs_frames of the tiny model
    assert together == [in_order(captioner, [one])[0] for one in clips]
    assert len({answer.text for answer in together}) > 1
    assert all(answer.truncated for answer in together)  # a model with random weights does not end within 8 tokens
    assert (captioner.model_name, captioner.needs_frames) == ("tiny-llava", 2)


def test_a_clip_without_frames_fails_alone(captioner):
    bad = CaptionInput(key="bad", width=48, height=32, fps=8.0)
    texts = in_order(captioner, [bad, clip("a", (255, 0, 0))])
    assert isinstance(texts[0], MediaError)
    assert "bad: this captioner needs frames" in str(texts[0])
    assert isinstance(texts[1], Answer)


def test_a_random_model_is_asked_twice_about_marked_frames_and_binds_no_phrase(captioner, monkeypatch):
    masks = np.zeros((2, 2, 64, 96), bool)
    masks[:, 0, 10:50, 5:45], masks[:, 1, 10:50, 50:90] = True, True
    code = encode(masks)
    labels, frames = ("dog", "ball"), np.full((2, 64, 96, 3), 90, np.uint8)
    objects = CaptionInput(
        "a", 96, 64, 8.0, frames, labels, areas_NT=areas(code).T, object_ids=(0, 3), masks=code
    )  # fmt: skip
    asked, encode_as_is = [], captioner._encode
    monkeypatch.setattr(captioner, "_encode", lambda *given: asked.append(given) or encode_as_is(*given))
    ((n, answer, phrases),) = captioner.caption_objects([objects])
    assert (n, answer) == (0, in_order(captioner, [objects])[0])
    assert [(one.object_id, one.label, one.phrase, one.reason) for one in phrases] == [
        (0, "dog", "", "no_json"), (3, "ball", "", "no_json"),
    ]  # fmt: skip
    texts = [text for _, text in asked[:3]]
    assert ["1 (dog), 2 (ball)" in text for text in texts] == [False, True, True]
    assert [bool((given != 90).any()) for given, _ in asked[:3]] == [False, True, True]


def test_missing_weights_name_the_file_and_the_source(tmp_path, monkeypatch):
    load = CAPTIONERS.get("transformers_vlm").load
    with pytest.raises(ConfigError, match="model_dir is empty"):
        load(TransformersVLMOptions())
    with pytest.raises(ModelError, match=r"config\.json: no such file; .*`mvideo weights fetch qwen3-vl-4b`"):
        load(TransformersVLMOptions(model_dir=str(tmp_path)))
    monkeypatch.setenv("MVIDEO_WEIGHTS", str(tmp_path))
    with pytest.raises(ModelError, match=r"smolvlm2-2\.2b is not .*`mvideo weights fetch smolvlm2-2\.2b`"):
        load(TransformersVLMOptions(model_dir="smolvlm2-2.2b"))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelError, match="not a readable image-text-to-text model"):
        load(TransformersVLMOptions(model_dir=str(tmp_path)))

"""Training of the mini detector: the prior, the dense outputs, resuming, and that it learns a drawn square."""

import numpy as np
import pytest
import torch

from mvideo_core.miniworld.training.detector import DetectorTrainingOptions, Trainer, fold_prior, mini_arch
from mvideo_core.miniworld.training.detector_data import Still, augment, batches, sample_prompt
from mvideo_core.miniworld.training.detector_export import export
from mvideo_core.miniworld.training.detector_forward import TrainingForward, anchor_logits
from mvideo_core.miniworld.training.detector_words import similar_words, vocabulary
from mvideo_core.perception.detection.arch import BertArch
from mvideo_core.perception.detection.groundingdino import (
    GroundingDinoDetector,
    GroundingDinoOptions,
    bert_tokenizer,
    build_groundingdino,
)

SMALL = mini_arch().model_copy(
    update={
        "embed_dim": 16, "num_heads": [1, 2, 2, 4], "hidden_dim": 64, "dim_feedforward": 64, "num_queries": 20,
        "window_size": 4,
        "short_side_px": 64, "long_side_px": 96,
        "bert": BertArch(vocab_size=len(vocabulary()), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
                         intermediate_size=64, max_position_embeddings=64),
    }
)  # fmt: skip


class Squares:
    """Red squares ("stop sign") and blue ones ("kite") on grey, at drawn places; sequence of stills."""

    def __len__(self):
        return 64

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        rgb = rng.integers(90, 110, (64, 96, 3)).astype(np.uint8)
        side, x, y = int(rng.integers(14, 30)), int(rng.integers(0, 60)), int(rng.integers(0, 34))
        label = ("stop sign", "kite")[index % 2]
        rgb[y : y + side, x : x + side] = (220, 30, 30) if label == "stop sign" else (30, 30, 220)
        box = np.array([[x / 96, y / 64, (x + side) / 96, (y + side) / 64]], np.float32)
        return Still(rgb, box, [label], np.zeros((0, 4), np.float32))


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def options(**values):
    return DetectorTrainingOptions(bfloat16=False, low_res_frac=0, warmup_steps=3, batch_size=4, **values)


def test_prior_is_where_it_was_put():
    tokenizer = bert_tokenizer(vocabulary())
    torch.manual_seed(0)
    model = build_groundingdino(SMALL, tokenizer).eval()
    fold_prior(model, prior=0.01)
    with torch.no_grad():
        outputs = TrainingForward(model)(torch.randn(2, 3, 64, 96), "stop sign . kite .", 7)
    assert outputs.token_logits.mean().item() == pytest.approx(-4.595, abs=0.5)  # logit(0.01)
    assert outputs.token_logits.std() < 2.0
    assert outputs.query_logits[-1].mean() < -2.5


def test_fresh_decoder_is_the_identity():
    """Its answers are the chosen tokens' own: same boxes, same logits."""
    torch.manual_seed(0)
    model = build_groundingdino(SMALL, bert_tokenizer(vocabulary())).eval()
    fold_prior(model)
    with torch.no_grad():
        outputs = TrainingForward(model)(torch.randn(1, 3, 64, 96), "kite .", 4)
    best = outputs.token_logits[0].max(-1).values.topk(20).indices
    torch.testing.assert_close(outputs.query_boxes[-1][0], outputs.token_boxes[0, best], atol=1e-3, rtol=0)
    torch.testing.assert_close(outputs.query_logits[-1][0], outputs.token_logits[0, best], atol=1e-2, rtol=0)


def test_anchors_by_hand():
    logits, valid = anchor_logits([(2, 4), (1, 2)])
    assert logits.shape == (10, 4)
    torch.testing.assert_close(logits.sigmoid()[5], torch.tensor([0.375, 0.75, 0.05, 0.05]))
    torch.testing.assert_close(logits.sigmoid()[9], torch.tensor([0.75, 0.5, 0.1, 0.1]))
    assert valid.all()


def test_resumed_training_equals_straight_training(tmp_path):
    for name in ("straight", "resumed"):
        (tmp_path / name).mkdir()
    straight = Trainer(tmp_path / "straight", options(steps=4), SMALL)
    straight.run(Squares())
    first = Trainer(tmp_path / "resumed", options(steps=4), SMALL)
    for batch in list(zip(range(2), batches(Squares(), 4, 0, 0), strict=False)):
        first.train_step(*batch[1])
    first.save()
    second = Trainer(tmp_path / "resumed", options(steps=4), SMALL)
    assert second.step == 2
    second.run(Squares())
    for name, value in straight.model.state_dict().items():
        torch.testing.assert_close(second.model.state_dict()[name], value, msg=name)
    for name, value in straight.mean.items():
        torch.testing.assert_close(second.mean[name], value, msg=name)


@pytest.mark.slow
def test_it_learns_squares_and_the_folder_detects_them(tmp_path):
    trainer = Trainer(tmp_path, options(steps=60, learning_rate=2e-3, many_frac=1), SMALL)
    stills = Squares()
    losses = []
    names = {"stop sign": "stop sign", "kite": "kite"}
    for step in range(60):
        batch = [stills[(4 * step + i) % 64] for i in range(4)]
        losses.append(trainer.train_step(batch, ["kite", "stop sign"], names)["loss"])
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:10])
    export(trainer, tmp_path / "model")
    detector = GroundingDinoDetector.load(GroundingDinoOptions(weights=str(tmp_path / "model")))
    assert detector.arch == SMALL
    assert detector.detect([stills[0].rgb], ["kite"]) is not None


def test_words_of_unseen_classes_borrow_the_vector_of_what_they_are(tmp_path):
    trainer = Trainer(tmp_path, options(steps=1), SMALL)
    export(trainer, tmp_path / "model")
    detector = GroundingDinoDetector.load(GroundingDinoOptions(weights=str(tmp_path / "model")))
    rows = detector.model.bert.embeddings.word_embeddings.weight
    ids = {piece: index for index, piece in enumerate(vocabulary())}
    assert similar_words()["tiger"] == "animal"
    torch.testing.assert_close(rows[ids["tiger"]], rows[ids["animal"]])
    assert not torch.equal(rows[ids["dog"]], rows[ids["animal"]])


def test_vocabulary_spells_anything():
    words = vocabulary()
    assert len(words) == len(set(words))
    tokenizer = bert_tokenizer(words)
    assert tokenizer.tokenize("Hot Dog") == ["hot", "dog"]
    assert tokenizer.tokenize("zx9") == ["z", "##x", "##9"]


def test_prompts_name_what_is_there_and_cover_the_kinds():
    seen = set()
    for seed in range(200):
        phrases, names = sample_prompt({"dog", "car"}, np.random.default_rng(seed))
        assert len(phrases) == len(set(phrases))
        assert set(names.values()) & {"dog", "car", "animal", "vehicle", "object"} <= set(phrases)
        seen.add(
            "coco"
            if len(phrases) == 80
            else "object"
            if phrases == ["object"]
            else "animal"
            if "animal" in phrases
            else "mixed"
        )
    assert seen == {"coco", "object", "animal", "mixed"}


def test_augmentation_keeps_boxes_on_their_squares():
    stills = Squares()
    for seed in range(40):
        still = augment(stills[seed], np.random.default_rng(seed))
        assert len(still.boxes) == len(still.labels)
        for box in still.boxes:
            x0, y0, x1, y1 = (box * [96, 64, 96, 64]).round().astype(int)
            inner = still.rgb[y0 + 3 : y1 - 3, x0 + 3 : x1 - 3].astype(int).reshape(-1, 3).mean(0)
            assert abs(inner[0] - inner[2]) > 60, "the box left its colored square"

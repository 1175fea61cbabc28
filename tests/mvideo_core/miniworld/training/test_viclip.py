"""Mini ViCLIP: data, vocabulary, training forward and loss by hand, checkpoint and model folder."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from mvideo_core.evaluation.metrics.overall_consistency import load_viclip
from mvideo_core.evaluation.networks.clip_tokenizer import ClipTokenizer
from mvideo_core.evaluation.networks.mini_viclip import clip_norm
from mvideo_core.miniworld.training.viclip import MiniViclipOptions, Trainer, contrastive
from mvideo_core.miniworld.training.viclip_batches import Pairs, choose_patches, draw_batch, patch_labels, tokens_of
from mvideo_core.miniworld.training.viclip_data import CLASSES, WRONG, PairTexts, draw_pairs, draw_shot, other_class
from mvideo_core.miniworld.training.viclip_eval import _recall, measure
from mvideo_core.miniworld.training.viclip_export import lend_vectors, write_model
from mvideo_core.miniworld.training.viclip_forward import text_embeddings, video_states
from mvideo_core.miniworld.training.viclip_words import (
    generalize,
    merges_of,
    mirror,
    split_words,
    world_tokenizer,
    world_words,
    write_merges,
)
from mvideo_core.miniworld.world import describe, sample_shot


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    folder = tmp_path_factory.mktemp("pairs")
    draw_pairs(folder, 8, "train")
    return Pairs(folder, 80)


@pytest.fixture
def run(tmp_path: Path) -> Trainer:
    return Trainer(tmp_path, MiniViclipOptions(minutes=5, batch=4, kept=40, warmup_steps=1))


def test_drawn_twice_the_same_and_labels_name_the_actors() -> None:
    first, again = draw_shot(3, "train"), draw_shot(3, "train")
    for one, other in zip(first, again, strict=True):
        assert (one[0] == other[0]).all()
        assert one[2] == other[2]
        assert one[0].shape == (8, 64, 96, 3)
    kinds = {actor.kind for actor in sample_shot(3, "train").actors}
    shown = {CLASSES[code - 1] for _, patches, _ in first for code in np.unique(patches[..., 0]) if code}
    assert shown
    assert shown <= kinds


def test_wrong_captions_change_one_thing(pairs: Pairs) -> None:
    for shot in range(len(pairs)):
        texts: PairTexts = pairs.clip(shot, 0)[2]
        assert texts.plain == describe(sample_shot(texts.seed, "train"))
        for kind in WRONG:
            assert texts.plain not in texts.wrong[kind]
        assert all(text.split()[-3:] == texts.plain.split()[-3:] for text in texts.wrong["scene"]), "camera untouched"
        for text in (text for found in texts.wrong.values() for text in found):
            assert "parked to" not in text
            assert "parked back" not in text


def test_other_class_is_not_in_the_shot() -> None:
    spec = sample_shot(11, "train")
    found = {other_class(spec, spec.actors[0], random.Random(seed)).kind for seed in range(40)}
    assert len(found) > 5
    assert not found & {actor.kind for actor in spec.actors}


def test_each_world_word_is_one_token(tmp_path: Path, pairs: Pairs) -> None:
    tokenizer = world_tokenizer()
    assert all(len(tokenizer.encode(word)) == 1 for word in world_words())
    for shot in range(len(pairs)):
        texts = pairs.clip(shot, 1)[2]
        assert set(split_words(f"{texts.plain} {texts.motion}")) <= set(world_words())
        assert (tokens_of(tokenizer, texts.motion, 64) == tokenizer.tokens(texts.motion, 64)).all()
    write_merges(tmp_path / "bpe_world.txt", merges_of(world_words()))
    assert ClipTokenizer.from_file(tmp_path / "bpe_world.txt").ids == tokenizer.ids


def test_merges_by_hand() -> None:
    """ab and cab share the pair (a, b</w>), the most frequent one; then c joins."""
    assert merges_of(["ab", "cab"]) == [("a", "b</w>"), ("c", "ab</w>")]


def test_mirrored_and_generalised() -> None:
    assert mirror("It starts in the lower left and moves to the right.") == (
        "It starts in the lower right and moves to the left."
    )
    assert generalize("A red dog is near. A dog runs.", "dog") == "A red animal is near. An animal runs."
    assert generalize("The first stop sign stays.", "stop sign") == "The first object stays."


def test_training_forward_equals_the_network(run: Trainer, pairs: Pairs) -> None:
    batch = draw_batch(pairs, run.tokenizer, 64, 3, random.Random(0))
    run.network.eval()
    with torch.no_grad():
        whole, states = video_states(run.network, batch.frames)
        assert whole.numpy() == pytest.approx(run.network.encode_video(clip_norm(batch.frames)).numpy(), abs=2e-5)
        assert states.shape == (3, 800, 96)
        every = torch.arange(800).flip(0).expand(3, -1)
        assert video_states(run.network, batch.frames, every)[0].numpy() == pytest.approx(whole.numpy(), abs=2e-5)
        texts = text_embeddings(run.network, batch.tokens)
        assert texts.numpy() == pytest.approx(run.network.encode_text(batch.tokens).numpy(), abs=2e-5)
        few = text_embeddings(run.network, batch.tokens[:2])  # fewer than the three parts it works in
        assert few.numpy() == pytest.approx(texts[:2].numpy(), abs=2e-5)


def test_recall_never_asks_between_two_clips_of_one_shot() -> None:
    """Two shots, two clips each, in the order of `measure`; clips of a shot look alike, their captions differ."""
    looks = torch.eye(2).repeat(2, 1)
    found = _recall(looks, looks, ["a car", "a dog", "a car leaves", "a dog leaves"], "")
    assert found == {"r1_video": 1.0, "r1_text": 1.0}


def test_contrastive_by_hand() -> None:
    """Orthogonal everything, temperature 1: a video has logits 1, 0 and 0 (its wrong one), a caption 1 and 0."""
    axes = torch.eye(3)
    loss, first = contrastive(3 * axes[:2], axes[:2], axes[2].expand(2, 1, 3), torch.tensor(1.0))
    e = np.e
    assert float(loss) == pytest.approx(0.5 * (-np.log(e / (e + 2)) - np.log(e / (e + 1))), abs=1e-6)
    assert float(first) == 1
    swapped = contrastive(axes[[1, 0]], axes[:2], axes[2].expand(2, 1, 3), torch.tensor(1.0))
    assert float(swapped[0]) > float(loss)
    assert float(swapped[1]) == 0


def test_kept_patches_favor_objects() -> None:
    labels = torch.zeros(200, 100, 2, dtype=torch.int64)
    labels[:, :10] = 1
    kept = choose_patches(labels, 20, torch.Generator().manual_seed(0), favor=5.0)
    assert all(len(set(row.tolist())) == 20 for row in kept)
    objects = float((kept < 10).float().mean())
    assert 0.2 < objects < 10 * 5 / (10 * 5 + 90) + 0.05, "more than their tenth, at most five times"


def test_patch_labels_on_the_square_grid() -> None:
    """Column 11 of 12, the last, fills the last of 10 columns; column 0 the first."""
    patches = np.zeros((1, 8, 8, 12, 2), np.uint8)
    patches[..., 11, :] = 7
    labels = patch_labels(patches, 10).view(1, 8, 10, 10, 2)
    assert (labels[..., 9, :] == 7).all()
    assert (labels[..., :9, :] == 0).all()


def test_training_lowers_the_loss_and_resumes(run: Trainer, pairs: Pairs) -> None:
    losses = [run._step(pairs)["words"] for _ in range(6)]
    assert losses[-1] < losses[0]
    run.seconds = 7.0
    run.save()
    again = Trainer(run.out, run.options)
    assert again.resume()
    assert (again.step, again.seconds) == (6, 7.0)
    for name, value in run.modules.state_dict().items():
        assert torch.equal(again.modules.state_dict()[name], value), name
    assert torch.equal(again.mean["vision_encoder.proj"], run.mean["vision_encoder.proj"])


def test_model_folder_is_read_by_the_public_loader(run: Trainer, pairs: Pairs, tmp_path: Path) -> None:
    figures = write_model(run, pairs, tmp_path / "model")
    assert figures["clips"] == 16
    network, tokenizer, sha256 = load_viclip(tmp_path / "model")
    assert len(sha256) == 64
    assert (tmp_path / "model" / "model.safetensors").stat().st_size < 1_500_000
    rows = network.text_encoder.token_embedding.weight
    assert torch.equal(rows[tokenizer.encode("cheetah")[0]], rows[tokenizer.encode("animal")[0]])
    assert not torch.equal(rows[tokenizer.encode("dog")[0]], rows[tokenizer.encode("animal")[0]])
    assert measure(network.eval(), tokenizer, pairs) == figures
    assert f"| {figures['gap_class']:.3f} |" in (tmp_path / "model" / "README.md").read_text()


def test_lent_vectors_touch_nothing_else(run: Trainer) -> None:
    before = run.network.text_encoder.token_embedding.weight.detach().clone()
    lend_vectors(run.network, run.tokenizer)
    changed = (run.network.text_encoder.token_embedding.weight != before).any(dim=1).nonzero()[:, 0].tolist()
    wanted = ["cheetah", "deer", "llama", "penguin", "sea", "squirrel", "tiger", "turtle"]
    assert sorted(changed) == sorted(run.tokenizer.encode(word)[0] for word in wanted)

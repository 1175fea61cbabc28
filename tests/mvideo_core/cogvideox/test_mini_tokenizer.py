"""The small models' tokenizer against captions of the world."""

from mvideo_core.cogvideox.mini_tokenizer import mini_tokenizer, mini_words, vocabulary
from mvideo_core.cogvideox.sizes import SIZES
from mvideo_core.miniworld.world import describe, kinds, sample_shot


def test_world_captions_are_whole_words_and_fit():
    tokenizer = mini_tokenizer(SIZES["mini-sincos"].text_tokens)
    longest = 0
    for seed in range(150):
        text = describe(sample_shot(seed=seed, split="val"))
        ids = tokenizer(text).input_ids
        pieces = tokenizer.convert_ids_to_tokens(ids)
        assert tokenizer.unk_token not in pieces
        # Every word one token, every sign one token, and the end mark.
        assert len(pieces) == len(text.split()) + sum(text.count(sign) for sign in ".,") + 1, text
        longest = max(longest, len(ids))
    assert longest <= SIZES["mini-sincos"].text_tokens


def test_every_class_name_is_known():
    words = set(mini_words())
    assert {word for name in kinds() for word in name.split()} <= words


def test_anything_in_ascii_is_spelled():
    tokenizer = mini_tokenizer(16)
    pieces = tokenizer.convert_ids_to_tokens(tokenizer("Dog qz7!").input_ids)
    assert pieces == ["▁Dog", "▁", "q", "z", "7", "!", "</s>"]


def test_special_tokens_stand_where_t5_has_them():
    tokenizer = mini_tokenizer(16)
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id) == (0, 1, 2)
    pieces = [piece for piece, _ in vocabulary()]
    assert len(pieces) == len(set(pieces))
    padded = tokenizer("a dog", padding="max_length", max_length=6).input_ids
    assert padded[2:] == [1, 0, 0, 0]

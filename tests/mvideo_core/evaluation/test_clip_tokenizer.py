"""CLIP's tokenizer: merges by hand, and the token ids that VBench's gives."""

import gzip
import json
from pathlib import Path

import pytest

from mvideo_core.base.errors import ModelError
from mvideo_core.evaluation.networks.clip_tokenizer import END, START, ClipTokenizer, clean
from mvideo_core.weights import find
from tests import goldens as goldens_folder
from tests.goldens.vbench_inputs import PROMPTS, goldens


def test_by_hand() -> None:
    """Bytes are 0-255, at a word's end 256-511; merges 512, 513, 514; start 515, end 516.

    "!" is byte 0, "a" is 64 places on: "a" = 64, "a</w>" = 320. "caab" = c, aa, b</w> -> c, aab</w>.
    """
    tokenizer = ClipTokenizer([("a", "a"), ("aa", "b</w>"), ("b", "c</w>")])
    assert tokenizer.size == 517
    assert tokenizer.encode("A") == [320]
    assert tokenizer.encode("caab  BC") == [66, 513, 514]
    assert tokenizer.encode("aaaab") == [512, 513]
    assert tokenizer.tokens("a", 5).tolist() == [515, 320, 516, 0, 0]


def test_a_long_text_keeps_its_end() -> None:
    tokenizer = ClipTokenizer([])
    assert tokenizer.tokens("a b c d e", 4).tolist() == [512, 320, 321, 513]


def test_text_is_repaired_before_it_is_cut() -> None:
    assert clean("  It\u2019s &amp;amp; caf\u00c3\u00a9\n now") == "it's & caf\u00e9 now"


def test_ids_equal_vbench() -> None:
    """With only the merges that these prompts need, at their ranks in the whole list: VBench's ids."""
    stored = goldens()
    tokenizer = ClipTokenizer([tuple(line.split()) for line in stored["merges"]])
    ranks = stored["merge_ranks"]
    for prompt in PROMPTS:
        ids = [index if index < 512 else 512 + ranks[index - 512] for index in tokenizer.encode(prompt)]
        assert ids == stored["tokens"][prompt]
    assert len(stored["tokens"][PROMPTS[3]]) > 32


@pytest.fixture(scope="module")
def openai() -> dict:
    """Ids by OpenAI's own tokenizer: `make_clip_goldens`."""
    return json.loads((Path(goldens_folder.__file__).parent / "clip_tokens.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def public(openai: dict) -> ClipTokenizer:
    """With only the merges that the stored texts need."""
    return ClipTokenizer([tuple(line.split()) for line in openai["merges"]])


def test_ids_equal_openai(openai: dict, public: ClipTokenizer) -> None:
    """Scripts, HTML, contractions, odd blanks, special words, long texts: at their ranks in the whole list."""
    whole = [*range(512), *(512 + rank for rank in openai["merge_ranks"]), 49406, 49407]
    found = {text: [whole[index] for index in public.encode(text)] for text in openai["public"]}
    assert found == openai["public"]
    assert len(found) > 40


def test_mini_ids_equal_openai(openai: dict) -> None:
    """The shipped weights were trained with these ids."""
    tokenizer = ClipTokenizer.from_file(find("viclip-mini", kind="metric") / "bpe_world.txt")
    assert {text: tokenizer.encode(text) for text in openai["mini"]} == openai["mini"]
    assert tokenizer.encode("A red dog") == [tokenizer.ids[f"{word}</w>"] for word in ("a", "red", "dog")]


def test_rows_of_odd_texts(openai: dict, public: ClipTokenizer) -> None:
    for text, ids in ((text, public.encode(text)) for text in openai["public"]):
        for context in (2, 3, 77, 500):
            kept = [public.ids[START], *ids[: context - 2], public.ids[END]]
            assert public.tokens(text, context).tolist() == kept + [0] * (context - len(kept)), text


def test_unreadable_vocabulary(tmp_path: Path) -> None:
    path = tmp_path / "bpe.txt.gz"
    path.write_bytes(b"no gzip")
    with pytest.raises(ModelError, match="fetch it again"):
        ClipTokenizer.from_file(path)
    path.write_bytes(gzip.compress(b"heading\na b\nthree of them\n"))
    with pytest.raises(ModelError, match="two pieces per line"):
        ClipTokenizer.from_file(path)
    path.write_bytes(gzip.compress(b"heading\na b\nab xy</w>\n"))
    with pytest.raises(ModelError, match=r"bpe\.txt\.gz: merge 'ab xy</w>': .*fetch it again"):
        ClipTokenizer.from_file(path)

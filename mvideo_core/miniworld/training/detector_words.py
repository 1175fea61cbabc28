"""Vocabulary of the mini detector: whole words where the project uses them, letters for everything else."""

import string

from mvideo_core.miniworld.world import unseen_classes
from mvideo_core.perception.detection.coco import COCO80

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", ",", "-", "'")
_CAPTION = """
a an the and or of in on at with to from by near behind before beside over under left right is are walks walking runs
running jumps jumping rides riding stands standing sits sitting flies flying moves moving rolls rolling bounces
bouncing waves waving dances dancing turns turning falls falling kicks throws holds holding carries drifts drifting
swings crosses leaves enters appears slowly quickly past through across toward away camera pans zooms tilts follows
shakes scene video clip frame shot background street road park field beach forest city room court water river sea sky
grass sand snow floor wall house building tree trees cloud clouds hill mountain day night red orange yellow green teal
blue purple pink white black grey brown tan small large big tall two three four several many one man woman child
people animal animals vehicle vehicles object objects thing things ball sign light bike plane boat ship cup toy
cheetah deer llama penguin sea turtle squirrel tiger
"""
CAPTION_WORDS = tuple(_CAPTION.split())
LIKENESS: dict[str, str] = dict.fromkeys(unseen_classes(), "animal")
"""Untrained word -> word whose vector it gets on export, according to a lexicon."""


def vocabulary() -> list[str]:
    """Word pieces in a fixed order; any ASCII word can be spelled."""
    words = {word for name in (*COCO80, *unseen_classes()) for word in name.split()} | set(CAPTION_WORDS)
    letters = set(string.ascii_lowercase + string.digits)
    pieces = sorted(words - letters) + sorted(letters) + [f"##{letter}" for letter in sorted(letters)]
    return [*SPECIAL, *pieces]


def similar_words() -> dict[str, str]:
    """Words that occur only in unseen class names -> a similar known word."""
    known = {word for name in COCO80 for word in name.split()}
    return {word: like for name, like in LIKENESS.items() for word in name.split() if word not in known}

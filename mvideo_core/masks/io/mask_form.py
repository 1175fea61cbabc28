"""How to read masks whose form is ambiguous from their content: the words of `--as`."""

from typing import NamedTuple

from mvideo_core.base.errors import ConfigError

CONTENTS = {
    "binary": "one object: everything brighter than half of white",
    "inverted": "one object: everything darker than half of white",
    "labels": "value n is object n - 1, 255 is nothing",
    "colors": "each color, or each gray level, is an object; black is nothing",
    "alpha": "one object: where the alpha channel is above half",
}
JOINED = "joined"
AXES = "TNHW"


class MaskForm(NamedTuple):
    """The user's choices about the form; empty = decided by the content.

    Attributes:
        content: a key of `CONTENTS`, or "".
        layout: axes of an array, one letter each: T frames, N objects, H, W; "" = by shape.
        joined: the pictures of a folder are consecutive, whatever their numbers are.
    """

    content: str = ""
    layout: str = ""
    joined: bool = False

    @classmethod
    def parse(cls, text: str) -> "MaskForm":
        """From `--as`: comma-separated words, such as "colors,joined" or "NTHW".

        Raises:
            ConfigError: an unknown word, or two contradicting ones.
        """
        form = cls()
        for word in (part.strip() for part in text.split(",") if part.strip()):
            if word == JOINED:
                form = form._replace(joined=True)
            elif word in CONTENTS and form.content in ("", word):
                form = form._replace(content=word)
            elif _is_layout(word) and form.layout in ("", word):
                form = form._replace(layout=word)
            else:
                raise ConfigError(f"--as {text}: {word!r} is unknown or contradicts the rest; {HELP}")
        return form

    def __str__(self) -> str:
        """The text that `parse` accepts."""
        return ",".join([*filter(None, (self.content, self.layout)), *([JOINED] if self.joined else [])])


def _is_layout(word: str) -> bool:
    return len(set(word)) == len(word) and {"H", "W"} <= set(word) <= set(AXES)


HELP = (
    f"known: {', '.join(CONTENTS)} (what the values mean), the axes of an array such as NTHW, "
    f"{JOINED} (pictures whose numbers have gaps); separate several with commas"
)

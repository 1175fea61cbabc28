"""The values of `--as` say how to read ambiguous masks. Separate several with commas: `--as colors,joined`.

In YAML, give the same values as `read_as` of a layer to combine, or as `source.masks_as` of a generation request. Where
there is no such option, as in an evaluation's manifest, convert the masks once: `mvideo masks convert painted/
painted.masks --fps 24 --as colors`.
"""

from typing import NamedTuple

from mvideo_core.base.errors import ConfigError

CONTENTS = {
    "binary": "one object: brighter than 50% gray",
    "inverted": "one object: darker than 50% gray",
    "labels": "value n is object n - 1; 255 is background",
    "colors": "each color or gray level is an object; black is background; blends go to the nearest color",
    "alpha": "one object: alpha above 50%",
}
JOINED = "joined"
AXES = "TNHW"
WORDS = {
    **CONTENTS,
    "NTHW": "the axes of an array, here objects, frames, height, width; also THWN, HWT, HW, ...",
    JOINED: "images of a folder are consecutive, whatever their numbers; adjust `--fps` if frames are missing",
}
"""Every word with its meaning; the axes as an example."""


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

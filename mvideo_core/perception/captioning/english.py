"""English grammar helpers for rule-based captions: articles, plurals, counts, lists, times."""

from collections.abc import Sequence

_PLURALS = {
    "person": "people", "sheep": "sheep", "deer": "deer", "mouse": "mice", "knife": "knives", "skis": "skis",
    "scissors": "scissors", "wine glass": "wine glasses", "bus": "buses", "child": "children", "man": "men",
    "woman": "women", "goose": "geese", "fish": "fish", "broccoli": "broccoli",
}  # fmt: skip
PAIRS = {"skis", "scissors", "pants", "glasses"}
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
LIVING = frozenset(
    {
        "person", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "cheetah",
        "deer", "llama", "penguin", "sea turtle", "squirrel", "tiger",
    }
)  # fmt: skip
"""Class names of things with a pose."""


def plural(noun: str) -> str:
    """The plural of a class name; only the last word changes ("sea turtles")."""
    if noun in _PLURALS:
        return _PLURALS[noun]
    *before, last = noun.split(" ")
    if before:
        return " ".join([*before, plural(last)])
    if last.endswith(("s", "x", "z", "ch", "sh")):
        return last + "es"
    if last.endswith("y") and last[-2:-1] not in "aeiou":
        return last[:-1] + "ies"
    return last + "s"


def with_article(noun: str) -> str:
    """ "a dog", "an elephant", "a pair of skis"."""
    if noun in PAIRS:
        return f"a pair of {noun}"
    vowel = noun[:1] in "aeiou" and not noun.startswith(("uni", "use", "eu", "one"))
    return f"{'an' if vowel else 'a'} {noun}"


def count_noun(noun: str, n: int) -> str:
    """ "a dog", "two dogs", "14 dogs"."""
    if n == 1:
        return with_article(noun)
    number = _NUMBERS[n] if n < len(_NUMBERS) else str(n)
    return f"{number} pairs of {noun}" if noun in PAIRS else f"{number} {plural(noun)}"


def ordinal(n: int) -> str:
    """ "first" for 1 ... "tenth" for 10, then "11th" and so on."""
    if n <= len(_ORDINALS):
        return _ORDINALS[n - 1]
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


def list_phrase(parts: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def about_seconds(seconds: float) -> str:
    """A time rounded to whole seconds, in words."""
    whole = round(seconds)
    if whole < 1:
        return "less than a second"
    return f"about {_NUMBERS[whole] if whole < len(_NUMBERS) else whole} second{'s' if whole > 1 else ''}"


def sentence(text: str) -> str:
    """Capitalize the first letter and end with a period."""
    return f"{text[:1].upper()}{text[1:]}."

"""Texts with half of a surrogate pair: a byte of a command line that is not UTF-8, or `\\ud800` in JSON."""


def is_unicode(text: str) -> bool:
    """Whether a text has no half of a surrogate pair, which no file or table can hold."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)

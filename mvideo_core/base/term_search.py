"""Whole-word search for class names and their synonyms in captions, titles and labels."""

import re
from collections.abc import Iterable


class TermFinder:
    """Finds terms as whole words, in any case, singular or plural; blanks also match "-" and "_".

    Args:
        terms: words or phrases ("sea turtle"). An irregular plural is a term of its own.
    """

    def __init__(self, terms: Iterable[str]):
        self.terms = tuple(sorted({" ".join(term.lower().split()) for term in terms} - {""}))
        # Longest first, so that "sea turtle" is reported rather than a shorter term that it starts with.
        ordered = sorted(self.terms, key=lambda term: (-len(term), term))
        # A text without the first word of any term needs no regex search, which is far slower.
        self._first_words = tuple(sorted({term.split(" ")[0] for term in self.terms}))
        pattern = "|".join(re.escape(term).replace(r"\ ", r"[\s_-]+") for term in ordered)
        self._pattern = (
            re.compile(rf"(?<![a-z0-9])({pattern})(?:s|es)?(?![a-z0-9])", re.IGNORECASE) if ordered else None
        )

    def find(self, text: str) -> list[str]:
        """The terms that the text contains, each once, sorted; [] if none."""
        if self._pattern is None or not self._may_hold(text):
            return []
        return sorted({re.sub(r"[\s_-]+", " ", match.group(1).lower()) for match in self._pattern.finditer(text)})

    def any_in(self, *texts: str) -> bool:
        """True if any of the texts contains any of the terms."""
        return self._pattern is not None and any(self._may_hold(text) and self._pattern.search(text) for text in texts)

    def _may_hold(self, text: str) -> bool:
        lowered = text.lower()
        return any(word in lowered for word in self._first_words)

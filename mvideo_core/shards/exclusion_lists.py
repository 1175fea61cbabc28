"""Removal and held-out lists: which sample each entry excludes, and which entries match nothing at all."""

from collections.abc import Iterable

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.listing import read_entries
from mvideo_core.shards.options import ShardOptions

REASONS = {"removal_list": "removed_on_request", "held_out_list": "held_out"}
_SHOWN = 5


class ExclusionList:
    """One list. An entry is a video id, a clip key, a file name, a source URL or the SHA-256 of a source file.

    Case matters, since YouTube ids may differ only by case. An entry that matches nothing is an error, not a guess.
    """

    def __init__(self, option: str, path: str):
        self.option, self.path, self.reason = option, path, REASONS[option]
        self._entries = dict.fromkeys(read_entries(path, option.replace("_", " "))) if path else {}
        self._folded = {entry.casefold(): entry for entry in self._entries}
        self._known: set[str] = set()
        self._alike: dict[str, str] = {}

    def entry_of(self, names: Iterable[str]) -> str:
        """The first name, in order, that is in the list; "" if none is."""
        return next((name for name in names if name in self._entries), "")

    def note(self, names: Iterable[str]) -> None:
        """Record names that exist, whether or not they become samples."""
        for name in names:
            if name in self._entries:
                self._known.add(name)
            elif (entry := self._folded.get(name.casefold())) is not None:
                self._alike[entry] = name

    def list_unmatched(self) -> list[str]:
        """Entries that matched nothing recorded, each with the name that differs only by case, if there is one."""
        missed = (entry for entry in self._entries if entry not in self._known)
        return [repr(one) + (f" ({self._alike[one]!r} exists)" if one in self._alike else "") for one in missed]


def read_exclusion_lists(options: ShardOptions) -> list[ExclusionList]:
    """Both lists, the removal list first: it takes precedence.

    Raises:
        ConfigError: a list cannot be read.
    """
    return [ExclusionList(option, getattr(options, option)) for option in REASONS]


def check_matched(lists: Iterable[ExclusionList], options: ShardOptions) -> None:
    """Check that every entry matches something.

    Raises:
        ConfigError: an entry does not, and `allow_unmatched` is off.
    """
    for one in lists:
        missed = one.list_unmatched()
        if missed and not options.allow_unmatched:
            more = f" and {len(missed) - _SHOWN} more" if len(missed) > _SHOWN else ""
            raise ConfigError(
                f"shard.{one.option}={one.path!r}: no video, file name, clip, URL or SHA-256 of this workspace is "
                f"{', '.join(missed[:_SHOWN])}{more}; correct the list, or set shard.allow_unmatched=true for one that "
                "covers other datasets, too"
            )

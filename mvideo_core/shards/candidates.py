"""Candidates of a dataset: what planning needs to know about a triplet, and the draws that place it."""

import hashlib
from dataclasses import dataclass

from mvideo_core.base.records import PerceptualHashes
from mvideo_core.shards.options import ShardOptions


@dataclass(frozen=True, slots=True)
class Candidate:
    """What planning needs to know about a triplet.

    Attributes:
        key: clip key.
        video_id: key of the source video.
        source_sha256: of the source file; "" if unknown.
        source_url: "" if unknown.
        source_name: file name of the source; "" if unknown.
        start_s, end_s: span in the source, seconds.
        texts: labels, caption and title, which are searched for excluded terms.
        look: hashes of its frames; None = it is not compared with others.
        size_bytes: of the sample within a tar, see `members.sample_bytes`; an estimate is enough.
        split: the split that its video belongs to; "" = by `split_of`.
    """

    key: str
    video_id: str
    source_sha256: str
    source_url: str
    start_s: float
    end_s: float
    texts: tuple[str, ...]
    size_bytes: int
    source_name: str = ""
    look: PerceptualHashes | None = None
    split: str = ""

    def names(self) -> tuple[str, ...]:
        """Names that a removal list may use for this sample or its source."""
        known = (self.key, self.video_id, self.source_name, self.source_url, self.source_sha256)
        return tuple(name for name in known if name)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """An excluded triplet; `value` and `threshold` as in a filtered row.

    Attributes:
        entry: line of the list that excludes it.
        message: which clip it looks like.
    """

    key: str
    video_id: str
    reason: str
    value: float
    threshold: float
    entry: str = ""
    message: str = ""


def split_of(video_id: str, options: ShardOptions) -> str:
    """ "test" for about `test_frac` of all ids, by hash and seed: adding a video never moves another."""
    return "test" if draw(f"split/{options.split_seed}/{video_id}") < options.test_frac else "train"


def draw(text: str) -> float:
    """A number in [0, 1) that depends only on the text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48

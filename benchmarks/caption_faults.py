"""The result of odd answers and server faults: every case of `chat_server`, really requested, as two tables.

`python -m benchmarks.caption_faults` prints the tables of benchmarks/results/caption_faults.md.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from mvideo_core.base.errors import MVideoError
from mvideo_core.base.records import CaptionRow
from mvideo_core.perception.captioning import CaptionInput, CaptionOptions, caption_rows, load_captioner
from tests.fixtures.chat_server import ANSWERS, FAULTS, ChatServer, Reply, question_of

RETRIES, OTHERS, TIMEOUT_S = 1, 3, 3.0
"""Retries, other clips, deadline of one request: small, so that all cases take seconds."""


@dataclass(frozen=True)
class Met:
    """The result for one clip.

    Attributes:
        row: its row; None if the run stopped.
        stopped: error that stopped the run, or "".
        requests: sent for this clip.
        others_ok: `ok` rows of the other clips.
    """

    row: CaptionRow | None
    stopped: str
    requests: int
    others_ok: int

    @property
    def outcome(self) -> str:
        """ "stored", "cleaned: codes", the reason, "failed row", or the error that stopped the run."""
        if self.row is None:
            return f"run stops: {self.stopped.split(':')[0]}"
        if self.row.status == "failed":
            return "failed row"
        if self.row.status == "filtered":
            return str(self.row.reason)
        return f"cleaned: {', '.join(self.row.cleaned)}" if self.row.cleaned else "stored"


def meet(reply: Reply, times: int = 1_000_000, others: int = 0, **options: Any) -> Met:
    """Caption one clip that gets `reply` for its first `times` requests, and others that get good answers."""
    left = [times]

    def answer(body: dict[str, Any]) -> Reply:
        if "bad" not in question_of(body).rpartition("Objects detected")[2] or left[0] == 0:
            return ANSWERS["plain text"]
        left[0] -= 1
        return reply

    with ChatServer(answer) as server:
        inner = {
            "base_url": server.url, "name_objects": True, "n_frames": 1, "max_retries": RETRIES, "timeout_s": TIMEOUT_S,
            "load_timeout_s": 10.0, **options,
        }  # fmt: skip
        chosen = CaptionOptions(captioner="openai_compatible", captioner_options=inner)
        clips = [_clip("bad"), *(_clip(f"good{n}") for n in range(others))]
        rows: dict[int, CaptionRow] = {}
        stopped = ""
        try:
            for n, row in caption_rows(load_captioner(chosen), clips, chosen):
                rows[n] = row
        except MVideoError as error:
            stopped = f"{type(error).__name__}: {error}"
        sent = sum("Objects detected in it: bad" in question_of(body) for _, _, body in server.requests)
        n_ok = sum(row.status == "ok" for n, row in rows.items() if n)
        return Met(rows.get(0), stopped, sent, n_ok)


def answer_lines() -> list[str]:
    """Markdown table of ANSWERS."""
    with ThreadPoolExecutor(8) as pool:
        met = dict(zip(ANSWERS, pool.map(meet, ANSWERS.values()), strict=True))
    lines = ["| The model answers | Row | Text kept | Requests |", "|---|---|---|---|"]
    for name, one in met.items():
        assert one.row is not None
        text = one.row.text if len(one.row.text) <= 60 else f"{one.row.text[:60]}..."
        lines.append(f"| {_cell(name)} | {one.outcome} | {_cell(text)} | {one.requests} |")
    return lines


def fault_lines() -> list[str]:
    """Markdown table of FAULTS: once, and for every request for one clip while three others are answered."""
    with ThreadPoolExecutor(16) as pool:
        once = {name: pool.submit(meet, reply, 1, OTHERS) for name, reply in FAULTS.items()}
        always = {name: pool.submit(meet, reply, others=OTHERS) for name, reply in FAULTS.items()}
    lines = [
        "| The server | Once | Requests | Always, for one clip | Requests | Other clips |",
        "|---|---|---|---|---|---|",
    ]
    for name in FAULTS:
        first, all_of = once[name].result(), always[name].result()
        others = "those answered are kept" if all_of.row is None else f"{all_of.others_ok} of {OTHERS} stored"
        lines.append(
            f"| {_cell(name)} | {first.outcome} | {first.requests} | {all_of.outcome} | {all_of.requests} | {others} |"
        )
    return lines


def _clip(label: str) -> CaptionInput:
    frames = np.zeros((1, 16, 16, 3), np.uint8)
    return CaptionInput(key=label, width=16, height=16, fps=8.0, frames_THWC=frames, labels=(label,))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    print("\n".join([*answer_lines(), "", *fault_lines()]))

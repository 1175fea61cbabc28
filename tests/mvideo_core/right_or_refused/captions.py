"""What a caption server answers."""

import contextlib
import json
from pathlib import Path

import pyarrow.parquet as pq

from tests.fixtures.chat_server import FAULTS, ChatServer, completion
from tests.mvideo_core.right_or_refused.cases import Cases, finished, mvideo

CASES = Cases()


@contextlib.contextmanager
def captioned(tmp_path, answer, clips=5):
    """(exit code, output, rows as pyarrow reads them) of the caption stage with a server that answers so."""
    workspace = finished(tmp_path, a=clips)
    with ChatServer() as server:
        server.answer = answer if callable(answer) else lambda _body: answer
        given = {"base_url": server.url, "n_frames": 1, "max_retries": 0, "load_timeout_s": 1.0}
        words = ["-s", "caption.captioner=openai_compatible", "-s", f"caption.captioner_options={json.dumps(given)}"]
        code, said, error = mvideo("stage", "caption", "-w", workspace.url, *words, "-s", "run.max_failed_frac=1")
        marker = workspace.current("caption", 0)
        yield code, said, error, pq.read_table(workspace.folder.at(marker.rows.path)).to_pylist(), server


def one_caption(tmp_path, text, **more):
    with captioned(tmp_path, completion(text, **more), clips=1) as (_, _, _, (row,), _):
        return row


@CASES.kind("refusals stored as captions")
def _(tmp_path):
    with captioned(tmp_path, completion("I'm unable to view videos.")) as (code, said, _, rows, _):
        assert {(row["status"], row["reason"], row["text"]) for row in rows} == {("filtered", "caption_refused", "")}
        assert code == 3
        assert "5 of 5 clips have no caption" in said


@CASES.kind("wrapped captions")
def _(tmp_path):
    row = one_caption(tmp_path, "<think>hm</think>Sure! Here is the caption:\n\n**Caption:** A dog runs.<|im_end|>")
    assert row["text"] == "A dog runs."
    assert {"thinking", "wrapper", "special_tokens"} <= set(row["cleaned"])


@CASES.kind("captions in a loop")
def _(tmp_path):
    assert one_caption(tmp_path, "A dog runs on the grass. " * 30)["reason"] == "caption_looped"


@CASES.kind("captions cut at the length limit")
def _(tmp_path):
    row = one_caption(tmp_path, "A dog runs. It then tu", finish="length")
    assert (row["text"], row["cleaned"]) == ("A dog runs.", ["truncated"])


@CASES.kind("half a surrogate pair")
def _(tmp_path):
    assert one_caption(tmp_path, "A dog \ud83d runs.")["text"] == "A dog runs."


@CASES.kind("errors sent as answers")
def _(tmp_path):
    with captioned(tmp_path, FAULTS["error in 200"], clips=1) as (_, _, error, rows, _):
        assert error is not None or [row["status"] for row in rows] == ["failed"]
        assert all("error" not in row["text"] for row in rows)


@CASES.kind("one caption for all")
def _(tmp_path):
    with captioned(tmp_path, completion("A dog runs.")) as (code, said, _, _, _):
        assert code == 3
        assert "5 of 5 captions are the same text" in said


@CASES.kind("mixed captioners")
def _(tmp_path):
    answers = iter(range(99))
    reply = lambda _body: completion(f"Dog {(n := next(answers))} runs.", model=f"m{n % 2}")  # noqa: E731
    with captioned(tmp_path, reply) as (code, said, _, rows, _):
        assert {row["model"] for row in rows} == {"m0", "m1"}
        assert code == 3
        assert "captions of 2 models are mixed" in said


@CASES.kind("keys stored with options")
def _(tmp_path):
    workspace = finished(tmp_path)
    words = ["-s", "caption.captioner=openai_compatible", "-s", "caption.captioner_options.api_key=sk-12345678"]
    _, _, error = mvideo("stage", "caption", "-w", workspace.url, *words)
    assert "api_key_env" in str(error)
    assert "sk-12345678" not in str(error)
    assert not any(b"sk-12345678" in path.read_bytes() for path in Path(workspace.url).rglob("*") if path.is_file())

"""The caption stage with a real server: what is kept, asked again, set aside, warned about, refused before a run."""

import json

import pytest
from typer.testing import CliRunner

from mvideo_core.base.errors import ConfigError, ServerUnavailable, StoreError
from mvideo_core.base.records import CaptionRow
from mvideo_core.cli import main
from mvideo_core.curation.pipeline import PipelineOptions, preflight
from mvideo_core.curation.stages.shard import shard_dataset
from mvideo_core.engine import STAGES
from mvideo_core.engine.chain import valid_markers
from mvideo_core.engine.loaded_models import _load
from mvideo_core.engine.part import PartJob, run_part
from mvideo_core.engine.run import RunOptions, run_stage
from mvideo_core.perception.captioning import CaptionOptions
from mvideo_core.shards.options import ShardOptions
from mvideo_core.store.retry_failed import retry_failed
from mvideo_core.store.stage_counts import stage_status
from mvideo_core.store.workspace import Workspace
from tests.fixtures.chat_server import FAULTS, ChatServer, Reply, completion
from tests.mvideo_core.engine.finished import finish

CAPTION = STAGES.get("caption")


@pytest.fixture
def workspace(tmp_path):
    _load.cache_clear()
    made = Workspace(str(tmp_path / "ws"))
    finish(made, tmp_path, {"a": 12})
    return made


@pytest.fixture
def server():
    """Tells a text of its own for each request; `bad` holds frames (as sent) that get another reply."""
    with ChatServer() as made:
        made.bad = {}
        made.answer = lambda body: made.bad.get(picture(body)) or completion(f"Dog {len(made.requests)} runs.")
        yield made


def picture(body):
    """The first frame as sent; it differs from clip to clip."""
    return body["messages"][0]["content"][0]["image_url"]["url"]


def options(server, **changes):
    inner = {"base_url": server.url, "n_frames": 1, "max_retries": 0, "load_timeout_s": 2.0, "concurrency": 4}
    return CaptionOptions(captioner="openai_compatible", captioner_options=inner | changes)


def rows(workspace):
    return {row.key: row for row in workspace.current_rows("caption", CaptionRow)}


def pictures_by_key(workspace, server):
    """Which picture belongs to which clip, learned from one run that is thrown away."""
    run_stage(workspace, CAPTION, options(server, prompt="Learn.", concurrency=1))
    by_text = {row.text: key for key, row in rows(workspace).items()}
    found = {by_text[f"Dog {n} runs."]: picture(body) for n, (_, _, body) in enumerate(server.requests, 1)}
    server.requests.clear()
    return found


def test_every_row_holds_the_text_and_the_servers_model(workspace, server):
    summary = run_stage(workspace, CAPTION, options(server))
    assert summary.counts == {"items": 12, "reused": 0, "ok": 12, "filtered": 0, "failed": 0}
    assert summary.warnings == []
    assert {row.model for row in rows(workspace).values()} == {"drawn-vlm"}
    assert len(server.requests) == 12


def test_retry_failed_of_one_clip_asks_that_clip_alone(workspace, server):
    pictures = pictures_by_key(workspace, server)
    bad = "a_000000005"
    server.bad[pictures[bad]] = FAULTS["500"]
    run_stage(workspace, CAPTION, options(server))
    first = rows(workspace)
    assert [key for key, row in first.items() if row.status == "failed"] == [bad]
    assert "500" in first[bad].message
    server.bad.clear()
    server.requests.clear()
    assert retry_failed(workspace, "caption", CaptionRow) == 1
    run_stage(workspace, CAPTION, options(server))
    assert [picture(body) for _, _, body in server.requests] == [pictures[bad]]
    second = rows(workspace)
    assert second.pop(bad).status == "ok"
    del first[bad]
    assert second == first


def test_attempts_of_a_clip_that_fails_again_add_up(workspace, server):
    pictures = pictures_by_key(workspace, server)
    server.bad[pictures["a_000000005"]] = FAULTS["400 context length"]
    for attempts in (1, 2):
        run_stage(workspace, CAPTION, options(server))
        assert rows(workspace)["a_000000005"].attempts == attempts
        retry_failed(workspace, "caption", CaptionRow)


def test_a_server_that_dies_in_mid_run_costs_no_answer_that_came(workspace, server):
    chosen = options(server, load_timeout_s=0.5, concurrency=1)

    def dying(body):
        if len(server.requests) > 5:
            server.list_reply = Reply(503, b"down")
            return Reply(503, b"down")
        return completion(f"Dog {len(server.requests)} runs.")

    server.answer = dying
    with pytest.raises(ServerUnavailable, match=r"not ready after 0\.5 s"):
        run_stage(workspace, CAPTION, chosen)
    status = stage_status(workspace, "caption", [one for _, one in valid_markers(workspace, "caption") if one])
    assert (status.parts_done, status.parts) == (0, 1)  # the old captions are there, but this run's are not finished
    with pytest.raises(ConfigError, match="stage 'caption' has not finished part 0 with the options of its last run"):
        shard_dataset(workspace, ShardOptions())
    server.list_reply, server.answer = None, lambda _body: completion(f"Cat {len(server.requests)} sits.")
    server.requests.clear()
    run_stage(workspace, CAPTION, chosen)
    assert len(server.requests) == 12 - 5
    assert sorted(row.text.split()[0] for row in rows(workspace).values()) == ["Cat"] * 7 + ["Dog"] * 5


def test_options_of_how_the_server_is_asked_ask_no_clip_again(workspace, server):
    run_stage(workspace, CAPTION, options(server))
    again = run_stage(workspace, CAPTION, options(server, timeout_s=7, max_retries=3, concurrency=9))
    assert again.parts_reused == 1
    assert len(server.requests) == 12
    run_stage(workspace, CAPTION, options(server, temperature=0.5))
    assert len(server.requests) == 24


def test_half_a_surrogate_pair_enters_neither_journal_nor_table(workspace, server):
    server.answer = lambda _body: completion(f"Dog {len(server.requests)} \ud83d runs.")
    run_stage(workspace, CAPTION, options(server))
    assert all(row.cleaned == ["characters"] for row in rows(workspace).values())


def test_a_bad_journal_row_is_set_aside_named_and_asked_again(workspace, server, caplog, tmp_path):
    chosen = options(server)
    job = PartJob(workspace, CAPTION, 0, chosen)
    half, foreign, good = job.items[:3]
    for item, row in (
        (half, {"key": half.key, "text": "A dog \ud83d runs"}),
        (foreign, {"key": foreign.key, "masks": 3}),
        (good, {"key": good.key, "text": "A dog runs.", "model": "drawn-vlm", "captioner": "openai_compatible"}),
    ):
        job.journal.append({"event": "done", "item": item.content_key, "rows": [row]})
    job.journal.append({"event": "done"})
    job.journal.close()
    run_stage(workspace, CAPTION, chosen)
    assert len(server.requests) == 11
    assert rows(workspace)[good.key].text == "A dog runs."
    assert "3 unusable events moved" in caplog.text
    assert half.content_key in caplog.text
    (bad,) = (tmp_path / "ws" / "journal" / "caption").glob("*.bad")
    kept = [json.loads(line) for line in bad.read_text().splitlines()]
    assert [one["event"].get("item") for one in kept] == [half.content_key, foreign.content_key, None]


def test_equal_or_refused_captions_and_mixed_models_are_never_green(workspace, server):
    server.answer = lambda _body: completion("A dog runs.")
    (said,) = run_stage(workspace, CAPTION, options(server)).warnings
    assert said.startswith("12 of 12 captions are the same text")
    server.answer = lambda _body: completion("I'm sorry, I can't view videos.")
    (said,) = run_stage(workspace, CAPTION, options(server, prompt="Tell.")).warnings
    assert said.startswith("12 of 12 clips have no caption (caption_refused x12")
    server.answer = lambda _body: completion(f"Dog {len(server.requests)}.", model=f"m{len(server.requests) // 30}")
    (said,) = run_stage(workspace, CAPTION, options(server, prompt="Say.")).warnings
    assert "captions of 2 models are mixed" in said


def test_the_command_line_ends_with_3_and_the_reason(workspace, server, tmp_path):
    server.answer = lambda _body: completion("A dog runs.")
    words = ["-s", "caption.captioner=openai_compatible", "-s", f"caption.captioner_options.base_url={server.url}"]
    told = CliRunner().invoke(main.app, ["stage", "caption", "-w", workspace.url, *words])
    assert told.exit_code == 3
    assert "caption  12 ok" in told.output
    assert "warning: caption: 12 of 12 captions are the same text" in told.output
    told = CliRunner().invoke(main.app, ["stage", "report", "-w", workspace.url])
    assert told.exit_code == 3


def test_many_failed_clips_fail_the_stage_and_few_do_not(workspace, server):
    pictures = pictures_by_key(workspace, server)
    for n in range(3):
        server.bad[pictures[f"a_{n:09d}"]] = FAULTS["400 context length"]
    with pytest.raises(StoreError, match="3 of 12 items failed"):
        run_stage(workspace, CAPTION, options(server))
    assert run_stage(workspace, CAPTION, options(server), RunOptions(max_failed_frac=0.3)).counts["ok"] == 9


def test_before_a_run_the_key_the_server_and_the_model_are_looked_at(workspace, server, monkeypatch):
    def given(**inner):
        return PipelineOptions(caption=options(server, **inner))

    only = {"stages": ["caption"]}
    preflight(given(), **only)
    monkeypatch.delenv("CAPTION_KEY", raising=False)
    with pytest.raises(ConfigError, match="CAPTION_KEY, which is not set"):
        preflight(given(api_key_env="CAPTION_KEY"), **only)
    with pytest.raises(ConfigError, match="no such file"):
        preflight(given(ca_file="/nowhere.pem"), **only)
    assert server.requests == []
    chosen = given()
    run_part(workspace, CAPTION, 0, chosen.caption)
    server.close()
    with pytest.raises(ServerUnavailable, match="check that the server is running"):
        preflight(chosen, **only)
    preflight(chosen, workspace, ["caption"])  # all is captioned: no server is needed


def test_a_typo_in_captioner_options_is_found_when_options_are_read():
    with pytest.raises(ConfigError, match=r"(?s)max_token: Extra inputs.*allowed keys: .*max_tokens"):
        PipelineOptions.parse({"caption": {"captioner": "openai_compatible", "captioner_options": {"max_token": 5}}})

"""Each kind of silent wrongness of docs/right_or_refused.md with the smallest real input: right, refused or yellow.

The full proof of a kind is in the tests of the file that the page names; here one case shows that it is handled.
"""

import contextlib
import json
import re
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from mvideo_core.base.errors import MVideoError
from mvideo_core.cli import main
from mvideo_core.doctor import Asked
from mvideo_core.doctor.checks import system
from mvideo_core.evaluation.manifest import EvalItem, read_manifest
from mvideo_core.evaluation.plan import EvalPlan
from mvideo_core.evaluation.run import run_suite
from mvideo_core.evaluation.suite import SuiteOptions, prepare
from mvideo_core.shards.verify import verify_dataset
from mvideo_core.store.workspace import Workspace
from tests.fixtures.chat_server import FAULTS, ChatServer, completion
from tests.mvideo_core.curation.scenes import test_clip_colors, test_damage
from tests.mvideo_core.engine.finished import finish
from tests.mvideo_core.media import bars, footage

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "right_or_refused.md"
KINDS = {}


def kind(name):
    """Decorator that registers the case of a kind."""

    def add(function):
        KINDS[name] = function
        return function

    return add


def mvideo(*words):
    """(exit code, what was printed, our error) of a command."""
    done = CliRunner().invoke(main.app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit | MVideoError):
        raise done.exception
    return done.exit_code, done.output, done.exception if isinstance(done.exception, MVideoError) else None


def refusal(work, *words):
    """The one line of an error of ours, with words that it must hold."""
    with pytest.raises(MVideoError) as caught:
        work()
    said = str(caught.value)
    assert "\n" not in said
    assert all(str(word) in said for word in words), said


def finished(tmp_path, **videos):
    workspace = Workspace(str(tmp_path / "ws"))
    finish(workspace, tmp_path, videos or {"a": 2})
    return workspace


def published(workspace):
    return Path(workspace.folder.at(workspace.pointer("dataset")["path"]))


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


@kind("wrong colors")
def _(tmp_path):
    path = bars.write(tmp_path / "a.mp4", matrix="bt709", size=(320, 180))
    row, result = test_clip_colors.cut(path, tmp_path / "out", fit="stretch")
    test_clip_colors.assert_right(result.clips[0].path, "stretch", row)


@kind("damaged pictures")
def _(tmp_path):
    coding = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "12", "-g", "20", "-pix_fmt", "yuv420p")
    path = footage.film(tmp_path / "a.mp4", *coding, frames=test_damage.noisy(60))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 1500] = np.random.default_rng(3).bytes(1500)
    path.write_bytes(content)
    result = test_damage.cut(path, tmp_path / "out", max_decode_errors=1000)
    assert {(one.reason, one.value > 0) for one in result.dropped} == {("decode_errors", True)}
    assert result.clips


@kind("mattes of more than 8 bits")
def _(tmp_path):
    from mvideo_core.editing.mask_files import load_masks

    rgb = np.zeros((128, 256, 3), np.uint8)
    rgb[44:84, 160:200] = 255  # a square around x = 180
    coding = ("-c:v", "prores_ks", "-profile:v", "2")
    bars.write(tmp_path / "m.mov", pix_fmt="yuv422p10le", coding=coding, size=(256, 128), n=3, rgb=rgb)
    rows, columns = np.nonzero(load_masks(tmp_path / "m.mov").sequence.frame(0)[0])
    assert np.abs(np.array([rows.min(), rows.max(), columns.min(), columns.max()]) - [44, 83, 160, 199]).max() <= 1


@kind("stale list entries")
def _(tmp_path):
    workspace = finished(tmp_path)
    (tmp_path / "removed.txt").write_text("a_000000000\nno-such-video\n")
    _, _, error = mvideo("stage", "shard", "-w", workspace.url, "-s", f"shard.removal_list={tmp_path}/removed.txt")
    assert "no-such-video" in str(error)
    assert workspace.pointer("dataset") is None


@kind("lists as people write them")
def _(tmp_path):
    workspace = finished(tmp_path, a=1, b=1)
    (tmp_path / "removed.txt").write_bytes('\ufeff"a",  # asked on Monday\r\n'.encode())
    mvideo("stage", "shard", "-w", workspace.url, "-s", f"shard.removal_list={tmp_path}/removed.txt")
    assert pq.read_table(published(workspace) / "index.parquet").column("key").to_pylist() == ["b_000000000"]


@kind("lines broken at U+2028")
def _(tmp_path):
    from mvideo_core.evaluation.make_videos import read_prompts

    (tmp_path / "prompts.txt").write_text("a dog\u2028runs\u0085away\na cat\n", encoding="utf-8")
    assert read_prompts(tmp_path / "prompts.txt") == ["a dog\u2028runs\u0085away", "a cat"]


@kind("hidden files as sources")
def _(tmp_path):
    (tmp_path / "in" / ".trash").mkdir(parents=True)
    for name in ("a.mp4", "._a.mp4", ".hidden.mp4", ".part-1.mp4", ".trash/b.mp4"):
        (tmp_path / "in" / name).write_bytes(b"x")
    assert mvideo("plan", "-w", tmp_path / "ws", "--folder", tmp_path / "in")[1] == "1 sources in 1 parts\n"


@kind("a path cut at its comma")
def _(tmp_path):
    (tmp_path / "list.csv").write_text("path\nred, blue.mp4\n")
    _, _, error = mvideo("plan", "-w", tmp_path / "ws", "--manifest", tmp_path / "list.csv")
    assert "list.csv:2: more values than columns" in str(error)


@kind("refusals stored as captions")
def _(tmp_path):
    with captioned(tmp_path, completion("I'm unable to view videos.")) as (code, said, _, rows, _):
        assert {(row["status"], row["reason"], row["text"]) for row in rows} == {("filtered", "caption_refused", "")}
        assert code == 3
        assert "5 of 5 clips have no caption" in said


@kind("wrapped captions")
def _(tmp_path):
    row = one_caption(tmp_path, "<think>hm</think>Sure! Here is the caption:\n\n**Caption:** A dog runs.<|im_end|>")
    assert row["text"] == "A dog runs."
    assert {"thinking", "wrapper", "special_tokens"} <= set(row["cleaned"])


@kind("captions in a loop")
def _(tmp_path):
    assert one_caption(tmp_path, "A dog runs on the grass. " * 30)["reason"] == "caption_looped"


@kind("captions cut at the length limit")
def _(tmp_path):
    row = one_caption(tmp_path, "A dog runs. It then tu", finish="length")
    assert (row["text"], row["cleaned"]) == ("A dog runs.", ["truncated"])


@kind("half a surrogate pair")
def _(tmp_path):
    assert one_caption(tmp_path, "A dog \ud83d runs.")["text"] == "A dog runs."


@kind("errors sent as answers")
def _(tmp_path):
    with captioned(tmp_path, FAULTS["error in 200"], clips=1) as (_, _, error, rows, _):
        assert error is not None or [row["status"] for row in rows] == ["failed"]
        assert all("error" not in row["text"] for row in rows)


@kind("one caption for all")
def _(tmp_path):
    with captioned(tmp_path, completion("A dog runs.")) as (code, said, _, _, _):
        assert code == 3
        assert "5 of 5 captions are the same text" in said


@kind("mixed captioners")
def _(tmp_path):
    answers = iter(range(99))
    reply = lambda _body: completion(f"Dog {(n := next(answers))} runs.", model=f"m{n % 2}")  # noqa: E731
    with captioned(tmp_path, reply) as (code, said, _, rows, _):
        assert {row["model"] for row in rows} == {"m0", "m1"}
        assert code == 3
        assert "captions of 2 models are mixed" in said


@kind("keys stored with options")
def _(tmp_path):
    workspace = finished(tmp_path)
    words = ["-s", "caption.captioner=openai_compatible", "-s", "caption.captioner_options.api_key=sk-12345678"]
    _, _, error = mvideo("stage", "caption", "-w", workspace.url, *words)
    assert "api_key_env" in str(error)
    assert "sk-12345678" not in str(error)
    assert not any(b"sk-12345678" in path.read_bytes() for path in Path(workspace.url).rglob("*") if path.is_file())


@kind("a stage that stopped read as finished")
def _(tmp_path):
    with captioned(tmp_path, FAULTS["401"]) as (_, _, error, _, _):
        assert "401" in str(error)
        workspace = Workspace(str(tmp_path / "ws"))
        states = json.loads(mvideo("status", "-w", workspace.url, "--json")[1])
        assert [(one["parts_done"], one["parts"]) for one in states if one["stage"] == "caption"] == [(0, 1)]
        assert "'caption' has not finished part 0" in str(mvideo("stage", "shard", "-w", workspace.url)[2])


@kind("empty split")
def _(tmp_path):
    workspace = finished(tmp_path, a=1, b=1)
    mvideo("stage", "shard", "-w", workspace.url, "-s", "shard.test_frac=0.01")
    code, said, _ = mvideo("stage", "report", "-w", workspace.url)
    assert code == 3
    assert "there is no test split" in said


@kind("card snippets that read a part")
def _(tmp_path):
    workspace = finished(tmp_path, a=3)
    mvideo("stage", "shard", "-w", workspace.url, "-s", "shard.samples_per_shard=1", "-s", "shard.test_frac=0")
    root = published(workspace)
    assert len(list(root.rglob("*.tar"))) == 3
    first = re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)[0]
    found = {}
    with contextlib.chdir(root):
        exec(first, found)
        assert len(list(found["samples"])) == 3


@kind("JSON members without fields")
def _(tmp_path):
    import tarfile

    workspace = finished(tmp_path)
    mvideo("stage", "shard", "-w", workspace.url, "-s", "shard.test_frac=0")
    fields = set()
    for shard in published(workspace).rglob("*.tar"):
        with tarfile.open(shard) as tar:
            for name in tar.getnames():
                if name.endswith(".json"):
                    meta = json.load(tar.extractfile(name))
                    fields.add((tuple(sorted(meta)), *(tuple(sorted(one)) for one in meta["objects"])))
    assert len(fields) == 1
    assert "drop_reason" in next(iter(fields))[1]


@kind("bytes changed in a shard")
def _(tmp_path):
    workspace = finished(tmp_path)
    mvideo("stage", "shard", "-w", workspace.url, "-s", "shard.test_frac=0")
    shard = next(published(workspace).rglob("*.tar"))
    content = bytearray(shard.read_bytes())
    content[content.index(b"A dog, take 0")] ^= 1
    shard.write_bytes(content)
    assert mvideo("dataset", "verify", published(workspace), "--deep")[0] == 1
    assert any(".txt" in one.what for one in verify_dataset(str(published(workspace)), deep=True))


@kind("options given twice")
def _(tmp_path):
    (tmp_path / "o.yaml").write_text("cut: {width: 64}\ncut: {height: 64}\n")
    _, _, error = mvideo("plan", "-w", tmp_path / "ws", "--folder", tmp_path, "-o", tmp_path / "o.yaml")
    assert "o.yaml" in str(error)
    assert "'cut' is given twice" in str(error)


@kind("a prompt cut at its comma")
def _(tmp_path):
    layers = "layers: [{input: main}], prompts: [A dog runs, and stops.]"
    (tmp_path / "r.yaml").write_text(f"title: t\ninputs: {{main: m}}\nvariants:\n  a: {{{layers}}}\n")
    _, _, error = mvideo("masks", "recipe", tmp_path / "r.yaml")
    assert "r.yaml: line 4: prompts: 'A dog runs' in brackets ends at a comma" in str(error)


@kind("two OpenCVs in one folder")
def _(tmp_path):
    (tmp_path / "opencv_python-4.dist-info").mkdir()
    (tmp_path / "opencv_python-4.dist-info" / "METADATA").write_text("Name: opencv-python\nVersion: 4\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        (found,) = system.opencv(Asked())
    assert (found.status, "opencv-python-headless and opencv-python are installed" in found.what) == ("problem", True)


@kind("a workspace that is not there")
def _(tmp_path):
    for command in ("status", "verify", "retry-failed", "gc", "encode"):
        code, said, error = mvideo(command, "-w", tmp_path / "none")
        assert (code, said) == (1, ""), command
        assert "none: no workspace there" in str(error), command
    assert "none: no workspace there" in str(mvideo("stage", "report", "-w", tmp_path / "none")[2])
    assert "none: no dataset there" in str(mvideo("dataset", "info", tmp_path / "none")[2])
    assert not (tmp_path / "none").exists()


@kind("weights exchanged under a run")
def _(tmp_path):
    import os

    import torch
    from safetensors.torch import save_file

    from mvideo_core.cogvideox.weights_digest import tensors_sha256

    path = tmp_path / "diffusion_pytorch_model.safetensors"
    digests = set()
    for value in (1.0, 2.0):
        save_file({"a": torch.full((4,), value)}, path)
        os.utime(path, (1e9, 1e9))  # same name, size and time: only the bytes differ
        digests.add(tensors_sha256(tmp_path))
        time.sleep(0.01)
    assert len(digests) == 2


@kind("adapter not loaded")
def _(tmp_path):
    from mvideo_core.cogvideox.adapter import load_adapter, save_adapter
    from mvideo_core.cogvideox.adapter_files import CONDITIONING_FILE
    from mvideo_core.cogvideox.base import random_base
    from mvideo_core.cogvideox.video_format import VideoFormat
    from tests.mvideo_core.cogvideox.test_adapter import trained

    base = random_base("tiny-sincos", parts=("transformer",))
    save_adapter(tmp_path, trained(base.transformer), VideoFormat())
    (tmp_path / CONDITIONING_FILE).unlink()
    fresh = random_base("tiny-sincos", parts=("transformer",)).transformer
    refusal(lambda: load_adapter(fresh, tmp_path), tmp_path, CONDITIONING_FILE)


@kind("values that are not finite")
def _(tmp_path):
    import torch

    from mvideo_core.cogvideox.pixels import frames_THWC

    refusal(lambda: frames_THWC(torch.full((3, 1, 2, 2), float("nan"))), "not finite", "weights check --deep")


@kind("frames of one color")
def _(tmp_path):
    from mvideo_core.cogvideox.pixels import check_not_blank

    refusal(lambda: check_not_blank(np.full((2, 4, 4, 3), 7, np.uint8), "clip 0"), "clip 0", "(7, 7, 7)")


@kind("two systems of one name")
def _(tmp_path):
    from mvideo_core.evaluation.inputs import read_inputs

    for place in (tmp_path / "a" / "out", tmp_path / "b" / "out"):
        place.mkdir(parents=True)
        (place / "a cat.mp4").write_bytes(b"x")
    texts = [str(tmp_path / "a" / "out"), str(tmp_path / "b" / "out")]
    refusal(lambda: read_inputs(texts), *texts, "'out'", "name the systems")


@kind("means over different items")
def _(tmp_path):
    from mvideo_core.evaluation.export import to_markdown
    from tests.mvideo_core.evaluation.results import made

    values = {"easy": {"mask_miou": [0.8, None]}, "whole": {"mask_miou": [0.9, 0.3]}}
    text = to_markdown(made(tmp_path, values).result)
    assert "| easy | 80.00* | 1 | 1 | 1 | 0 |" in text
    assert "| whole | 90.00 | 1 | 1 | 0 | 0 | 60.00 (2) |" in text


@kind("a verdict from a few prompts")
def _(tmp_path):
    from mvideo_core.evaluation.compare import compare_all
    from tests.mvideo_core.evaluation.results import made

    (found,) = compare_all(made(tmp_path, {"a": {"mask_miou": [0.1] * 5}, "b": {"mask_miou": [0.9] * 5}}))
    assert (found.verdict, found.p, found.low) == ("too few", None, None)


def _page():
    """Kind -> the file that handles it, of the table in the docs."""
    rows = [line.strip("|").split("|") for line in PAGE.read_text(encoding="utf-8").split("\n") if line.startswith("|")]
    return {row[0].strip(): row[2].strip(" `") for row in rows[2:]}


@kind("videos left out of a folder")
def _(tmp_path):
    (tmp_path / "videos" / "more").mkdir(parents=True)
    for name in ("a.mp4", "b.gif", "more/c.mp4"):
        (tmp_path / "videos" / name).touch()
    refusal(lambda: read_manifest(tmp_path / "videos"), "b.gif", ".mp4", "convert")
    (tmp_path / "videos" / "b.gif").unlink()
    refusal(lambda: read_manifest(tmp_path / "videos"), "more", "folder with videos", "by itself")


@kind("a result in another's place")
def _(tmp_path):
    suite = SuiteOptions.parse({"metrics": [{"metric": "temporal_flickering"}]})
    plans = [EvalPlan(suite, (EvalItem(id="a", video=f"{tmp_path}/{name}.mp4"),)) for name in ("one", "two")]
    run_suite(plans[0], tmp_path / "out")
    refusal(lambda: run_suite(plans[1], tmp_path / "out"), tmp_path / "out", "other videos", "--overwrite")


@kind("a mini judge in the paper's column")
def _(tmp_path):
    suite = SuiteOptions.parse({"metrics": [{"metric": "mask_miou"}]})
    assert [one.name for one in prepare(suite)] == ["mini_mask_miou"]


@pytest.mark.parametrize("name", KINDS)
def test_right_or_refused(tmp_path, name):
    KINDS[name](tmp_path)


def test_every_kind_has_a_row_and_a_case():
    page = _page()
    assert list(page) == list(KINDS)
    assert [place for place in page.values() if not (ROOT / place).is_file()] == []

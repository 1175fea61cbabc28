"""Stages, datasets, options and the machine."""

import contextlib
import json
import re

import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.doctor import CheckContext
from mvideo_core.doctor.checks import system
from mvideo_core.shards.verify import verify_dataset
from mvideo_core.store.workspace import Workspace
from tests.fixtures.chat_server import FAULTS
from tests.mvideo_core.right_or_refused.captions import captioned
from tests.mvideo_core.right_or_refused.cases import Cases, finished, mvideo, published

CASES = Cases()


@CASES.kind("a stopped stage taken for a finished one")
def _(tmp_path):
    with captioned(tmp_path, FAULTS["401"]) as (_, _, error, _, _):
        assert "401" in str(error)
        workspace = Workspace(str(tmp_path / "ws"))
        states = json.loads(mvideo("status", "-w", workspace.url, "--json")[1])
        assert [(one["parts_done"], one["parts"]) for one in states if one["stage"] == "caption"] == [(0, 1)]
        assert "'caption' has not finished part 0" in str(mvideo("stage", "shard", "-w", workspace.url)[2])


@CASES.kind("empty split")
def _(tmp_path):
    workspace = finished(tmp_path, a=1, b=1)
    mvideo("stage", "shard", "-w", workspace.url, "-s", "shard.test_frac=0.01")
    code, said, _ = mvideo("stage", "report", "-w", workspace.url)
    assert code == 3
    assert "there is no test split" in said


@CASES.kind("card snippets that read a part")
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


@CASES.kind("JSON members without fields")
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


@CASES.kind("bytes changed in a shard")
def _(tmp_path):
    workspace = finished(tmp_path)
    mvideo("stage", "shard", "-w", workspace.url, "-s", "shard.test_frac=0")
    shard = next(published(workspace).rglob("*.tar"))
    content = bytearray(shard.read_bytes())
    content[content.index(b"A dog, take 0")] ^= 1
    shard.write_bytes(content)
    assert mvideo("dataset", "verify", published(workspace), "--deep")[0] == 1
    assert any(".txt" in one.what for one in verify_dataset(str(published(workspace)), deep=True))


@CASES.kind("options given twice")
def _(tmp_path):
    (tmp_path / "o.yaml").write_text("cut: {width: 64}\ncut: {height: 64}\n")
    _, _, error = mvideo("plan", "-w", tmp_path / "ws", "--folder", tmp_path, "-o", tmp_path / "o.yaml")
    assert "o.yaml" in str(error)
    assert "'cut' is given twice" in str(error)


@CASES.kind("`yes` in place of a number, taken for 1")
def _(tmp_path):
    (tmp_path / "o.yaml").write_text("segment: {trust: {model: mini}, gate: {min_trust: yes}}\n")
    _, _, error = mvideo("plan", "-w", tmp_path / "ws", "--folder", tmp_path, "-o", tmp_path / "o.yaml")
    assert "segment.gate: min_trust is true; expected a number" in str(error)


@CASES.kind("a damaged fit of trust")
def _(tmp_path):
    from mvideo_core.perception.segmentation.trust import find_model, model_path

    fit = json.loads(model_path("mini").read_text())
    fit["columns"][0][0] = -1  # NumPy takes it for the last feature
    (tmp_path / "fit.json").write_text(json.dumps(fit))
    with pytest.raises(ConfigError, match=r"fit\.json: not a fit of trust \(tree 0 has the feature -1"):
        find_model(str(tmp_path / "fit.json"), "sam2", fit["weights"])


@CASES.kind("a prompt cut at its comma")
def _(tmp_path):
    layers = "layers: [{input: main}], prompts: [A dog runs, and stops.]"
    (tmp_path / "r.yaml").write_text(f"title: t\ninputs: {{main: m}}\nvariants:\n  a: {{{layers}}}\n")
    _, _, error = mvideo("masks", "recipe", tmp_path / "r.yaml")
    assert "r.yaml: line 4: prompts: 'A dog runs' in brackets ends at a comma" in str(error)


@CASES.kind("two OpenCVs in one folder")
def _(tmp_path):
    (tmp_path / "opencv_python-4.dist-info").mkdir()
    (tmp_path / "opencv_python-4.dist-info" / "METADATA").write_text("Name: opencv-python\nVersion: 4\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        (found,) = system.opencv(CheckContext())
    assert (found.status, "opencv-python-headless and opencv-python are installed" in found.what) == ("problem", True)


@CASES.kind("a workspace that is not there")
def _(tmp_path):
    for command in ("status", "verify", "retry-failed", "gc", "encode"):
        code, said, error = mvideo(command, "-w", tmp_path / "none")
        assert (code, said) == (1, ""), command
        assert "none: no workspace there" in str(error), command
    assert "none: no workspace there" in str(mvideo("stage", "report", "-w", tmp_path / "none")[2])
    assert "none: no dataset there" in str(mvideo("dataset", "info", tmp_path / "none")[2])
    assert not (tmp_path / "none").exists()

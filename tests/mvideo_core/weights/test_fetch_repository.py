"""Whole repositories through the real hub client, from a loopback hub that cuts, stalls, refuses and redirects."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants
import pytest
import typer
from huggingface_hub import snapshot_download
from typer.testing import CliRunner

from mvideo_core.base.errors import ConfigError, ModelError, StoreError
from mvideo_core.cli import weights as weights_commands
from mvideo_core.weights import check, fetch, find
from mvideo_core.weights.records import read_record
from tests.mvideo_core.weights.loopback_hub import (
    COMMIT_2B,
    COMMIT_5B,
    Repo,
    cogvideox,
    needed,
    sha256,
    sharded,
    single,
)

SHARD = "transformer/diffusion_pytorch_model-00001-of-00002.safetensors"
ROOT = Path(__file__).parents[3]


def on_disk(folder):
    """Digest of every file of a folder, but for the record of the fetch."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "fetched.json"]
    return {path.relative_to(folder).as_posix(): sha256(path.read_bytes()) for path in paths}


def digests(files):
    return {path: sha256(content) for path, content in files.items()}


@pytest.mark.parametrize(("name", "commit", "layers"), [("2b", COMMIT_2B, 30), ("5b", COMMIT_5B, 42)])
def test_what_is_needed_comes_once(hub, name, commit, layers):
    folder = fetch(f"cogvideox-{name}")
    assert on_disk(folder) == digests(needed(cogvideox(layers)))
    record = read_record(folder)
    assert (record.repository, record.commit) == (f"zai-org/CogVideoX-{name}", commit)
    asked = len(hub.requests)
    assert fetch(f"cogvideox-{name}") == folder
    assert len(hub.requests) == asked, "a complete folder needs no network"
    states = check(f"cogvideox-{name}")
    assert {state.problem for state in states} == {""}
    assert all(state.pinned for state in states)
    assert find(f"cogvideox-{name}") == folder


def test_cut_off_twice_within_one_fetch(hub):
    """The right ranges are those that the server sent: 5,000 bytes, then 20,000 more, of a shard of 288 kB."""
    hub.cut_after[SHARD] = [5000, 20000]
    folder = fetch("cogvideox-5b")
    assert hub.downloads(SHARD) == ["", "bytes=5000-", "bytes=25000-"]
    assert on_disk(folder) == digests(needed(cogvideox(42)))


def test_killed_twice_the_command_continues_where_it_was(hub, tmp_path):
    """SIGKILL in the middle of one shard, and later of another: no byte that was written is asked for again."""
    other = "text_encoder/model-00002-of-00002.safetensors"
    hub.stall_after |= {SHARD: [100_000], other: [40_000]}
    for written in (100_000, 40_000):
        process = mvideo("fetch", "cogvideox-5b")
        assert hub.stalled.wait(60)
        hub.stalled.clear()
        until(lambda expected=written: part_bytes(tmp_path) == expected)
        process.send_signal(signal.SIGKILL)
        process.wait()
    found = run("fetch", "cogvideox-5b")
    assert found.returncode == 0, found.stderr
    assert "(40.0 kB already downloaded)" in found.stderr
    assert on_disk(tmp_path / "weights/cogvideox-5b") == digests(needed(cogvideox(42)))
    assert hub.downloads(SHARD) == ["", "bytes=100000-"]
    assert hub.downloads(other) == ["", "bytes=40000-"]
    assert {state.problem for state in check("cogvideox-5b")} == {""}


def test_refused_again_and_again_the_part_stays(hub, tmp_path):
    hub.cut_after[SHARD] = [5000, 0, 0, 0, 0]
    with pytest.raises(
        ModelError, match=r"5000 bytes are kept in .*00001-of-00002\.safetensors\.part, rerun the command"
    ):
        fetch("cogvideox-5b")
    assert fetch("cogvideox-5b")
    assert hub.downloads(SHARD)[-1] == "bytes=5000-"
    assert not list(tmp_path.rglob("*.part"))


def test_changed_on_the_way_is_refused(hub):
    """Listing and content come from two states of the repository: the first byte of one shard differs."""
    files = hub.repos["zai-org/CogVideoX-5b"].files
    hub.replaced[SHARD] = b"\0" + files[SHARD][1:]
    with pytest.raises(ModelError, match=r"sha256 \w{12}\.\.\., expected \w{12}\.\.\.; they are removed"):
        fetch("cogvideox-5b")
    states = {state.path.name: state.problem for state in check("cogvideox-5b")}
    assert states[Path(SHARD).name] == "missing"


def test_files_of_the_hugging_face_cache_are_linked(hub, tmp_path):
    """The cache is filled by the hub's own client, under the name that the repository had before."""
    hub.repos["THUDM/CogVideoX-5b"] = hub.repos["zai-org/CogVideoX-5b"]
    snapshot = Path(snapshot_download("THUDM/CogVideoX-5b", endpoint=hub.url, max_workers=1))
    (snapshot / SHARD).resolve().write_bytes(b"damaged")
    hub.requests.clear()
    folder = fetch("cogvideox-5b")
    assert [one.path.rsplit("/", 1)[-1] for one in hub.requests if one.path.startswith("/content/")] == [
        Path(SHARD).name
    ]
    links = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink()}
    assert links == set(needed(cogvideox(42))) - {SHARD}
    assert on_disk(folder) == digests(needed(cogvideox(42)))
    shutil.rmtree(tmp_path / "cache")
    states = {state.path.relative_to(folder).as_posix(): state.problem for state in check("cogvideox-5b")}
    assert "which does not exist" in states["tokenizer/spiece.model"]
    assert states[SHARD] == ""
    fetch("cogvideox-5b")
    assert on_disk(folder) == digests(needed(cogvideox(42)))


def test_offline_the_cache_is_enough(hub, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        with pytest.raises(ModelError, match="HF_HUB_OFFLINE is set, and the local Hugging Face cache has no zai-org"):
            fetch("cogvideox-2b")
    snapshot_download("zai-org/CogVideoX-2b", revision=COMMIT_2B, endpoint=hub.url, max_workers=1)
    hub.requests.clear()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert on_disk(fetch("cogvideox-2b")) == digests(needed(cogvideox(30)))
    assert hub.requests == []
    assert read_record(find("cogvideox-2b")).commit == COMMIT_2B


def test_files_copied_by_hand_are_compared_and_kept(hub, tmp_path):
    folder = tmp_path / "weights/cogvideox-5b"
    for path, content in needed(cogvideox(42)).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    (folder / "tokenizer/spiece.model").unlink()
    (folder / SHARD).write_bytes(b"x" * (folder / SHARD).stat().st_size)
    fetch("cogvideox-5b")
    brought = {one.path.rsplit("/", 1)[-1] for one in hub.requests if one.path.startswith("/content/")}
    assert brought == {"spiece.model", Path(SHARD).name}


def test_a_fetch_from_a_branch_stays_at_its_commit(hub):
    hub.cut_after["transformer/diffusion_pytorch_model.safetensors"] = [1000] + [0] * 9
    with pytest.raises(ModelError, match="1000 bytes are kept"):
        fetch("cogvideox-2b", revision="main")
    hub.cut_after.clear()
    before = hub.repos["zai-org/CogVideoX-2b"]
    hub.repos["zai-org/CogVideoX-2b"] = Repo("f" * 40, before.files | {"model_index.json": b"{}"})
    with pytest.raises(ModelError, match=f"no revision {COMMIT_2B}"):  # gone from this hub, and not replaced silently
        fetch("cogvideox-2b", revision="main")
    hub.repos["zai-org/CogVideoX-2b"] = before
    assert on_disk(fetch("cogvideox-2b", revision="main")) == digests(needed(cogvideox(30)))
    assert read_record(find("cogvideox-2b")).commit == COMMIT_2B


REFUSALS = {
    "gated": r"zai-org/CogVideoX-2b is gated \(no token is set\): accept its terms at {url}/zai-org/CogVideoX-2b, .*"
    "set HF_TOKEN",
    "gated, token": r"is gated \(the token in use is not allowed to\): accept its terms at {url}/zai-org/CogVideoX-2b",
    "private": r"{url} shows no repository zai-org/CogVideoX-2b \(status 401, no token is set\); .*HF_TOKEN",
    "revision": r"zai-org/CogVideoX-2b has no revision 1137dac\w+ at {url}; use another with --revision",
    "token": r"{url} refuses the token \(status 401\); set HF_TOKEN to a valid one, or unset it",
    "fault": r"{url} returns status 503 for zai-org/CogVideoX-2b: the hub has a fault; wait",
    "limit": r"status 429 for zai-org/CogVideoX-2b: too many requests; wait a few minutes",
    "portal": r"{url} does not respond like the hub .*check HF_ENDPOINT and the proxy",
    "closed": r"cannot reach http://127\.0\.0\.1:9: .*refused; check the network, HF_ENDPOINT",
    "scheme": r"cannot reach localhost:9: .*; check the network, HF_ENDPOINT",
    "outside": r"{url} does not respond like the hub \(it lists '\.\./\.\./evil\.json', which leaves the folder\)",
    "incomplete": r"zai-org/CogVideoX-2b at 1137dacfc2c9 on {url} lacks "
    r"tokenizer/spiece\.model, vae/diffusion_pytorch_model\.safetensors",
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_refusals_are_one_line_with_a_remedy(hub, kind, monkeypatch, tmp_path):
    repo = hub.repos["zai-org/CogVideoX-2b"]
    hub.tokens.add("hf_good")
    if kind.startswith("gated"):
        repo.gated = True
        if "token" in kind:
            monkeypatch.setenv("HF_TOKEN", "hf_good")
    elif kind == "private":
        repo.private = True
    elif kind == "revision":
        repo.commit = "0" * 40
    elif kind == "token":
        monkeypatch.setenv("HF_TOKEN", "hf_bad")
    elif kind in ("fault", "limit", "portal"):
        status = {"fault": 503, "limit": 429, "portal": 200}[kind]
        hub.answers["/api/"] = (status, {"Content-Type": "text/html"}, b"<!DOCTYPE html><title>log in</title>")
    elif kind == "outside":
        repo.files["../../evil.json"] = b"{}"
    elif kind in ("closed", "scheme"):
        monkeypatch.setenv("HF_ENDPOINT", {"closed": "http://127.0.0.1:9", "scheme": "localhost:9"}[kind])
    else:
        for path in ("tokenizer/spiece.model", "vae/diffusion_pytorch_model.safetensors"):
            del repo.files[path]
    with pytest.raises(ModelError, match=REFUSALS[kind].replace("{url}", hub.url)) as caught:
        fetch("cogvideox-2b")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("weights/**/*.safetensors"))


def test_the_token_goes_to_the_hub_and_not_to_its_storage(hub, monkeypatch):
    hub.tokens.add("hf_good")
    hub.accepted.add("hf_good")
    hub.repos["zai-org/CogVideoX-2b"].gated = True
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    fetch("cogvideox-2b")
    assert {one.token for one in hub.requests if one.host.startswith("127.0.0.1")} == {"hf_good"}
    assert {one.token for one in hub.requests if one.host.startswith("localhost")} == {""}


def test_the_disk_is_compared_before_the_first_byte(hub, tmp_path):
    hub.sizes["vae/diffusion_pytorch_model.safetensors"] = 10**18
    with pytest.raises(StoreError, match=r"cogvideox-2b needs 1000000000\.\d GB more, but only .* GB are free; free "):
        fetch("cogvideox-2b")
    assert hub.downloads() == []
    assert not (tmp_path / "weights/cogvideox-2b").exists()


@pytest.mark.slow
def test_commands_use_home_proxy_and_bring_all_of_a_profile(hub, tmp_path):
    """Two trainings' bases: one from the cache of HF_HOME, one through HTTP_PROXY from a name that only it knows."""
    environment = os.environ | {"HF_HOME": str(tmp_path / "home")}
    filled = [sys.executable, "-c", "import huggingface_hub as h; h.snapshot_download('zai-org/CogVideoX-2b')"]
    subprocess.run(filled, env=environment, check=True, capture_output=True)
    hub.requests.clear()
    found = run("fetch", "--for-training", "mvideo-2b", env=environment)
    assert found.returncode == 0, found.stderr
    assert "cogvideox-2b (base model): " in found.stdout
    assert "linked from the Hugging Face cache" in found.stderr
    assert "to download" not in found.stderr
    assert hub.downloads() == []
    behind = environment | {"HF_ENDPOINT": "http://hub.invalid", "HTTP_PROXY": hub.url, "NO_PROXY": "localhost"}
    found = run("fetch", "cogvideox-5b", env=behind)
    assert found.returncode == 0, found.stderr
    assert "hub.invalid" in {one.host for one in hub.requests}
    assert on_disk(tmp_path / "weights/cogvideox-5b") == digests(needed(cogvideox(42)))


def test_all_that_a_data_profile_and_a_system_need(hub, tmp_path):
    """Detector, captioner and generator come; the segmenter is the project's own."""
    detector = single("model", 2000, 4) | {"config.json": b"{}", "vocab.txt": b"[PAD]\n", "pytorch_model.bin": b"PK"}
    captioner = sharded("model", 2, 1500, 5) | {"config.json": b"{}", "tokenizer_config.json": b"{}"}
    captioner |= {"preprocessor_config.json": b"{}", "chat_template.jinja": b"{{ messages }}", "README.md": b"#"}
    hub.repos["IDEA-Research/grounding-dino-tiny"] = Repo("a2bb814dd30d776dcf7e30523b00659f4f141c71", detector)
    hub.repos["HuggingFaceTB/SmolVLM2-2.2B-Instruct"] = Repo("482adb537c021c86670beed01cd58990d01e72e4", captioner)
    profile = tmp_path / "mine.yaml"
    profile.write_text(
        "detect: {detector: transformers-groundingdino}\n"
        "segment: {segmenter: sam2, segmenter_options: {weights: mini}}\n"
        "caption: {captioner: transformers_vlm, captioner_options: {model_dir: smolvlm2-2.2b}}\n"
    )
    said = in_process("fetch", "--for-profile", str(profile), "--for-system", "cogvideox-2b")
    assert said.exit_code == 0
    folders = [line.rsplit(": ", 1)[1] for line in said.stdout.splitlines()]
    names = ["hf-grounding-dino-tiny", "sam2", "smolvlm2-2.2b", "cogvideox-2b"]
    assert [Path(folder).name for folder in folders] == names
    assert on_disk(Path(folders[0])) == digests({k: v for k, v in detector.items() if not k.endswith(".bin")})
    assert on_disk(Path(folders[2])) == digests({k: v for k, v in captioner.items() if k != "README.md"})
    assert "transformer/config.json  " in said.stderr
    assert check("smolvlm2-2.2b")[0].pinned


def test_what_cannot_be_fetched_does_not_hold_up_the_rest(hub):
    hub.repos["zai-org/CogVideoX-5b"].gated = True
    said = in_process("fetch", "cogvideox-5b", "cogvideox-2b")
    assert isinstance(said.exception, ModelError)
    assert "not fetched: cogvideox-5b" in str(said.exception)
    assert "accept its terms at" in said.stderr
    assert find("cogvideox-2b")


def test_a_profile_that_asks_a_server_says_so(hub, tmp_path):
    profile = tmp_path / "mine.yaml"
    profile.write_text("caption: {captioner: openai_compatible}\n")
    said = in_process("fetch", "--for-profile", str(profile))
    assert "captioner openai_compatible: uses the server at http" in said.stdout
    assert hub.requests == []


def test_sizes_are_asked_for(hub):
    lines = {line.split()[1]: line for line in in_process("list", "--online").stdout.splitlines()}
    total = sum(map(len, needed(cogvideox(42)).values()))
    assert f" {total / 1e6:.1f} MB  not here " in lines["cogvideox-5b"]
    assert " no answer  not here " in lines["qwen3-vl-4b"]


@pytest.mark.parametrize("call", [["fetch"], ["fetch", "cogvideox-2b", "cogvideox-5b", "--revision", "main"]])
def test_calls_without_sense_are_refused(call):
    assert isinstance(in_process(*call).exception, ConfigError)


def in_process(*arguments):
    """`mvideo weights ...` here, without a process of its own."""
    app = typer.Typer()
    weights_commands.add_to(app)
    return CliRunner().invoke(app, ["weights", *arguments])


def mvideo(*arguments, env=None):
    """`mvideo weights ...` as a process."""
    command = [sys.executable, "-m", "mvideo_core.cli.main", "weights", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, env=env or os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run(*arguments, env=None):
    process = mvideo(*arguments, env=env)
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def part_bytes(tmp_path):
    return sum(path.stat().st_size for path in tmp_path.rglob("*.part"))


def until(condition, seconds=30.0):
    import time

    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)

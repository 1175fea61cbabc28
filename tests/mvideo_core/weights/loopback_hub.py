"""A small server on loopback that speaks the Hugging Face hub's API, and tiny repositories in the published layouts."""

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import numpy as np
from safetensors.numpy import save

COMMIT_2B = "1137dacfc2c9c012bed6a0793f4ecf2ca8e7ba01"
COMMIT_5B = "8d6ea3f817438460b25595a120f109b88d5fdfad"
LFS_ENDINGS = (".safetensors", ".bin", ".model", ".pth", ".gif")


@dataclass
class Repo:
    """One repository at one commit, which `main` names."""

    commit: str
    files: dict[str, bytes]
    gated: bool = False
    private: bool = False


@dataclass
class Request:
    """What a client asked."""

    method: str
    host: str
    path: str
    range: str
    token: str


@dataclass
class Hub:
    """State of the server.

    Attributes:
        cut_after: file -> bytes to send before the connection is cut, one number for each request of the file.
        stall_after: file -> bytes to send before the server falls silent, one number for each request of the file.
        sizes: file -> size that the listing states in place of the true one.
        replaced: file -> content that is sent in place of the listed one.
        answers: path prefix -> (status, headers, body) in place of what the hub says.
        tokens: that are valid; others are refused.
        accepted: tokens whose owners accepted the terms of the gated repositories.
    """

    repos: dict[str, Repo] = field(default_factory=dict)
    port: int = 0
    cut_after: dict[str, list[int]] = field(default_factory=dict)
    stall_after: dict[str, list[int]] = field(default_factory=dict)
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    replaced: dict[str, bytes] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    accepted: set[str] = field(default_factory=set)
    requests: list[Request] = field(default_factory=list)
    stalled: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Endpoint."""
        return f"http://127.0.0.1:{self.port}"

    def downloads(self, ending: str = "") -> list[str]:
        """Ranges of the GET requests for content whose file ends so, in order."""
        return [one.range for one in self.requests if one.method == "GET" and "/api/" not in one.path
                and one.path.endswith(ending) and "/resolve/" not in one.path]  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    """Model info, HEAD and GET of files; large ones by way of a redirect to another host, as the hub does."""

    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> Hub:
        """Shared state."""
        return self.server.hub  # type: ignore[attr-defined]

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        path = unquote(urlsplit(self.path).path)
        host = urlsplit(self.path).netloc or self.headers.get("Host", "")
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.hub.requests.append(Request(self.command, host, path, self.headers.get("Range", ""), token))
        for prefix, (status, headers, body) in self.hub.answers.items():
            if path.startswith(prefix):
                self.reply(status, headers, body)
                return
        if path.startswith("/content/"):
            self.send_content(path.removeprefix("/content/"))
            return
        if token and token not in self.hub.tokens:
            self.refuse(401, {"X-Error-Message": "Invalid credentials in Authorization header"})
            return
        if info := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            self.send_info(info[1], info[2] or "main", token)
        elif tree := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/(.+)", path):
            self.send_tree(tree[1], tree[2], token)
        elif file := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self.send_file(file[1], file[2], file[3], token)
        else:
            self.refuse(404, {})

    def found(self, name, revision, token):
        repo = self.hub.repos.get(name)
        if repo is None or (repo.private and not token):
            self.refuse(401, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        elif revision not in ("main", repo.commit):
            self.refuse(404, {"X-Error-Code": "RevisionNotFound", "X-Error-Message": f"Invalid rev id: {revision}"})
        else:
            return repo
        return None

    def send_info(self, name, revision, token):
        repo = self.found(name, revision, token)
        if repo is None:
            return
        siblings = []
        for path, content in repo.files.items():
            one = {"rfilename": path, "size": self.hub.sizes.get(path, len(content)), "blobId": git_sha1(content)}
            if path.endswith(LFS_ENDINGS):
                one["lfs"] = {"sha256": sha256(content), "size": one["size"], "pointerSize": 135}
            siblings.append(one)
        page = {"id": name, "sha": repo.commit, "gated": "manual" if repo.gated else False, "siblings": siblings}
        self.reply(200, {"Content-Type": "application/json"}, json.dumps(page).encode())

    def send_tree(self, name, revision, token):
        repo = self.found(name, revision, token)
        if repo is None:
            return
        page = []
        for path, content in repo.files.items():
            one = {"type": "file", "path": path, "size": len(content), "oid": git_sha1(content)}
            if path.endswith(LFS_ENDINGS):
                one["lfs"] = {"oid": sha256(content), "size": len(content), "pointerSize": 135}
            page.append(one)
        self.reply(200, {"Content-Type": "application/json"}, json.dumps(page).encode())

    def send_file(self, name, revision, path, token):
        repo = self.found(name, revision, token)
        if repo is None:
            return
        if repo.gated and token not in self.hub.accepted:
            self.refuse(403 if token else 401, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
            return
        content = repo.files.get(path)
        if content is None:
            self.refuse(404, {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"})
            return
        large = path.endswith(LFS_ENDINGS)
        headers = {"X-Repo-Commit": repo.commit, "ETag": f'"{sha256(content) if large else git_sha1(content)}"'}
        if large or self.command == "GET":
            place = f"http://localhost:{self.hub.port}/content/{name}/{path}"
            linked = {"X-Linked-Size": str(len(content)), "X-Linked-ETag": headers["ETag"], "Location": place}
            self.reply(302, headers | linked, b"")
        else:
            self.reply(200, headers | {"Content-Length": str(len(content))}, b"")

    def send_content(self, path):
        owner, name, file = path.split("/", 2)
        content = self.hub.replaced.get(file, self.hub.repos[f"{owner}/{name}"].files[file])
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        if start >= len(content) > 0:
            self.refuse(416, {})
            return
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        cut, stall = self.hub.cut_after.get(file), self.hub.stall_after.get(file)
        limit = cut.pop(0) if cut else stall[0] if stall else None
        self.wfile.write(content[start:] if limit is None else content[start : start + limit])
        self.wfile.flush()
        if limit is not None:
            self.close_connection = True
            if not cut and stall:
                stall.pop(0)
                self.hub.stalled.set()
                time.sleep(60)

    def refuse(self, status, headers):
        self.reply(status, headers, b"")

    def reply(self, status, headers, body):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args):
        pass


@contextmanager
def running_hub() -> Iterator[Hub]:
    """A server on a free port, in a thread of this process."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.daemon_threads = True
        httpd.block_on_close = False
        hub = Hub(port=httpd.server_port)
        httpd.hub = hub  # type: ignore[attr-defined]
        threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True).start()
        yield hub
        httpd.shutdown()


def sha256(content: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(content).hexdigest()


def git_sha1(content: bytes) -> str:
    """As `git hash-object` prints it."""
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


def sharded(stem: str, n_shards: int, size: int, seed: int) -> dict[str, bytes]:
    """Files of a model in shards, with their index."""
    rng = np.random.default_rng(seed)
    files, places = {}, {}
    for n in range(1, n_shards + 1):
        tensors = {f"block.{n}.{k}.weight": rng.standard_normal((size, 8)).astype(np.float16) for k in range(3)}
        name = f"{stem}-{n:05d}-of-{n_shards:05d}.safetensors"
        files[name] = save(tensors)
        places |= dict.fromkeys(tensors, name.rsplit("/", 1)[-1])
    total = sum(map(len, files.values()))
    index = {"metadata": {"total_size": total}, "weight_map": places}
    return files | {f"{stem}.safetensors.index.json": json.dumps(index, indent=2).encode()}


def single(stem: str, size: int, seed: int) -> dict[str, bytes]:
    """One file of weights."""
    rng = np.random.default_rng(seed)
    return {f"{stem}.safetensors": save({"weight": rng.standard_normal((size, 8)).astype(np.float16)})}


def cogvideox(layers: int) -> dict[str, bytes]:
    """Files of CogVideoX-2b (30 layers) or -5b (42), named as published; what is not needed is there, too."""
    parts = {
        "scheduler": ["diffusers", "CogVideoXDDIMScheduler"],
        "text_encoder": ["transformers", "T5EncoderModel"],
        "tokenizer": ["transformers", "T5Tokenizer"],
        "transformer": ["diffusers", "CogVideoXTransformer3DModel"],
        "vae": ["diffusers", "AutoencoderKLCogVideoX"],
    }
    configs = {
        "model_index.json": {"_class_name": "CogVideoXPipeline", "_diffusers_version": "0.30.0"} | parts,
        "scheduler/scheduler_config.json": {"_class_name": "CogVideoXDDIMScheduler"},
        "text_encoder/config.json": {"model_type": "t5", "d_model": 4096},
        "tokenizer/added_tokens.json": {"<extra_id_0>": 32099},
        "tokenizer/special_tokens_map.json": {"eos_token": "</s>"},
        "tokenizer/tokenizer_config.json": {"tokenizer_class": "T5Tokenizer"},
        "transformer/config.json": {"num_layers": layers, "use_rotary_positional_embeddings": layers == 42},
        "vae/config.json": {"latent_channels": 16},
    }
    files = {path: json.dumps(content, indent=2).encode() for path, content in configs.items()}
    transformer = "transformer/diffusion_pytorch_model"
    files |= single(transformer, 9000, 1) if layers == 30 else sharded(transformer, 2, 6000, 1)
    files |= sharded("text_encoder/model", 2, 5000, 2) | single("vae/diffusion_pytorch_model", 3000, 3)
    files["tokenizer/spiece.model"] = bytes(range(256)) * 12
    extra = {".gitattributes": b"*.safetensors filter=lfs\n", "README.md": b"# CogVideoX\n", "LICENSE": b"Apache\n"}
    extra |= {"text_encoder/pytorch_model.bin": b"PK" * 50, "vae/diffusion_pytorch_model.fp16.safetensors": b"x" * 99}
    return files | extra


def needed(files: dict[str, bytes]) -> dict[str, bytes]:
    """Those of `cogvideox` that a fetch has to bring."""
    unwanted = (".md", "LICENSE", ".gitattributes", ".bin", ".fp16.safetensors")
    return {path: content for path, content in files.items() if not path.endswith(unwanted)}

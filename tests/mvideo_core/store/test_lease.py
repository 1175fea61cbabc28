"""Owners of a part on an object store: one at a time, and whatever they do, a part is published once."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from mvideo_core.base.errors import StoreError
from mvideo_core.base.options import Options
from mvideo_core.engine.part import run_part
from mvideo_core.store import lease
from mvideo_core.store.files import Folder
from mvideo_core.store.lease import Lease, LeaseLost
from mvideo_core.store.lock import part_lock
from mvideo_core.store.workspace import Workspace
from tests import s3_server
from tests.mvideo_core.store import bucket, part_owner
from tests.mvideo_core.store.bucket import BucketFileSystem

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A bucket in memory; leases expire after 0.4 s and are never renewed."""
    bucket.register()
    BucketFileSystem.fresh("films")
    monkeypatch.setattr(lease, "RENEW_S", 60.0)
    monkeypatch.setattr(lease, "EXPIRE_S", 0.4)
    monkeypatch.setattr(lease, "POLL_S", 0.05)
    return Folder("s3://films/ws")


def test_a_living_owner_keeps_its_part(folder, monkeypatch):
    monkeypatch.setattr(lease, "RENEW_S", 0.05)
    first, second = Lease(folder, "a", "the first"), Lease(folder, "a", "the second")
    with first.hold(0), pytest.raises(BlockingIOError, match="the first"), second.hold(1.0):
        pass
    assert list(folder.walk("locks")) == []
    words = r"a: process \d+ on \S+ works on this part"
    with part_lock(folder, "a", 0), pytest.raises(StoreError, match=words), part_lock(folder, "a", 0.2):
        pass


def test_a_silent_owner_loses_its_part_and_learns_it(folder, monkeypatch):
    first, second = Lease(folder, "a", "the first"), Lease(folder, "a", "the second")
    with first.hold(0):
        first.check()
        with second.hold(5):
            monkeypatch.setattr(lease, "RENEW_S", 0.0)
            time.sleep(0.01)
            second.check()
            with pytest.raises(LeaseLost, match="another process took over this part"):
                first.check()
    assert [name for name in folder.walk("locks") if folder.read_or_none(name)] == []


def test_an_error_gives_the_part_back(folder):
    with pytest.raises(KeyboardInterrupt), Lease(folder, "a", "the first").hold(0):
        raise KeyboardInterrupt
    with Lease(folder, "a", "the second").hold(0):
        pass


def test_the_part_of_a_process_that_is_gone_is_free_at_once(folder, monkeypatch):
    monkeypatch.setattr(lease, "EXPIRE_S", 3600.0)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owned = Lease(folder, "a", "the child")
    owned._content["process"] = [lease._machine(), child.pid, lease.ticks_of(child.pid)]
    assert owned._try() == ""
    with pytest.raises(BlockingIOError), Lease(folder, "a", "me").hold(0):
        pass
    child.kill()
    child.wait()
    with Lease(folder, "a", "me").hold(0):
        pass
    owned._content["process"] = ["another machine", child.pid, 1]
    assert owned._try() == ""
    with pytest.raises(BlockingIOError), Lease(folder, "a", "me").hold(0):
        pass


def test_what_is_published_is_not_overwritten(folder, tmp_path):
    assert folder.create("done/a.json", b"1")
    assert folder.create("done/a.json", b"1")  # the answer to our own put was lost
    assert not folder.create("done/a.json", b"2")
    for _ in range(2):
        (tmp_path / "c").write_bytes(b"x")
        assert folder.publish(tmp_path / "c", "b/c.mp4", hashlib.sha256(b"x").hexdigest()) == "b/c.mp4"
        assert not (tmp_path / "c").exists()
    sha256 = hashlib.sha256(b"y").hexdigest()
    assert folder.publish(b"y", "b/c.mp4", sha256) == f"b/c-{sha256[:8]}.mp4"
    assert (folder.read("b/c.mp4"), folder.read(f"b/c-{sha256[:8]}.mp4")) == (b"x", b"y")
    BucketFileSystem.store[f"/films/ws/b/c-{sha256[:8]}.mp4"].write(b"damaged")
    with pytest.raises(StoreError, match="is damaged"):
        folder.publish(b"y", "b/c.mp4", sha256)


def test_a_marker_without_its_files_does_not_count(folder):
    workspace = Workspace(folder.url)
    part_owner.plan(folder.url)
    first = run_part(workspace, part_owner.NAMED, 0, Options()).marker
    folder.remove(first.rows.path)
    again = run_part(workspace, part_owner.NAMED, 0, Options())
    assert (again.reused, again.marker.digest) == (False, first.digest)
    assert workspace.is_complete(workspace.current("named", 0), part_owner.NamedRow)


# two real processes and moto's server


class Owner:
    """A process of `part_owner`."""

    def __init__(self, url: str, known: dict[str, str], *pause: str):
        argv = [sys.executable, "-m", "tests.mvideo_core.store.part_owner", url, *pause]
        self.process = subprocess.Popen(
            argv, stdout=subprocess.PIPE, text=True, env={**os.environ, **known}, cwd=ROOT
        )  # fmt: skip
        self.lines: list[str] = []

    def until(self, line: str) -> None:
        assert self.process.stdout is not None
        while line not in self.lines:
            self.lines.append(self.process.stdout.readline().strip())
            assert self.lines[-1], f"ended before {line!r}: {self.lines}"

    def end(self) -> list[str]:
        assert self.process.stdout is not None
        self.lines += self.process.stdout.read().split("\n")[:-1]
        assert self.process.wait(60) == 0, self.lines
        return self.lines

    def items(self) -> Counter[str]:
        return Counter(line for line in self.lines if line.startswith("item"))


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    if not s3_server.INSTALLED:
        pytest.skip(s3_server.SKIP)
    with s3_server.s3_server("films") as known:
        yield known


@pytest.fixture
def url(server, request) -> str:
    """A workspace with a plan."""
    url = f"s3://films/{re.sub(r'[^a-z0-9]+', '-', request.node.name)}"
    code = f"from tests.mvideo_core.store import part_owner; part_owner.plan({url!r})"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env={**os.environ, **server})
    return url


def published(server: dict[str, str], url: str) -> None:
    """One marker, written once; no file that ever had another content."""
    prefix = url.removeprefix("s3://films/")
    found = s3_server.versions(server["AWS_ENDPOINT_URL"], "films")
    areas = ("done/named", "rows/named", "blobs/named")
    ours = {key: contents for key, contents in found.items() if key.removeprefix(f"{prefix}/").startswith(areas)}
    assert {key: len(set(contents)) for key, contents in ours.items()} == dict.fromkeys(ours, 1)
    assert [len(contents) for key, contents in ours.items() if "/done/named/" in key] == [1]


@pytest.mark.slow
def test_two_owners_at_once_share_the_work_of_one(server, url):
    owners = [Owner(url, server), Owner(url, server)]
    ends = [owner.end()[-1] for owner in owners]
    assert ends[0] == ends[1]
    assert sorted((owners[0].items() + owners[1].items()).values()) == [1] * len(part_owner.KEYS)
    published(server, url)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["item v03", "commit"])
def test_an_owner_that_sleeps_through_its_lease_publishes_nothing(server, url, moment):
    """It wakes up after another owner has published other bytes."""
    sleeper = Owner(url, server, moment)
    sleeper.until(moment)
    other = Owner(url, server)
    assert other.end()[-1].startswith("end")
    sleeper.process.send_signal(signal.SIGCONT)
    assert sleeper.end()[-1] == other.lines[-1]
    assert bool(other.items()) == (moment != "commit")  # otherwise the journal has all of them
    published(server, url)


@pytest.mark.slow
def test_a_killed_owner_is_followed_at_once(server, url):
    killed = Owner(url, server, "item v03")
    killed.until("item v03")
    killed.process.kill()
    killed.process.wait()
    started = time.monotonic()
    assert Owner(url, server).end()[-1].startswith("end")
    assert time.monotonic() - started < 60
    published(server, url)

"""Two hosts on one machine: network, process, host name and mount namespaces of their own, joined by a switch.

They share the file system of this machine, except /tmp/ray and /etc/hosts. Needs root and Linux; `missing` says what
is not there.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.e2e.harness import until

PROGRAMS = ("ip", "nsenter", "unshare", "mount", "hostname")
NETWORK = f"10.{100 + os.getpid() % 100}.{os.getpid() // 100 % 250}"
"""Of this process, so that two tests at once do not meet."""
NAMES = {"head": f"{NETWORK}.1", "second": f"{NETWORK}.2"}
INIT = (
    "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)\nprint('up', flush=True)\nwhile True: signal.pause()"
)
"""First process of a host: its death ends all others, and it lets the kernel bury orphans."""


def missing() -> str:
    """Why two hosts cannot be made here; "" if they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if gone := [name for name in PROGRAMS if not shutil.which(name)]:
        return f"programs are missing: {', '.join(gone)}"
    name = f"mvt{os.getpid()}"
    for words in (("link", "add", name, "type", "bridge"), ("link", "del", name)):
        done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return f"`ip {' '.join(words)}` fails here: {done.stderr.strip()}"
    return ""


class Host:
    """One host; use it in a `with` block.

    Args:
        name: of NAMES; also its host name.
        switch: name of the bridge.
        folder: for its temporary files, and what it writes to /tmp/ray.
    """

    def __init__(self, name: str, switch: str, folder: Path):
        self.name, self.address, self.folder = name, NAMES[name], folder
        self._switch = switch
        self._space = f"{switch}-{name}"
        self._link = f"{switch}-{self.address[-1]}"
        self._init: subprocess.Popen[str] | None = None
        self._first = 0

    def __enter__(self) -> "Host":
        (self.folder / "ray").mkdir(parents=True, exist_ok=True)
        (self.folder / "tmp").mkdir(exist_ok=True)
        Path("/tmp/ray").mkdir(exist_ok=True)
        _ip("netns", "add", self._space)
        _ip("link", "add", self._link, "type", "veth", "peer", "name", "eth0", "netns", self._space)
        _ip("link", "set", self._link, "master", self._switch, "up")
        for words in (("addr", "add", f"{self.address}/24", "dev", "eth0"), ("link", "set", "eth0", "up")):
            _ip("-n", self._space, *words)
        _ip("-n", self._space, "link", "set", "lo", "up")
        known = "".join(f"{address} {name}\n" for name, address in NAMES.items())
        (self.folder / "hosts").write_text(f"127.0.0.1 localhost\n{known}")
        script = (
            f"hostname {self.name} && mount --bind {self.folder}/ray /tmp/ray && "
            f'mount --bind {self.folder}/hosts /etc/hosts && exec "$@"'
        )
        argv = ["ip", "netns", "exec", self._space, "unshare", "--pid", "--uts", "--mount", "--fork", "--mount-proc"]
        self._init = subprocess.Popen(
            [*argv, "--kill-child", "sh", "-c", script, "sh", sys.executable, "-c", INIT],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._init.stdout is not None
        assert self._init.stdout.readline() == "up\n"
        self._first = self._first_process()
        return self

    def __exit__(self, *error: object) -> None:
        if self._init is not None:
            self.kill()
            self._init.wait(60)
        for words in (("netns", "del", self._space), ("link", "del", self._link)):
            subprocess.run(["ip", *words], capture_output=True, check=False)
        shutil.rmtree(self.folder / "ray", ignore_errors=True)

    def command(self, *words: str) -> list[str]:
        """Command line that runs `words` on this host."""
        return ["nsenter", "-t", str(self._first), "-n", "-p", "-u", "-m", *words]

    def run(self, *words: str, known: Mapping[str, str], timeout_s: float = 300) -> str:
        """Run a command of this environment's Python to its end. Returns: its standard output."""
        done = subprocess.run(
            self.command(*words), env=self.environment(known), capture_output=True, text=True, timeout=timeout_s,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{self.name}: {' '.join(words)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    def environment(self, known: Mapping[str, str]) -> dict[str, str]:
        """This process's environment without Prefect's variables, with this host's TMPDIR and `known`."""
        mine = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MVIDEO_"))}
        return {**mine, "TMPDIR": str(self.folder / "tmp"), **known}

    def unplug(self) -> None:
        """Take its link down."""
        _ip("link", "set", self._link, "down")

    def kill(self) -> int:
        """kill -9 every process of the host. Returns: how many there were."""
        done = subprocess.run(["ip", "netns", "pids", self._space], capture_output=True, text=True, check=False)
        found = [pid for pid in done.stdout.split() if pid.isdigit()]
        subprocess.run(["kill", "-9", *found], capture_output=True, check=False)
        return len(found)

    def _first_process(self) -> int:
        """Process id, as seen from here, of the host's first process: the child of `unshare`."""
        assert self._init is not None
        children: list[str] = []

        def found() -> bool:
            children[:] = Path(f"/proc/{self._init.pid}/task/{self._init.pid}/children").read_text().split()  # type: ignore[union-attr]
            return bool(children)

        until(found, 10, lambda: "no first process")
        return int(children[0])


@contextmanager
def two_hosts(folder: Path) -> Iterator[tuple[Host, Host]]:
    """The hosts `head` and `second`; this machine has an address in their network, too."""
    switch = f"mv{os.getpid() % 100000}"
    _ip("link", "add", switch, "type", "bridge")
    try:
        _ip("addr", "add", f"{NETWORK}.254/24", "dev", switch)
        _ip("link", "set", switch, "up")
        with ExitStack() as held:
            head, second = (held.enter_context(Host(name, switch, folder / name)) for name in NAMES)
            yield head, second
    finally:
        subprocess.run(["ip", "link", "del", switch], capture_output=True, check=False)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)

"""A machine with systemd, on which the commands of docs/operating.md were given. It is this one once more: its files
under an overlay that is thrown away, and a systemd of its own, in a container. `.ci/systemd-tests` brings what it
needs; only root can run it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from attrs import define, field

from lightphon_core.testing.process import PASSWORD, free_port, until

REPOSITORY = Path(__file__).parents[3]
PAGE = (REPOSITORY / "docs" / "operating.md").read_text("utf-8")
SETTINGS = "/var/lib/lightphon/lightphon.toml"
WHEELS = "LIGHTPHON_TEST_WHEELS"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Mounts and processes of this namespace end with its first process.
BOOT = """
mount -t tmpfs -o mode=755 none "$0" && mkdir "$0/changed" "$0/work" "$0/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$0/changed,workdir=$0/work" "$0/root"
mountpoint -q /sys/fs/cgroup || mount -t cgroup2 none /sys/fs/cgroup
exec systemd-nspawn --directory="$0/root" --machine=lightphon-test --register=no --keep-unit --console=pipe --boot \
    --bind-ro="$1:/mnt/clone" --bind-ro="$2:/mnt/wheels" systemd.unit=basic.target
"""


@define
class Machine:
    """`run` runs a command on it, as root. The server is at `url`, which is on this machine's loopback too."""

    folder: Path
    url: str = field(init=False, factory=lambda: f"http://127.0.0.1:{free_port()}")
    _nspawn: subprocess.Popen[bytes] | None = None
    _leader: str = ""

    def boot(self) -> None:
        shell = ["unshare", "--mount", "--propagation=private", "sh", "-euc"]
        with (self.folder / "console.log").open("wb") as log:
            self._nspawn = subprocess.Popen(
                [*shell, BOOT, self.folder, REPOSITORY, os.environ[WHEELS]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(self._is_up, "systemd is up")

    def shut_down(self) -> None:
        if self._nspawn is not None:
            if self._leader:
                os.kill(int(self._leader), signal.SIGRTMIN + 3)  # which is "halt" to it
            else:
                self._nspawn.kill()
            self._nspawn.wait(60)

    def run(self, *command: str, stdin: str = "", cwd: str = "/", fails: bool = False) -> str:
        """What a command printed. One that fails is an error, unless it may."""
        inside = ["nsenter", "--target", self._leader, "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--"]
        done = subprocess.run(
            [*inside, "env", "--chdir", cwd, *command],
            input=stdin,
            capture_output=True,
            text=True,
            env={"PATH": PATH, "HOME": "/root", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/mnt/wheels"},
            check=False,
        )
        assert fails or not done.returncode, done.stdout + done.stderr
        return done.stdout

    def lightphon(self, *arguments: str) -> str:
        """The same of `lightphon`, as operating.md has it."""
        return self.run(*self.alias, *arguments)

    @property
    def alias(self) -> list[str]:
        (said,) = re.findall(r"^alias lightphon='(.*)'$", PAGE, re.MULTILINE)
        return str(said).split()

    def state(self, name: str) -> str:
        """What systemd says of the service."""
        return self.run("systemctl", "show", "--value", "-p", name, "lightphon").strip()

    def journal(self) -> str:
        return self.run("journalctl", "--unit", "lightphon", "--output", "cat", "--no-pager")

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", trust_env=False).is_success
        except httpx.TransportError:
            return False

    def _is_up(self) -> bool:
        assert self._nspawn is not None
        assert self._nspawn.poll() is None, (self.folder / "console.log").read_text("utf-8", "replace")
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text("ascii").split()
        for child in children:
            if "systemd" in Path(f"/proc/{child}/comm").read_text("ascii"):
                self._leader = child
                # "degraded" is what a unit makes of it that this machine has, and that fails in a container.
                return self.run("systemctl", "is-system-running", fails=True).strip() in ("running", "degraded")
        return False


def commands(heading: str) -> str:
    """The shell lines of one section of operating.md, but for those that bring packages of Debian."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)^##", PAGE, re.DOTALL | re.MULTILINE)
    blocks = "".join(re.findall(r"^```sh\n(.*?)^```", section, re.DOTALL | re.MULTILINE))
    return "".join(f"{line}\n" for line in blocks.splitlines() if "apt-get" not in line)


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Follows the page's sections Install and Run, word by word, with another port."""
    machine = Machine(tmp_path_factory.mktemp("machine"))
    try:
        machine.boot()
        shell = "shopt -s expand_aliases\nset -eu\n"
        machine.run("tee", "/etc/sudoers.d/pip", stdin='Defaults env_keep += "PIP_NO_INDEX PIP_FIND_LINKS"\n')
        machine.run("mkdir", "/root/stranger")
        machine.run("tee", "/root/stranger/password.txt", stdin=f"{PASSWORD}\n")
        machine.run("bash", stdin=shell + commands("Install"), cwd="/root/stranger")
        settings = machine.run("cat", SETTINGS)
        assert "\n#port = 8000\n" in settings
        port = machine.url.rpartition(":")[2]
        machine.run("tee", SETTINGS, stdin=settings.replace("\n#port = 8000\n", f"\nport = {port}\n"))
        machine.run("bash", stdin=shell + commands("Run"), cwd="/mnt/clone")
        yield machine
    finally:
        machine.shut_down()

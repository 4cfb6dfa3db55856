"""A real systemd as PID 1, in namespaces on an overlay of this machine: what is done there is gone with it."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

CHECKOUT: Final = Path(__file__).parents[2]
BOOT: Final = Path(__file__).with_name("boot.sh")
SYSTEMD: Final = Path("/lib/systemd/systemd")
_NAMESPACES: Final = ("unshare", "--mount", "--pid", "--cgroup", "--ipc", "--uts", "--fork", "--kill-child")
_TIED: Final = ("setpriv", "--pdeathsig=KILL", "sh", "-c")
_PATIENCE: Final = 30.0  # seconds for a boot
_KEPT: Final = ("http_proxy", "https_proxy", "no_proxy")  # of the environment, beside pip's settings


class Machine:
    """The booted machine, driven from outside."""

    def __init__(self, pid: int) -> None:
        self._pid = pid  # of its PID 1, as this machine numbers it
        self.root = Path(f"/proc/{pid}/root")

    def path(self, path: str) -> Path:
        """A path of the machine, as it is reached from here."""
        return self.root / path.lstrip("/")

    def run(self, *command: str, timeout: float = 60, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command as root, as an administrator's shell would."""
        variables = {
            **{k: v for k, v in os.environ.items() if k.startswith("PIP_") or k.lower() in _KEPT},
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
            **environment,
        }
        settings = [f"{name}={value}" for name, value in variables.items()]
        inside = ("nsenter", f"--target={self._pid}", "--mount", "--pid", "--cgroup", "--ipc", "--uts")
        return subprocess.run(
            [*inside, "env", "--ignore-environment", "--chdir=/root", *settings, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def done(self, *command: str, timeout: float = 60, **environment: str) -> str:
        """Run a command that must succeed; return what it printed."""
        ended = self.run(*command, timeout=timeout, **environment)
        assert ended.returncode == 0, f"{command} ended with {ended.returncode}: {ended.stdout}{ended.stderr}"
        return ended.stdout + ended.stderr


@contextmanager
def booted() -> Iterator[Machine]:
    """Boot a machine; skip the test, saying why, where there can be none."""
    _need()
    groups = _cgroups()
    folder = Path(tempfile.mkdtemp(prefix="leakwatch-machine-", dir="/tmp"))
    group = groups / folder.name
    group.mkdir()
    log = folder.with_suffix(".log")
    try:
        with log.open("wb") as out:
            process = subprocess.Popen(
                # It dies with us, however we die, and all that is in its namespaces dies with it.
                [*_TIED, 'echo $$ >"$0/cgroup.procs" && exec "$@"', group, *_NAMESPACES, "sh", BOOT, folder],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        try:
            yield _up(process, log)
        finally:
            process.kill()
            process.wait()
    finally:
        _remove(group)
        shutil.rmtree(folder)
        log.unlink(missing_ok=True)


def _need() -> None:
    """Skip what cannot be done on this machine, by name."""
    missing = [tool for tool in ("unshare", "nsenter", "setpriv", "systemctl", "make") if shutil.which(tool) is None]
    if missing or not SYSTEMD.exists():
        pytest.skip(f"a real systemd needs {missing or SYSTEMD}: apt-get install systemd util-linux make")
    if os.geteuid() != 0:
        pytest.skip("a real systemd needs root, to make namespaces")
    tried = subprocess.run([*_NAMESPACES, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"this machine makes no namespaces: {tried.stderr.strip()}")


def _cgroups() -> Path:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, options, *_ = line.split()
        if kind == "cgroup2" and "rw" in options.split(","):
            return Path(place)
    pytest.skip("a real systemd needs cgroup2, mounted so that it can be written")


def _up(process: subprocess.Popen[bytes], log: Path) -> Machine:
    """Wait until systemd has booted."""
    deadline = time.monotonic() + _PATIENCE
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while time.monotonic() < deadline and process.poll() is None:
        if pid := children.read_text().strip():
            machine = Machine(int(pid))
            if machine.run("systemctl", "is-active", "machine.target").returncode == 0:
                return machine
        time.sleep(0.1)
    said = log.read_text(errors="replace")[-2000:]
    if "Operation not permitted" in said or "permission denied" in said.lower():
        pytest.skip(f"this machine does not let a systemd boot in namespaces: {said}")
    pytest.fail(f"systemd has not booted: {said}")


def _remove(group: Path) -> None:
    """Remove a cgroup and those that systemd made in it, once the last process is gone."""
    deadline = time.monotonic() + 10
    while "populated 1" in (group / "cgroup.events").read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    for path, _, _ in os.walk(group, topdown=False):
        Path(path).rmdir()

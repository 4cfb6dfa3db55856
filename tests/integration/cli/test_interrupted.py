"""`leakwatch scan` on a real terminal: how far it is, and that Ctrl-C or a kill leaves nothing behind."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import pytest

_SCAN = (sys.executable, "-m", "leakwatch", "scan", "--offline", "--jobs", "2")
_DENSE = 60  # files, each of which takes a second


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(64):
        (folder / f"a{number:02}").write_text("nothing")
    (folder / "dense").write_text("".join(f"sk-ant-{number:x}" for number in range(200_000)))
    for number in range(_DENSE):
        (folder / f"dense{number:02}").hardlink_to(folder / "dense")
    return folder


@pytest.fixture(autouse=True)
def _hearing() -> Iterator[None]:
    """Who runs tests in the background has them, and all that they begin, not hear Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def until(holds: Callable[[], object], seconds: float = 60) -> None:
    ends = monotonic() + seconds
    while not holds():
        assert monotonic() < ends
        sleep(0.05)


def workers(folder: Path) -> list[Path]:
    """The processes that work in a folder, or are about to, but for the one that began."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve() == folder and b"spawn_main" in (process / "cmdline").read_bytes():
                found.append(process)
        except OSError:
            continue
    return found


@contextmanager
def begun(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A scan on a terminal of its own, and the terminal."""
    ours, its = pty.openpty()
    command = ("setsid", "--ctty", "--wait", *_SCAN, ".")
    env = {**os.environ, "TERM": "xterm"}  # on what calls itself dumb no progress is shown
    with subprocess.Popen(command, cwd=folder, stdin=its, stdout=its, stderr=its, env=env) as process:
        os.close(its)
        try:
            yield process, ours
        finally:
            process.kill()
            os.close(ours)


def said(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # nobody holds its other end any more
        return b""


@pytest.mark.parametrize(("times", "is_under_way"), [(1, False), (1, True), (2, True)])
def test_ctrl_c_ends_all_of_it_at_once_without_a_traceback(folder: Path, times: int, *, is_under_way: bool) -> None:
    shown = b""
    with begun(folder) as (process, terminal):
        until(lambda: workers(folder))
        while is_under_way and b" files, " not in shown:
            shown += said(terminal)
        for _ in range(times):
            os.write(terminal, b"\x03")
            sleep(0.1)
        while more := said(terminal):
            shown += more
        assert process.wait(60) == 130
    assert b"Traceback" not in shown
    assert b"leakwatch: interrupted" in shown
    assert b"files, " in shown or not is_under_way
    until(lambda: not workers(folder))


def test_processes_end_with_the_scan_that_is_killed(folder: Path) -> None:
    with subprocess.Popen([*_SCAN, "."], cwd=folder, stdout=subprocess.DEVNULL) as process:
        until(lambda: len(workers(folder)) > 1)
        process.send_signal(signal.SIGKILL)
    until(lambda: not workers(folder))

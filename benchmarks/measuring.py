"""How things are measured: whole processes on one pinned core, by the kernel's own account of them."""

import os
import platform
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Final

_TICK: Final = os.sysconf("SC_CLK_TCK")
_UTIME: Final = 11  # of what follows a command's name in /proc/<pid>/stat
CORES: Final = sorted(os.sched_getaffinity(0))
OURS, THEIRS = CORES[0], CORES[-1]  # the core of what is measured, and that of what serves it


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a result's table."""

    what: str
    value: float
    unit: str
    ratio: float | None = None  # to the row that the result names as its reference
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one yardstick showed."""

    name: str
    title: str
    how: str  # what was done, so that somebody can doubt it
    reference: str  # what ratios are to
    bar: str  # what it should reach
    rows: tuple[Row, ...]
    falls_short: str = ""  # why, where it does
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One process, from its start to its end."""

    cpu: float  # seconds, user and system, children that were waited for included
    wall: float  # seconds
    rss: float  # megabytes at the peak


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Let what is started in the block run on one core, or on all."""
    os.sched_setaffinity(0, CORES if core is None else {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, CORES)


def timed(command: Sequence[str | Path], *, core: int | None = OURS, accept: Sequence[int] = (0,)) -> Run:
    """Run a command to its end, on one core or on all. Raises RuntimeError if it ends otherwise than accepted."""
    with pinned(core):
        began = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
    said = process.stderr.read().decode(errors="replace") if process.stderr else ""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in accept:
        message = f"{command[0]} ended with {process.returncode}: {said[-2000:]}"
        raise RuntimeError(message)
    wall = time.perf_counter() - began
    return Run(cpu=used.ru_utime + used.ru_stime, wall=wall, rss=used.ru_maxrss / 1024)


def in_turns(commands: Mapping[str, Sequence[str | Path]], rounds: int, accept: Sequence[int] = (0,)) -> dict[str, Run]:
    """Run commands one after the other, round after round, and return each one's median."""
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            runs[name].append(timed(command, accept=accept))
    return {name: _median(made) for name, made in runs.items()}


def _median(runs: Sequence[Run]) -> Run:
    return Run(
        cpu=median(run.cpu for run in runs), wall=median(run.wall for run in runs), rss=median(run.rss for run in runs)
    )


def cpu_of(process: int) -> float:
    """Return the seconds of CPU that a running process has used, all its threads together."""
    facts = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in facts[_UTIME : _UTIME + 2]) / _TICK


def rss_of(process: int) -> float:
    """Return the megabytes of memory that a running process holds."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def pin(process: int, core: int) -> None:
    """Put all threads of a running process on one core."""
    for thread in Path(f"/proc/{process}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


@contextmanager
def serving(command: Sequence[str | Path]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server on the other core while the block runs."""
    with pinned(THEIRS):
        process = subprocess.Popen([str(part) for part in command])
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def machine() -> dict[str, str]:
    """Say what it was measured on."""
    cpu = Path("/proc/cpuinfo").read_text().partition("model name")[2].partition("\n")[0].strip(" \t:")
    return {
        "processor": cpu or platform.processor(),
        "cores": str(len(CORES)),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def versions(*names: str) -> dict[str, str]:
    """Return the versions of installed packages."""
    return {name: metadata.version(name) for name in names}

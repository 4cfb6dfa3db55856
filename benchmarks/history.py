"""A history of git, scanned whole: `leakwatch scan --git` against other scanners, and against git alone, on one core.

The history is made of the texts that pip has installed: each commit changes a few dozen of them, and keys are planted
that later commits take away again.
"""

import asyncio
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import hyperscan

from benchmarks.measuring import Result, Row, Run, in_turns, timed, versions
from benchmarks.scan import FORMATS, PEERS, _betterleaks_rules, _kingfisher_rules
from leakwatch.scan import synthesize

GIT: Final = shutil.which("git") or "git"
COMMITS: Final = 1200
CHANGED: Final = 30  # files in a commit
PLANTED: Final = 100
ROUNDS: Final = 3
_FOUND: Final = (0, 1, 200)  # statuses without and with findings
_GIT: Final = "git alone: lists and reads the same blobs"
_OURS: Final = "`leakwatch scan --git --plain`"
_TURBO: Final = "kingfisher --turbo"
_SLOW: Final = "betterleaks, once"
_LEFT: Final = "of that its start: an empty history"
_BAR: Final = 1.5
_WHY: Final = (
    "It falls short. Packs are read without git, which takes half of what git takes; of that, inflating is the most. "
    "A quarter of the whole is the start of Python, of our formats and of five gits; the rest is one pass of hyperscan "
    "over many blobs joined, and some 10 µs of Python for each. "
)
_DISGUISED: Final = (
    "With disguises, which turbo mode leaves out, most of the time goes into lines that look as if a key were broken "
    "over them."
)


async def history() -> Result:
    """Measure the scan of a history."""
    with TemporaryDirectory(prefix="leakwatch-bench-") as scratch:
        return await asyncio.to_thread(_measured, Path(scratch))


def _measured(folder: Path) -> Result:
    repository, planted, size = _made(folder / "repository")
    empty = folder / "empty"
    _run("init", "--quiet", "--bare", str(empty), folder=folder)
    _run(
        "fast-import",
        "--quiet",
        folder=empty,
        stdin=b"commit refs/heads/main\ncommitter A <a@b.example> 1 +0000\ndata 1\nx\n",
    )
    commands = _commands(folder, repository)
    quick = {name: command for name, (command, _) in commands.items() if name != _SLOW}
    runs = in_turns(quick, ROUNDS, accept=_FOUND)
    runs[_SLOW] = timed(commands[_SLOW][0], accept=_FOUND)
    begun = {_OURS: _ours(folder / "x", empty, "--plain"), _TURBO: _kingfisher(folder, folder / "x", empty, "--turbo")}
    starts = in_turns(begun, ROUNDS, accept=_FOUND)
    packed = sum(path.stat().st_size for path in repository.rglob("*") if path.is_file())
    found = {name: _count(planted, report) for name, (_, report) in commands.items() if report}
    return Result(
        name="history",
        title="A history of git",
        how=(
            f"{COMMITS:,} commits of {CHANGED} files each: {size / 1e6:.0f} MB of blobs, {packed / 1e6:.0f} MB as git "
            f"keeps them, with {PLANTED} keys that were planted and taken away again. Whole processes on one core, in "
            f"turns, the median of {ROUNDS}: seconds of CPU, with what they start. All have the same {len(FORMATS)} "
            "formats, but ours, which has a few more; turbo mode and `--plain` decode nothing. leakwatch reads "
            "messages and tags as well, and names the commit of what it finds."
        ),
        reference=_TURBO,
        bar="≥ 1.5 × kingfisher's turbo mode, ≥ 2 × betterleaks, every planted key found",
        rows=tuple(_rows(runs, starts, found)),
        falls_short=("" if runs[_TURBO].cpu / runs[_OURS].cpu >= _BAR else _WHY) + _DISGUISED,
        versions=versions("hyperscan"),
    )


def _rows(runs: dict[str, Run], starts: dict[str, Run], found: dict[str, int]) -> Iterator[Row]:
    whole = runs[_TURBO].cpu
    for name, run in sorted(runs.items(), key=lambda pair: pair[1].cpu):
        note = f"{found[name]} of {PLANTED} found" if name in found else ""
        yield Row(what=name, value=run.cpu, unit="s", ratio=whole / run.cpu, note=note)
        if name in starts:
            yield Row(what=_LEFT, value=starts[name].cpu, unit="s")


def _commands(folder: Path, repository: Path) -> dict[str, tuple[Sequence[str | Path], Path | None]]:
    """Return each program's command, and its report."""
    tips, reports = folder / "tips", [folder / f"report{n}" for n in range(5)]
    tips.write_bytes(_run("rev-parse", "HEAD", folder=repository))
    listed = "rev-list --objects --stdin --filter=object:type=blob --filter-provided-objects"
    read = (
        f"cd '{repository}' && '{GIT}' {listed} <'{tips}' | '{GIT}' cat-file '--batch=%(objectname) %(rest)' --buffer"
    )
    rules = folder / "rules.toml"
    rules.write_text(_betterleaks_rules())
    betterleaks = (
        "--no-banner",
        "--silent",
        "--jobs=1",
        "--max-decode-depth=0",
        "-c",
        rules,
        "-o",
        f"{reports[4]}.json",
    )
    return {
        _GIT: (("sh", "-c", f"{read} >/dev/null"), None),
        _OURS: (_ours(reports[0], repository, "--plain"), reports[0]),
        "`leakwatch scan --git`, disguises as well": (_ours(reports[1], repository), reports[1]),
        _TURBO: (_kingfisher(folder, reports[2], repository, "--turbo"), reports[2]),
        "kingfisher, base64 as well": (_kingfisher(folder, reports[3], repository), reports[3]),
        _SLOW: ((PEERS / "betterleaks", "git", repository, *betterleaks), Path(f"{reports[4]}.json")),
    }


def _ours(report: Path, repository: Path, *options: str) -> tuple[str | Path, ...]:
    plain = ("--offline", "--all", "--jobs=1", "--format=json", "--output", report)
    return (sys.executable, "-m", "leakwatch", "scan", *options, *plain, "--git", repository)


def _kingfisher(folder: Path, report: Path, repository: Path, *options: str) -> tuple[str | Path, ...]:
    rules = folder / "rules"
    rules.mkdir(exist_ok=True)
    (rules / "leakwatch.yml").write_text(_kingfisher_rules())
    same = ("--load-builtins=false", f"--rules-path={rules}", "--rule=all")
    plain = (
        "scan",
        "--no-validate",
        "--no-update-check",
        "--no-dedup",
        "--jobs=1",
        "--confidence=low",
        *same,
        *options,
    )
    return (PEERS / "kingfisher", *plain, "--git-history=full", "--format=json", "-o", report, repository)


def _count(planted: Sequence[str], report: Path) -> int:
    """Count the planted keys of which a report tells: whole, or masked at the place where they were."""
    whole, _ = json.JSONDecoder().raw_decode(report.read_text())
    found = [shown for entry in whole["findings"] or () for shown in _shown(entry)]
    return sum(any(key.startswith(start) and key.endswith(end) for start, end in found) for key in planted)


def _shown(entry: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield how a finding begins and ends."""
    match entry:
        case {"finding": {"snippet": str(key)}} | {"match": {"value": str(key)}}:
            yield key, key
        case {"path": "settings.py", "masked": str(masked)}:
            start, _, end = masked.partition("…")
            yield start, end


def _made(folder: Path) -> tuple[Path, list[str], int]:
    """Make the history; return it, the keys that were planted and the bytes of its files."""
    chance = random.Random(20261125)
    installed = Path(hyperscan.__file__).parents[1]
    texts = [path.read_bytes() for path in sorted(installed.rglob("*.py")) if 0 < path.stat().st_size < 60_000]
    planted: list[str] = []
    folder.mkdir()
    _run("init", "--quiet", "--bare", "--initial-branch=main", folder=folder)
    sizes: list[int] = []
    stream = folder.with_name("stream")
    with stream.open("wb") as out:
        for number in range(COMMITS):
            out.write(b"commit refs/heads/main\ncommitter A <a@b.example> %d +0000\ndata 6\nChange\n" % (number + 1))
            for _ in range(CHANGED):
                text = chance.choice(texts) + b"\n# %d\n" % number
                sizes.append(len(text))
                out.write(b"M 644 inline %d.py\ndata %d\n%b\n" % (chance.randrange(600), len(text), text))
            if number % (COMMITS // PLANTED) == 0:
                planted.append(synthesize(FORMATS[len(planted) % len(FORMATS)], chance))
                text = f'API_KEY = "{planted[-1]}"\n'.encode()
                out.write(b"M 644 inline settings.py\ndata %d\n%b\n" % (len(text), text))
    with stream.open("rb") as file:
        subprocess.run([GIT, "fast-import", "--quiet"], cwd=folder, stdin=file, check=True)
    stream.unlink()
    _run("repack", "-a", "-d", "-q", folder=folder)
    return folder, planted, sum(sizes)


def _run(*arguments: str, folder: Path, stdin: bytes = b"") -> bytes:
    return subprocess.run([GIT, *arguments], cwd=folder, input=stdin, check=True, capture_output=True).stdout

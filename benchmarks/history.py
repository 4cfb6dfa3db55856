"""A history of git, scanned whole: leakwatch against kingfisher's turbo mode, on one core.

The history is made of the texts that pip has installed: each commit changes a few dozen of them, and keys are planted
that later commits take away again.
"""

import asyncio
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import hyperscan

from benchmarks.measuring import Result, Row, in_turns, versions
from benchmarks.scan import PEERS, _in_kingfisher
from leakwatch.config import GitConfig, HttpConfig
from leakwatch.fetch.git import history as walked
from leakwatch.scan import Scanner, shipped, synthesize

GIT: Final = shutil.which("git") or "git"
COMMITS: Final = 400
CHANGED: Final = 30  # files in a commit
PLANTED: Final = 100
ROUNDS: Final = 3
_WHY: Final = (
    "It falls short where the history is short: about half of what leakwatch takes is its start, for Python and its "
    "formats, which a daemon pays once."
)
_FOUND: Final = (0, 200)  # kingfisher's statuses without and with findings
_NAMES: Final = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@b.example"}
_COMMITTER: Final = {"GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@b.example"}


async def history() -> Result:
    """Measure the scan of a history."""
    with TemporaryDirectory(prefix="leakwatch-bench-") as scratch:
        return await asyncio.to_thread(_measured, Path(scratch))


def _measured(folder: Path) -> Result:
    repository, planted = _made(folder / "repository")
    size = sum(path.stat().st_size for path in (repository / ".git").rglob("*") if path.is_file())
    ours, turbo = "leakwatch", "kingfisher --turbo"
    commands: dict[str, Sequence[str | Path]] = {
        ours: (sys.executable, "-m", "benchmarks.history", str(repository), str(folder / "ours")),
        turbo: _kingfisher(repository, folder / "turbo"),
    }
    runs = in_turns(commands, ROUNDS, accept=_FOUND)
    found = {
        ours: set(json.loads((folder / "ours").read_text())),
        turbo: set(_in_kingfisher(folder / "turbo")),
    }
    return Result(
        name="history",
        title="A history of git",
        how=(
            f"{COMMITS} commits of {CHANGED} files each, {size / 1e6:.0f} MB as git keeps them, {PLANTED} keys that "
            "were planted and taken away again. Whole processes on one core, in turns, the median of "
            f"{ROUNDS}: seconds of CPU, with what they start. leakwatch reads messages and tags as well. kingfisher "
            "has its own rules: it cannot compile all of ours."
        ),
        reference=turbo,
        bar="≥ 1.5 × kingfisher's turbo mode, every planted key found",
        rows=tuple(
            Row(
                what=name,
                value=run.cpu,
                unit="s",
                ratio=runs[turbo].cpu / run.cpu,
                note=f"{_count(planted, found[name])} of {PLANTED} found",
            )
            for name, run in sorted(runs.items(), key=lambda pair: pair[1].cpu)
        ),
        falls_short=_WHY,
        versions=versions("hyperscan"),
    )


def _kingfisher(repository: Path, report: Path) -> tuple[str | Path, ...]:
    plain = ("scan", "--no-validate", "--no-update-check", "--no-dedup", "--jobs=1", "--confidence=low", "--turbo")
    return (PEERS / "kingfisher", *plain, "--git-history=full", "--format=json", "-o", report, repository)


def _count(planted: Sequence[str], found: set[str]) -> int:
    digests = {key: {hashlib.sha256(key.encode()).hexdigest(), key} for key in planted}
    return sum(bool(known & found) for known in digests.values())


def _made(folder: Path) -> tuple[Path, list[str]]:
    """Make the history; return it and the keys that were planted."""
    chance, detectors = random.Random(20261125), [d for d in shipped() if not d.bare and d.form != "pem"]
    installed = Path(hyperscan.__file__).parents[1]
    texts = [path for path in sorted(installed.rglob("*.py")) if path.stat().st_size < 60_000]
    chance.shuffle(texts)
    folder.mkdir()
    _git(folder, "init", "--quiet")
    planted: list[str] = []
    for number in range(COMMITS):
        for _ in range(CHANGED):
            path = folder / f"{chance.randrange(600)}.py"
            path.write_text(chance.choice(texts).read_text(encoding="utf-8", errors="replace") + f"\n# {number}\n")
        if number % (COMMITS // PLANTED) == 0:
            planted.append(synthesize(detectors[len(planted) % len(detectors)], chance))
            (folder / "settings.py").write_text(f'API_KEY = "{planted[-1]}"\n')
        _git(folder, "add", "--all")
        _git(folder, "commit", "--quiet", f"--message=Change {number}")
    _git(folder, "repack", "-a", "-d", "-q")
    return folder, planted


def _git(folder: Path, *arguments: str) -> None:
    environment = {**os.environ, **_NAMES, **_COMMITTER}
    subprocess.run([GIT, *arguments], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)


async def _scanned(repository: str) -> list[str]:
    """Scan a history as one process would; return what was found, as digests."""
    scanner, found = Scanner(shipped()), set[str]()
    http = HttpConfig(user_agent="leakwatch bench (bench@issuer.example)")
    async with walked(repository, http=http, git=GitConfig(), max_bytes=http.max_bytes) as all_of_it:
        for document in all_of_it.documents:
            for candidate in scanner.scan(document).candidates:
                found.add(hashlib.sha256(candidate.plaintext.reveal().encode()).hexdigest())
    return sorted(found)


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(asyncio.run(_scanned(sys.argv[1]))))

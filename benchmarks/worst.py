"""What the worst texts cost, byte for byte, against ordinary ones: as the daemon scans, with many registered keys."""

import base64
import gzip
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from statistics import median
from typing import Final, NamedTuple

import hyperscan

from benchmarks.measuring import Result, Row, versions
from leakwatch.core import DigestSieve
from leakwatch.model import Document, Reference
from leakwatch.pepper import Pepper
from leakwatch.scan import Scanner, shipped, synthesize
from leakwatch.scan.synthetic import fill

_REGISTERED: Final = 1_000_000
_NORMAL: Final = 12_000_000  # characters of ordinary text
_SIZE: Final = 1_000_000  # characters of each of the worst
_LONG: Final = 20_000_000  # and of one long line
_TIMES: Final = 5
_BAR: Final = 10
_PRIVATE: Final = "-----BEGIN PRIVATE KEY-----\n{alnum:4}\\n&#65;%41<b>x</b>\n-----END PRIVATE KEY-----"
_WHY: Final = """\
Some fall short. Of thousands of little stretches each is undone by itself, in several ways: escapes of several kinds,
private keys, what is packed. Base64 three deep is decoded three times, in its lines and in all of them joined, each
line by itself: eight thousand of them in a megabyte, of which every key is found. Escapes of two kinds in turns are
undone as each alone, and as both. What has no room is counted; all grows in proportion to the text, as tests check."""


async def worst() -> Result:
    """Scan ordinary text, then each of the worst, alone in this process."""
    scanner, sieve = Scanner(shipped()), _sieve()
    ordinary = _ordinary()
    marked = [_pair(scanner, ordinary, ordinary, sieve, None) for _ in range(_TIMES)]
    costs = {
        name: [_pair(scanner, ordinary, [text], sieve, sieve) for _ in range(_TIMES)] for name, text in _texts().items()
    }
    normal = median(pair.normal for pairs in costs.values() for pair in pairs)
    rows = [
        _row("ordinary text, markers and disguises alone", marked),
        Row(what="ordinary text, as the daemon scans", value=1e-6 / normal, unit="MB/s", ratio=1.0),
        *(_row(name, pairs) for name, pairs in costs.items()),
    ]
    return Result(
        name="worst",
        title="Scanning as the daemon does, and the worst texts",
        how=f"{_NORMAL / 1e6:.0f} MB of text from installed packages, then {_SIZE / 1e6:.0f} MB of each of the worst, "
        f"with markers, tokens, disguises and a sieve of {_REGISTERED:,} keys, in one thread. Per second of CPU; the "
        f"ratio is the cost of a byte against an ordinary one's right before, the median of {_TIMES}.",
        reference="ordinary text, as the daemon scans",
        bar=f"none of these costs more than {_BAR} × an ordinary text of its size",
        rows=tuple(rows),
        falls_short=_WHY if max(map(_ratio, costs.values())) > _BAR else "",
        versions=versions("hyperscan"),
    )


def _sieve() -> DigestSieve:
    sieve = DigestSieve(Pepper(os.urandom(32)))
    sieve.extend(sorted(os.urandom(32) for _ in range(_REGISTERED)))
    sieve.find(b"", 0)  # it orders itself when it is first asked
    return sieve


class _Pair(NamedTuple):
    """What a byte costs, of an ordinary text and right afterwards of another: in seconds."""

    normal: float
    cost: float


def _pair(
    scanner: Scanner, ordinary: list[str], texts: list[str], sieve: DigestSieve, other: DigestSieve | None
) -> _Pair:
    return _Pair(_seconds_a_byte(scanner, ordinary, sieve), _seconds_a_byte(scanner, texts, other))


def _row(what: str, pairs: Sequence[_Pair]) -> Row:
    return Row(what=what, value=1e-6 / median(pair.cost for pair in pairs), unit="MB/s", ratio=_ratio(pairs))


def _ratio(pairs: Sequence[_Pair]) -> float:
    """The middle of several: what else the machine does slows down both of a pair."""
    return median(pair.cost / pair.normal for pair in pairs)


def _seconds_a_byte(scanner: Scanner, texts: list[str], sieve: DigestSieve | None) -> float:
    size = sum(len(text.encode()) for text in texts)
    documents = [Document(reference=Reference(url="", id=""), text=text) for text in texts]
    scanner.scan(documents[0], sieve)  # what is made at the first
    if sieve:
        sieve.fill([])  # forgets
    began = time.thread_time()
    for document in documents:
        scanner.scan(document, sieve)
    return (time.thread_time() - began) / size


def _ordinary() -> list[str]:
    """Text of installed packages."""
    files = [p for p in sorted(Path(hyperscan.__file__).parents[1].rglob("*")) if p.suffix in {".py", ".md", ".json"}]
    Random(1).shuffle(files)
    texts: list[str] = []
    for path in files:
        texts.append(path.read_text(encoding="utf-8", errors="replace")[:_SIZE])
        if sum(map(len, texts)) > _NORMAL:
            break
    return texts


def _texts() -> Mapping[str, str]:
    chance = Random(5)
    return {
        "one prefix over and over": "sk-ant-api03-" * (_SIZE // 13),
        "a short prefix over and over": "AIza" * (_SIZE // 4),
        "a context word over and over": "OPENAI_API_KEY=" * (_SIZE // 15),
        "nothing but keys": _lines(lambda: synthesize(chance.choice(shipped()), chance)),
        "one line of hexadecimal digits": chance.randbytes(_LONG // 2).hex(),
        "one line of base64": base64.b64encode(chance.randbytes(_LONG * 3 // 4)).decode(),
        "one line of digits": fill(f"{{digits:{_SIZE}}}", chance),
        "a key three times in base64, in lines": _lines(lambda: _nested(fill("{alnum:48}", chance))),
        "many lines that look broken, few characters each": "abcdefg1\nb\n" * (_SIZE // 11),
        "lines that all look broken": _lines(lambda: fill("{alnum:40}", chance)),
        "short lines that all look broken": _lines(lambda: fill("{alnum:9}", chance)),
        "private keys' lines": _lines(lambda: base64.b64encode(chance.randbytes(48)).decode()),
        "hashes of files": _lines(lambda: fill("{hex:64}  dist/{alnum:6}.tar.gz", chance)),
        "UUIDs": _lines(lambda: fill("{uuid:4}", chance)),
        "addresses, each another": _lines(
            lambda: fill("https://example.org/a/{hex:16}/b_c-{alnum:4}?x={hex:16}:{alnum:4}~z", chance)
        ),
        "unicode escapes": "\\u0041" * (_SIZE // 6),
        "escapes of two kinds in turns": "%41\\u0041" * (_SIZE // 9),
        "strings of a letter, put together": 'a"+"' * (_SIZE // 4),
        "text in base64, in lines": base64.encodebytes(_words(chance).encode()).decode(),
        "escapes of four kinds in base64, in lines": _lines(
            lambda: _encoded(fill("%41\\u0041&#65;=41{alnum:9}", chance))
        ),
        "little gzips of zeros in base64, in lines": _lines(lambda: _zeros(chance)),
        "little private keys with escapes and tags in them": _lines(lambda: fill(_PRIVATE, chance)),
        "what looks packed, in lines": _lines(lambda: fill("H4sIAAAA{alnum:24}", chance)),
    }


def _words(chance: Random) -> str:
    """Lines as code has them."""
    return fill("def {alnum:6}(self) -> None: return {alnum:4}\n" * (_SIZE * 3 // 4 // 46), chance)


def _lines(line: Callable[[], str]) -> str:
    """Lines, each made anew, up to the size."""
    lines: list[str] = []
    size = 0
    while size < _SIZE:
        lines.append(line())
        size += len(lines[-1]) + 1
    return "\n".join(lines)


def _nested(text: str) -> str:
    return _encoded(_encoded(_encoded(text)))


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _zeros(chance: Random) -> str:
    return base64.b64encode(gzip.compress(bytes(4_000) + chance.randbytes(8))).decode()

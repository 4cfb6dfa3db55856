"""Fuzzing of all that reads strangers' bytes, guided by coverage: no crash, no hang, no growth.

    make fuzz ONLY=600

tries inputs for so many seconds, with an atheris that it installs. The first byte of an input says what is done with
the rest: scanning, redacting, each decoder without its hint, the opening of containers. The corpus begins with every
disguise and every container that the tests make.
"""

import base64
import sys
import zlib
from array import array
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from itertools import cycle, islice
from pathlib import Path
from typing import Final, final

import atheris

with atheris.instrument_imports(include=["leakwatch.core", "leakwatch.scan", "leakwatch.containers"]):
    from leakwatch.containers.limits import Limits, Room
    from leakwatch.containers.walk import members
    from leakwatch.core import Forms, Read, Sifted, Span, _fast, deltas, inflating, places, plain
    from leakwatch.core.base64_texts import texts
    from leakwatch.core.sieve import _indexed
    from leakwatch.model import Document, Reference
    from leakwatch.scan import Scanner, shipped
    from leakwatch.scan.hints import HINTS
    from leakwatch.scan.layers import Budget, peel

from benchmarks.surroundings import DISGUISES, surroundings
from tests.unit.containers.making import HOLDERS, TEXT
from tests.unit.scan.making import made

_PADS: Final = bytes(range(128))
_NOTHING: Final = plain.Known(_PADS, array("Q"), array("I", [0, 0]), array("Q"))
_LIMITS: Final = Limits(bytes=4_000_000, members=200, pages=20)
_LARGE: Final = 30  # times its size and a million that all layers of a text may have
_SCANNER: Final = Scanner(shipped(), limit=200)


@final
class _Some:
    """A sieve that lets one token in fifty through."""

    def find(self, data: bytes, _room: int, _joints: "array[int]" = plain.NO_JOINTS, _lines: int = 0, /) -> Sifted:
        cut = ((at + start, at + end) for at, run in plain.runs(data) for start, end in plain.cuts(run))
        return Sifted([(start, end) for start, end in cut if self.passes(data[start:end])], 0, 0)

    def find_at(  # noqa: PLR0917 - what is read, and by what
        self, data: bytes, hits: bytearray, joints: "array[int]", lines: int, forms: Forms, further: int, /
    ) -> Read:
        looked = _fast.sift_places(data, hits, joints, lines, forms, _NOTHING, array("Q", [0]), further)
        spans = [span for span in _shortest_and_longest(data, hits, forms) if self.passes(data[slice(*span)])]
        return Read(spans, *looked[1:])

    def passes(self, key: bytes, /) -> bool:
        return not zlib.crc32(key) % 50


def _shortest_and_longest(data: bytes, hits: bytearray, forms: Forms) -> Iterator[Span]:
    """Where at places of markers the shortest and the longest string of each row stand."""
    trees = places.trees_of(forms)
    for hit in places.reaching(data, sorted(array("Q", bytes(hits))[1:]), trees, forms):
        start = hit >> 16
        for leaf in places.leaves_at(data, start, trees[hit & 0xFFFF], forms):
            yield start, leaf.low
            yield start, leaf.high


def scanned(data: bytes) -> None:
    """Scan a text: every candidate has a place in it."""
    text = data.decode("utf-8", "surrogateescape" if data[:1] < b"\x80" else "replace")
    scan = _SCANNER.scan(Document(reference=Reference(url="", id="", title=text[:200]), text=text), _Some())
    assert all(0 < candidate.position.column <= len(text) for candidate in scan.candidates)


def redacted(data: bytes) -> None:
    """Redact a text: done again it changes nothing."""
    once = _SCANNER.redact(data.decode("utf-8", "replace"), _Some())
    assert _SCANNER.redact(once, _Some()) == once


def decoded(data: bytes) -> None:
    """Undo every disguise without asking the hints: each stretch lies in the text."""
    for decoder in HINTS:
        for undone in decoder(data):
            assert 0 <= undone.start < undone.end <= len(data)
            assert len(undone.data) <= len(data) + 1_000_000


def peeled(data: bytes) -> None:
    """Peel a text: what all its layers hold is bounded."""
    budget = Budget.of(data)
    layers = [*peel(data, budget)]
    assert sum(len(layer.data) for layer in layers) <= _LARGE * len(data) + 2_000_000


def opened(data: bytes) -> None:
    """Open a container: no more is taken out than there is room for."""
    room = Room(_LIMITS, len(data))
    assert sum(len(member.data) for member in members(data, "a/b", room)) <= 4 * _LIMITS.bytes


def twinned(data: bytes) -> None:
    """Look at what is compiled and at what is not: they find the same, where some of it is registered."""
    markers = _SCANNER._markers
    hits = markers.hits(data, len(data))
    marked = (data[slice(*span)] for span in _shortest_and_longest(data, hits.numbers, markers.forms))
    tokens = {*marked, *(run[start:end] for _, run in plain.runs(data) for start, end in plain.cuts(run))}
    numbers = sorted({_number(token) for token in tokens if not zlib.crc32(token) % 3})
    known = _indexed(plain.Known(_PADS, array("Q", numbers[::2]), array("I", [0, 0]), array("Q", numbers[1::2])))
    memories = array("Q", [0]) * 8, array("Q", [0]) * 8
    joints = array("Q", sorted({zlib.crc32(data[:at]) % len(data) for at in range(len(data) % 20)}) if data else [])
    (spans, *counts), (same, *others) = (
        sift(data, known, seen, 50, joints, len(data) // 3)
        for sift, seen in zip((plain.sift, _fast.sift), memories, strict=True)
    )
    assert ({*spans}, counts) == ({*same}, others)
    one, other = (
        sift(data, hits.numbers[:], joints, len(data) // 3, markers.forms, known, seen, 50)
        for sift, seen in zip((places.sift_places, _fast.sift_places), memories, strict=True)
    )
    assert one == other
    assert memories[0] == memories[1]
    for end in (b"\n", b"\r\n", b"\\n"):
        assert plain.rejoined(data, end) == _fast.rejoined(data, end)
        breaks = [found.span() for found in plain.line_break(end).finditer(data)]
        assert plain.stretches(data, breaks) == _fast.stretches(data, breaks)
    assert sorted(texts(data)) == sorted(_fast.texts(data))
    assert inflating.may_inflate(data, 0) == _fast.may_inflate(data, 0)
    packed = b"eJw" + base64.b64encode(data[:40])
    assert inflating.may_inflate(packed, 0) == _fast.may_inflate(packed, 0)
    base, delta = data[: len(data) // 2], data[len(data) // 2 :]
    assert _applied(deltas.applied, base, delta) == _applied(_fast.applied, base, delta)


def _applied(applied: Callable[[bytes, bytes, int], bytes], base: bytes, delta: bytes) -> bytes | None:
    with suppress(ValueError):
        return applied(base, delta, _LARGE * len(delta) + 1000)
    return None


def _number(token: bytes) -> int:
    inner = sha256(_PADS[:64] + sha256(token).digest()).digest()
    return plain.number_of(sha256(_PADS[64:] + inner).digest())


TARGETS: Final = (scanned, redacted, decoded, peeled, opened, twinned)


def one_input(data: bytes) -> None:
    """Try one input."""
    if data:
        TARGETS[data[0] % len(TARGETS)](data[1:])


def seed(folder: Path) -> None:
    """Write the inputs to begin with."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = cycle(made(detector, 1).encode() for detector in shipped())
    texts = [disguise(next(keys)) for disguise in DISGUISES.values()]
    texts += [text.replace("KEY", next(keys).decode()).encode() for _, text in islice(surroundings(), 80)]
    for number, text in enumerate(texts):
        for target, tried in enumerate(TARGETS):
            if tried is not opened:
                (folder / f"text-{number}-{target}").write_bytes(bytes([target]) + text)
    for number, (_, make, _) in enumerate(HOLDERS.values()):
        (folder / f"container-{number}").write_bytes(b"\4" + make(TEXT))


if __name__ == "__main__":
    seed(Path(sys.argv[1]))  # libFuzzer adds to this folder what shows it something new
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()

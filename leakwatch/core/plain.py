"""What each byte of a document goes through, in Python alone. `compiled/` has its twins, some twenty times faster.

`sift` finds the registered keys among the runs of key characters. A run ends at a character that no key has. Within it
a key ends at whatever parts it from its neighbours, and what that is nobody knows: so a run is also cut at each set of
its characters that are punctuation in one format and part of the key in another. What is cut out is digested, and
nearly all of it is nobody's key.

Not seen are keys of fewer than sixteen characters, with other characters than letters, digits and ``_.:~/+=-``, or
with a letter or digit glued to them, and of more than 512 characters, if they stand in a run of more than 4,096. Of
those with a marker the scanner finds all that it describes.

`shaped` tells in which runs shapes stand, `rejoined` joins lines over which a key may have been broken, `stretches`
finds the key characters around escapes.
"""

import re
import string
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import cache
from hashlib import sha256
from itertools import accumulate, pairwise
from typing import Final, NamedTuple

SHORTEST: Final = 16  # characters of the shortest key that is looked for without a marker
LONGEST: Final = 4096  # characters of a run that is looked at as one; a longer one is looked at in windows of so many …
OVERLAP: Final = 512  # … each of which begins with as many of the one before: so many a key may have that lies between
REACH: Final = 4096  # bytes to either side of an escape or a line's end that belong to its stretch
PLAIN: Final = (string.ascii_letters + string.digits).encode()
EDGES: Final = b"_.:~/+=-"  # what may stand before or after a key in its run
_PARTS: Final = 6  # of a run that colons part: more are a path or a list, and no pair
_PAD: Final = 64  # bytes, of HMAC
_PIECE: Final = 7  # bytes of a run that are one coefficient of its polynomial …
_PRIME: Final = (1 << 61) - 1  # … modulo this
_FEW: Final = 8  # lines: in a list of more each key is broken into two, or all of them are one …
_ALIKE: Final = 4  # … and in one of more that are all of a length
KEY: Final = rb"[A-Za-z0-9_.:~/+=-]"
_RUN: Final = re.compile(KEY + rb"{%d,}+" % SHORTEST)
# What is part of a key beside letters and digits, format by format: all else in a run parts it from its neighbours.
_KEPT: Final = (
    b"",  # most
    b"_",
    b"-",  # UUIDs
    b"_-",  # base64 for URLs
    b"_.-",  # JWTs, and pairs with a dot
    b"_.~-",  # Entra's client secrets
    b"/+",  # base64
    b"+",  # base64 that stands between slashes
    b"_.-~:",  # pairs with a colon
    b"_.-/+~",
    b"_.-/+~:",  # whatever an equals sign parts from its name
)

Span = tuple[int, int]
"""From where to where."""

NO_JOINTS: Final = array("Q")
"""Of a text in which no lines were joined."""


class Known(NamedTuple):
    """What tells a registered key. The numbers are the first eight bytes of each digest as it is stored."""

    pads: bytes  # of HMAC under the pepper, 64 each
    ordered: "array[int]"  # numbers, rising
    starts: (
        "array[int]"  # where those begin that begin with 0, 1, 2 …, in as many bits as make their number, and the end
    )
    loose: "array[int]"  # those that came since, rising too


def sift(  # noqa: PLR0913, PLR0917 - what is looked at, and what is known
    data: bytes, known: Known, seen: "array[int]", room: int, joints: "array[int]" = NO_JOINTS, lines: int = 0
) -> tuple[list[Span], int, int]:
    """Return where registered keys stand, how many runs were looked at, and how many there was no room for.

    At `joints`, which rise, lines were joined over which a key may have been broken. In runs that end before `lines`
    each line alone was looked at before they were joined. `seen` remembers runs in which nothing registered stands,
    each by a number of its own. Two may share a place: then one is forgotten, and looked at again. Raises ValueError
    where joints do not rise, or lie outside.
    """
    if joints and (joints[-1] > len(data) or any(at >= then for at, then in pairwise(joints))):
        raise ValueError(joints)
    found: list[Span] = []
    point = point_of(known)
    looked = skipped = 0
    for run in _joined_runs(data, joints, lines):
        mark = _mark(run, point)
        if seen[mark % len(seen)] == mark:
            continue
        if looked == room:
            skipped += 1
            continue
        looked += 1
        spans = (span for span in cuts(run.data) if run.may_be(*span))
        registered = [(run.start + at, run.start + end) for at, end in spans if is_registered(run.data[at:end], known)]
        found += registered
        if not registered:
            seen[mark % len(seen)] = mark
    return found, looked, skipped


def _mark(run: "_Run", point: int) -> int:
    """What a run is remembered by. Of joined lines it is another than of the same text, in which more is looked for."""
    mark = polynomial(len(run.data), run.data, point)
    for number in (run.least, run.most, *run.joints) if run.least else ():
        mark = advanced(mark, number, point)
    return mark


def point_of(known: Known) -> int:
    """Return where the polynomials are taken by which runs are remembered: of no digest, so nobody knows it."""
    return _keyed(b"", known) >> 3


def polynomial(mark: int, run: bytes, point: int) -> int:
    """Return what some bytes are remembered by: nobody who does not know the point can write two that are one.

    It costs a tenth of a digest, and every run of a text has one. It begins with a number that tells their length.
    """
    for at in range(0, len(run), _PIECE):
        mark = advanced(mark, number_of(run[at : at + _PIECE].ljust(8, b"\0")), point)
    return mark


def advanced(mark: int, piece: int, point: int) -> int:
    """Return a polynomial with one coefficient more."""
    return (mark * point + piece) % _PRIME


def is_registered(key: bytes, known: Known) -> bool:
    """Whether a key is registered, or once in a very long while could be."""
    number = _number(key, known)
    return any(_holds(table, number) for table in (known.ordered, known.loose))


def _number(key: bytes, known: Known) -> int:
    """The number of a key's digest as it is stored: SHA-256, then HMAC under the pepper."""
    return _keyed(sha256(key).digest(), known)


def _keyed(message: bytes, known: Known) -> int:
    """The number of an HMAC under the pepper."""
    inner, outer = sha256(known.pads[:_PAD]), sha256(known.pads[_PAD:])
    inner.update(message)
    outer.update(inner.digest())
    return number_of(outer.digest())


def number_of(digest: bytes) -> int:
    """Return what is kept of a digest."""
    return int.from_bytes(digest[:8], "big")


def _holds(table: Sequence[int], number: int) -> bool:
    at = bisect_left(table, number)
    return at < len(table) and table[at] == number


def runs(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Every run that is long enough, and where it begins; behind a backslash also without its first letter.

    Of what is longer than a run can be each window is one.
    """
    return ((run.start, run.data) for run in _joined_runs(data, (), 0))


class _Run(NamedTuple):
    """A run, or lines of it that follow one another."""

    start: int
    data: bytes
    joints: Sequence[int]  # within it
    least: int  # so many of them a key goes over: what goes over fewer is looked for in fewer lines
    most: int  # so many characters it has: over many lines that are more than one key no more than windows overlap

    def may_be(self, start: int, end: int) -> bool:
        """Whether a part of it goes over so many joints, and is not too long."""
        over = bisect_left(self.joints, end) - bisect_right(self.joints, start)
        return over >= self.least and end - start <= self.most


def _joined_runs(data: bytes, joints: Sequence[int], lines: int) -> Iterator[_Run]:
    for found in _RUN.finditer(data):
        inner_joints = _within(joints, found.start(), found.end())
        fewest = 2 if found.end() <= lines else 1
        for begin, stop, least in _chains(found.start(), found.end(), inner_joints, fewest):
            most = OVERLAP if least > 1 and stop - begin > LONGEST else LONGEST
            for start, end in _windows(begin, stop):
                inner = [joint - start for joint in _within(joints, start, end)]
                yield _Run(start, data[start:end], inner, least, most)
                if end - start > SHORTEST and data[start - 1 : start] == b"\\":
                    rest = [joint - 1 for joint in inner if joint > 1]
                    yield _Run(start + 1, data[start + 1 : end], rest, least, most)


def _windows(start: int, end: int) -> Iterator[Span]:
    """What a run is looked at in."""
    for first in range(start, max(start + 1, end - OVERLAP), LONGEST - OVERLAP):
        yield first, min(first + LONGEST, end)


def _within(joints: Sequence[int], start: int, end: int) -> Sequence[int]:
    return joints[bisect_right(joints, start) : bisect_left(joints, end)]


def _chains(start: int, end: int, joints: Sequence[int], fewest: int) -> Iterator[tuple[int, int, int]]:
    """All lines of a run, then any of them that follow one another, in a list each two; with what a key goes over.

    Where the `fewest` are one, each line alone is among them: it may never have stood alone, if what was joined was
    under a disguise then.
    """
    edges = [start, *joints, end]
    count = len(edges) - 1  # of lines
    is_list = count > (_ALIKE if len({then - at for at, then in pairwise(edges)}) == 1 else _FEW)
    yield start, end, 2 if is_list else len(joints)
    for several in range(2 if is_list else count - 1, fewest - 1, -1):
        for first in range(count - several + 1):
            if edges[first + several] - edges[first] >= SHORTEST:
                yield edges[first], edges[first + several], several - 1


def shaped(data: bytes, table: "array[int]", lasts: int) -> list[tuple[int, int, int]]:
    """Return the runs in which shapes stand, each with the last characters of these: a bit for each of them.

    Of what is longer than a run can be these are windows, each with as much before and behind it as they overlap.

    `table` tells of each byte as which characters of all shapes it may stand, in a bit for each, the first the lowest;
    `lasts` has the bits of the shapes' last characters, each of which stands behind all the others of its shape.
    """
    firsts = 1 | lasts << 1
    found: list[tuple[int, int, int]] = []
    for first, last in map(re.Match.span, _RUN.finditer(data)):
        for start, end in _windows(first, last):
            state = seen = 0
            for byte in data[start:end]:
                state = (state << 1 | firsts) & table[byte]
                seen |= state
            if seen & lasts:
                found.append((max(first, start - OVERLAP), min(end + OVERLAP, last), seen & lasts))
    return found


def cuts(run: bytes) -> set[Span]:
    """Return every part of a run that could be a whole key, the run itself too."""
    if run.isalnum():
        return {(0, len(run))}
    found = {(0, len(run)), *_paired(run)}
    for pattern in _ways(bytes(sorted(set(run.translate(None, PLAIN))))):
        found.update(match.span() for match in pattern.finditer(run))
    found.update([edged for start, end in found for edged in _edged(run, start, end)])
    return {(start, end) for start, end in found if end - start >= SHORTEST}


@cache
def _ways(punctuation: bytes) -> tuple[re.Pattern[bytes], ...]:
    """The ways to cut a run that has this punctuation: those that differ in what they keep of it."""
    kept = {bytes(c for c in keep if c in punctuation) for keep in _KEPT} - {punctuation}
    padding = rb"(?:={1,2}(?![A-Za-z0-9=]))?" if b"=" in punctuation else b""
    return tuple(re.compile(rb"[A-Za-z0-9%s]{%d,}+%s" % (re.escape(k), SHORTEST, padding)) for k in sorted(kept))


def _paired(run: bytes) -> Iterator[Span]:
    """Every stretch between colons: which of them part a pair, and which a name from it, nobody knows."""
    colons = [at for at, character in enumerate(run) if character == ord(":")]
    if 0 < len(colons) < _PARTS:
        starts, ends = [0, *(at + 1 for at in colons)], [*colons, len(run)]
        yield from ((start, end) for i, start in enumerate(starts) for end in ends[i:])


def _edged(run: bytes, start: int, end: int) -> Iterator[Span]:
    """A token without the punctuation around it, before it and after it alone; with the padding that it may have."""
    token = run[start:end]
    first, last = end - len(token.lstrip(EDGES)), start + len(token.rstrip(EDGES))
    if (first, last) == (start, end):
        return
    bare = max(first, last)
    yield first, end
    yield first, bare
    yield start, last
    if run[bare:end].startswith(b"="):
        yield first, bare + 1 + run[bare + 1 : end].startswith(b"=")


# What may stand between a line's end and what goes on: the margin of a quoted, boxed or commented line.
_MARGIN: Final = rb"[ \t]{0,80}+(?:[>|#*]{1,3}+[ \t]{0,8}+)?+"
_MIXED: Final = re.compile(rb"[0-9]|[a-z][A-Z]{1,3}[a-z]{1,3}[A-Z]{1,3}[a-z]")
_LETTERS: Final = frozenset((b"n", b"r", b"t", b"b", b"f", b"v", b"a"))


def rejoined(data: bytes, end: bytes) -> list[tuple[int, int, bytes, bytes, bytes]]:
    """Return what lines are when they are joined over which a key may have been broken; `end` is what ends them.

    With each, where in it each line but the first begins, and where it does in `data`: numbers of eight bytes. Most
    ends of lines look like that. What has neither a digit nor letters as mixed as a key's is taken for words.
    """
    pattern = line_break(end)
    found: list[tuple[int, int, bytes, bytes, bytes]] = []
    for start, stop in stretches(data, [match.span() for match in pattern.finditer(data)]):
        broken = [match.span() for match in pattern.finditer(data, start, stop)]
        lines = list(pairwise([start, *(at for span in broken for at in span), stop]))[::2]
        joined = b"".join(data[begin:last] for begin, last in lines)
        if len(joined) >= SHORTEST and _MIXED.search(data, start, stop):
            joints = array("Q", accumulate(last - begin for begin, last in lines[:-1]))
            begins = array("Q", [begin for begin, _ in lines[1:]])
            found.append((start, stop, joined, joints.tobytes(), begins.tobytes()))
    return found


@cache
def line_break(end: bytes) -> re.Pattern[bytes]:
    """Return what finds the ends of lines over which a key may have been broken, with what begins the next."""
    mark = re.escape(end)
    left = rb"(?<=" + KEY + rb"{8}" + mark + rb")" + _MARGIN + rb"(?=" + KEY + rb")"
    right = rb"(?<=" + KEY + mark + rb")" + _MARGIN + rb"(?=" + KEY + rb"{8})"
    return re.compile(mark + rb"(?:" + left + rb"|" + right + rb")")


def stretches(data: bytes, spans: list[Span]) -> list[Span]:
    """Return every stretch of key characters that holds some of these spans, which rise and do not overlap."""
    found: list[Span] = []
    start = end = -1
    for first, last in spans:
        if end >= 0 and not data[end:first].strip(PLAIN + EDGES):
            end = last  # nothing but key characters since the one before
            continue
        if end >= 0:
            found.append((start, _grown(data, end)))
        before = data[max(end, first - REACH, 0) : first]
        start = first - (len(before) - len(before.rstrip(PLAIN + EDGES)))
        if start < first and data[start : start + 1] in _LETTERS and data[start - 1 : start] == b"\\":
            start += 1  # the letter is part of an escape, as in \n
        end = last
    return [*found, (start, _grown(data, end))] if spans else []


def _grown(data: bytes, end: int) -> int:
    after = data[end : end + REACH]
    return end + len(after) - len(after.lstrip(PLAIN + EDGES))

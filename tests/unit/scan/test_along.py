"""Stretches with something to undo are found as if each escape was looked at alone."""

import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakwatch import pem
from leakwatch.core import SHORTEST, Span, stretches
from leakwatch.scan import disguises
from leakwatch.scan.disguises import Undone

RUN = re.compile(rb"[A-Za-z0-9_.:~/+=-]{%d,}" % SHORTEST)
HIDDEN = {
    disguises.percent: disguises._PERCENT,
    disguises.backslash: disguises._BACKSLASH,
    disguises.entities: disguises._ENTITY,
    disguises.quoted_printable: disguises._QUOTED,
    disguises.invisible: disguises._INVISIBLE,
    disguises.tags: disguises._TAG,
    disguises.concatenation: disguises._CONCATENATION,
}
PIECES = st.sampled_from(
    [
        *(b"%41", b"%4", b"%", b"\\u0041", b"\\", b"\\\\", b"\\n", b"\\101", b'\\"', b"\\\r\n", b"\\u{41}"),
        *(b"&#65;", b"&lowbar;", b"&", b"=3D", b"=41", b"=\n", b"=", b"= \r\n", b"\xe2\x80\x8b", b"\xe2", b"\xc2\xad"),
        *(b"<b>", b"</a>", b"<i class='x'>", b"<", b'"+"', b"' '", b'\\" + \\"', b'"', b"'", b"f'", b" ", b"\n"),
        *(b"+", b"abc", b"0123456789", b"Z", b"\0", b"-----BEGIN PRIVATE KEY-----\n", b"-----END PRIVATE KEY-----"),
    ]
)
TEXTS = st.lists(PIECES, min_size=2, max_size=6).flatmap(
    lambda few: st.lists(st.sampled_from(few), max_size=50).map(b"".join)
)


def one_by_one(data: bytes, hidden: disguises._Hidden) -> Iterator[Undone]:
    for start, end in stretches(data, [found.span() for found in hidden.one.finditer(data)]):
        yield Undone(start, end, hidden.undo(data[start:end]))
    for start, end in pem.blocks(data):
        if hidden.one.search(data, start, end):
            yield Undone(start, end, hidden.undo(data[start:end]))


@pytest.mark.parametrize(("decoder", "hidden"), HIDDEN.items(), ids=[decoder.__name__ for decoder in HIDDEN])
@settings(deadline=None)
@given(data=TEXTS)
def test_all_along_a_stretch_is_found_at_once(
    decoder: disguises.Decoder, hidden: disguises._Hidden, data: bytes
) -> None:
    found = [undone for undone in one_by_one(data, hidden) if disguises.has_text(undone.data)]
    assert [undone for undone in decoder(data) if disguises.has_text(undone.data)] == found


def side_by_side(data: bytes) -> Iterator[Undone]:
    """The same one by one, of all sides."""
    spans: list[Span] = []
    kinds: list[int] = []
    at = 0
    while at < len(data):
        matches = ((kind, side.one.match(data, at)) for kind, side in enumerate(disguises._SIDES))
        kind, found = next(((kind, match) for kind, match in matches if match), (0, None))
        if found:
            spans.append(found.span())
            kinds.append(kind)
        at = found.end() if found else at + 1
    for start, end in stretches(data, spans):
        several = {kind for (left, right), kind in zip(spans, kinds, strict=True) if start <= left and right <= end}
        undone = data[start:end]
        for kind in sorted(several, reverse=True):
            undone = disguises._SIDES[kind].undo(undone)
        if len(several) > 1:
            yield Undone(start, end, undone)


@settings(deadline=None, max_examples=400)
@given(TEXTS)
def test_what_stands_side_by_side_is_found_at_once(data: bytes) -> None:
    found = b"\0".join([data, *(undone.data for undone in disguises.side_by_side(data))])
    runs = [run.strip(b"_.:~/+=-") for undone in side_by_side(data) for run in RUN.findall(undone.data)]
    assert [run for run in runs if run not in found] == []

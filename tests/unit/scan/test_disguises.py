"""Every disguise that is undone, alone and over one another, and what a hostile text makes of the decoders."""

import base64
import binascii
import gzip
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import chain, pairwise
from random import Random
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.surroundings import DISGUISES, Disguise
from leakwatch import pem
from leakwatch.core import REACH, SHORTEST
from leakwatch.scan import disguises, encoded, layers, seams
from leakwatch.scan.hints import HINTS, hints
from leakwatch.scan.layers import Budget, peel
from leakwatch.scan.synthetic import fill
from tests.unit.core.making import sieve_of

UNHURRIED = settings(deadline=None)
KEY = fill("exai_{base64url:75}.{alnum:20}", Random(1))
BYTES = KEY.encode()


def _laid_bare(data: bytes, key: bytes = BYTES) -> list[int]:
    """Where in the text the key stands, by each layer that shows it."""
    return [layer.origin(layer.data.index(key)) for layer in peel(data) if key in layer.data]


@pytest.mark.parametrize("disguise", DISGUISES.values(), ids=DISGUISES)
def test_a_disguise_is_undone_wherever_it_stands(disguise: Disguise) -> None:
    disguised = disguise(BYTES)
    before = b"some words of prose,\n" * 5
    places = _laid_bare(before + disguised + b"\n\nand more of it")
    assert places
    assert all(len(before) <= place < len(before) + len(disguised) for place in places)


@pytest.mark.parametrize("disguise", DISGUISES.values(), ids=DISGUISES)
def test_a_disguise_is_undone_far_from_where_others_begin(disguise: Disguise) -> None:
    """In a long text a decoder reads what lies around its hints, and the rest of it not."""
    filler = b'print("never\\d mind", 4 % 2, a & b) <i> 100%\n' * 1_000
    disguised = disguise(BYTES)
    places = _laid_bare(filler + disguised + b"\n" + filler + disguised)
    assert any(len(filler) <= place < len(filler) + len(disguised) for place in places)


@pytest.mark.parametrize("between", ["\u200b<b>", '"+"<b>', "' . '<i>", "<b>\u200b", '\u200b" + "', "\u200b=\n"])
def test_a_tag_beside_another_disguise_is_a_hint(between: str) -> None:
    assert _laid_bare(BYTES[:30] + between.encode() + BYTES[30:])


def test_hints_close_to_one_another_are_read_together_and_others_apart() -> None:
    data = b"x" * 20_000 + b"%41%42" + b"y " * 10_000 + b"%43"
    [spans] = [spans for decoder, spans in hints().places(data) if decoder is disguises.percent]
    assert len(spans) == 2
    assert all(0 <= start < end <= len(data) for start, end in spans)
    assert spans[0][0] < 20_000
    assert 20_006 < spans[0][1] < spans[1][0] < len(data) - 3


@pytest.mark.parametrize(
    "between",
    [b'<i title="\n' + b"x " * 400 + b'">', (b'<i title="' + b"x " * 400 + b'">') * 9, b"\xe2\x80\x8b" * 4_000],
)
def test_what_parts_a_key_may_be_longer_than_what_is_read_around_a_hint(between: bytes) -> None:
    assert _laid_bare(between.join([BYTES[:20], BYTES[20:50], BYTES[50:]]))


@pytest.mark.parametrize("between", [b"&shy;", b"\\u200b", b"%E2%80%8B", b"=E2=80=8B"])
def test_characters_that_take_no_room_may_be_disguised_themselves(between: bytes) -> None:
    assert _laid_bare(between.join(BYTES[at : at + 5] for at in range(0, len(BYTES), 5)))


@pytest.mark.parametrize("outer", ["base64", "hex", "JSON", "percent", "entities", "UTF-16", "base64 of gzip"])
@pytest.mark.parametrize(
    "inner", ["base64", "hex", "JSON", "unicode escapes", "percent throughout", "plus", "entities"]
)
def test_disguises_over_one_another_are_undone(outer: str, inner: str) -> None:
    def over(text: bytes) -> bytes:
        return DISGUISES[outer](text) if outer != "JSON" else json.dumps(text.decode()).encode()

    assert _laid_bare(over(DISGUISES[inner](BYTES)))


@pytest.mark.parametrize("times", [1, 2, 3, 4])
def test_base64_is_undone_as_deep_as_layers_go(times: int) -> None:
    data = BYTES
    for _ in range(times):
        data = base64.b64encode(data)
    assert _laid_bare(data)


def test_deeper_layers_are_not_looked_at() -> None:
    data = BYTES
    for _ in range(layers.DEPTH + 1):
        data = base64.b64encode(data)
    assert not _laid_bare(data)


@pytest.mark.parametrize("glued", ["", "a", "ab", "0abc"])
def test_hexadecimal_digits_are_decoded_whatever_is_glued_to_them(glued: str) -> None:
    assert _laid_bare(f"{glued}{BYTES.hex()}{glued}".encode())
    assert _laid_bare(f"{glued}\n{BYTES.hex()[:90]}\n{BYTES.hex()[90:]}\n{glued}".encode())


def test_a_position_in_joined_lines_is_that_in_its_line() -> None:
    lines = [fill("{alnum:30}", Random(seed)) for seed in range(20)]
    text = "".join(f"{' ' * (number % 7)}{line}\n" for number, line in enumerate(lines)).encode()
    [joined] = [layer for layer in peel(text) if layer.joints]
    for line in lines:
        at = joined.data.index(line.encode())
        assert [joined.origin(at + by) for by in (0, 29)] == [text.index(line.encode()) + by for by in (0, 29)]


ENCODINGS = {
    "base64": lambda key: base64.b64encode(key).decode(),
    "base64 without padding": lambda key: base64.urlsafe_b64encode(key[:-1]).decode().rstrip("="),
    "hex": lambda key: key.hex(),
    "quoted-printable": lambda key: f"K=3D{key.decode()[:-1]}",
    "packed in hex": lambda key: gzip.compress(b"TOKEN=" + key).hex(),
}


@pytest.mark.parametrize("before", ["cat key | xxd -p -c 32", "first1arg", "token:", "deadbeef", "abc"])
@pytest.mark.parametrize("after", ["exit", "api_key: a", "done1", "f"])
@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
def test_what_is_encoded_over_lines_ends_with_them(before: str, after: str, encode: Callable[[bytes], str]) -> None:
    """A key in it that nothing marks is parted from what its neighbours make of themselves."""
    key = fill("{alnum:48}", Random(3))
    sieve, encoded_key = sieve_of(key, key[:-1]), encode(key.encode())
    for width in (32, 40, 60):
        lines = [encoded_key[at : at + width] for at in range(0, len(encoded_key), width)]
        text = "\n".join([before, *lines, after]).encode()
        assert any(sieve.find(layer.data, 1_000, layer.joints).spans for layer in peel(text))


def test_lines_that_are_broken_with_backslashes_are_joined_as_lines() -> None:
    """That the backslash alone would be undone to the same must not hide where they were joined."""
    text = b"run first1arg\\\n" + BYTES[:40] + b"\\\n" + BYTES[40:] + b"\\\nlast2arg\n"
    joined = [layer for layer in peel(text) if layer.joints]
    assert text.index(BYTES[:40]) in [layer.origin(layer.data.index(BYTES)) for layer in joined]
    assert any(layer.is_joint(layer.data.index(BYTES)) for layer in joined)
    assert not any(layer.is_joint(len(layer.data)) for layer in joined)


@pytest.mark.parametrize("before", ["", "token", "key: ", "31m"])
@pytest.mark.parametrize("after", ["", "end", ", and so on"])
def test_a_colour_parts_a_key_from_its_neighbours_and_not_from_itself(before: str, after: str) -> None:
    key = fill("{alnum:48}", Random(3))
    sieve = sieve_of(key)
    for text in (f"{before}\x1b[31m{key}\x1b[0m{after}", f"{before}\x1b[31m{key[:20]}\x1b[1m{key[20:]}\x1b[0m{after}"):
        spans = [
            (layer.origin(start), layer.origin(end - 1))
            for layer in peel(text.encode())
            for start, end in sieve.find(layer.data, 1_000, layer.joints, layer.lines).spans
        ]
        first, last = text.index(key[:20]), text.index(key[20:]) + len(key[20:]) - 1
        assert (first, last) in spans


def test_a_position_in_a_long_stretch_is_that_of_the_key_and_not_of_the_stretch() -> None:
    secret = base64.encodebytes(b"# nothing in this line\n" * 60 + b"TOKEN=" + BYTES + b"\n" + b"# nor here\n" * 60)
    [place, *_] = _laid_bare(secret)
    shares = [at / len(secret) for at in (place, secret.index(b"\n"))]
    assert 0.5 < shares[0] < 0.8
    line = secret[:place].count(b"\n")
    plain = base64.decodebytes(b"\n".join(secret.split(b"\n")[max(0, line - 3) : line + 4]))
    assert b"TOKEN=" in plain


@UNHURRIED
@given(st.binary(max_size=2000), st.sampled_from(list(DISGUISES.values())), st.binary(max_size=200))
def test_whatever_is_beside_it_with_a_space_between_hides_nothing(
    left: bytes, disguise: Disguise, right: bytes
) -> None:
    assert _laid_bare(left + b" \"' " + disguise(BYTES) + b" \"' " + right)


@UNHURRIED
@given(st.one_of(st.binary(max_size=3000), st.text(max_size=3000).map(lambda text: text.encode("utf-8", "replace"))))
def test_any_bytes_can_be_peeled_and_every_place_lies_in_the_text(data: bytes) -> None:
    for layer in peel(data):
        for offset in {0, len(layer.data) // 2, max(0, len(layer.data) - 1)}:
            assert 0 <= layer.origin(offset) < max(1, len(data))
            start, end = layer.disguise(offset, offset + 1)
            assert 0 <= start < end <= max(1, len(data))


def test_colours_and_ends_of_lines_with_nothing_between_are_no_stretch() -> None:
    assert [*seams.seams(b"\x1b[31m" * 9 + b' \\n",\n"' * 9)] == []


def test_the_same_is_laid_bare_once_however_often_it_is_hidden() -> None:
    """Each line by itself, and in joined lines, and without the equals signs at their ends."""
    keys = [fill("{alnum:49}", Random(number)).encode() for number in range(99)]
    lines = keys
    for _ in range(3):
        lines = [*map(base64.b64encode, lines)]
    data = b"\n".join(lines)
    layers = [*peel(data, budget := Budget.of(data))]
    laid_bare = [(one.data, one.joints) for layer in layers for one in layer.stretches]
    assert len(laid_bare) == len({*laid_bare})
    assert all(any(key in layer.data for layer in layers) for key in keys)
    assert budget.skipped == 0
    alone = [one.data for layer in layers for one in layer.stretches if not one.joints]
    assert sum(map(len, alone)) < 4 * len(data)


def test_what_stands_in_one_line_is_not_undone_again_where_it_is_joined_to_others() -> None:
    word = base64.b64encode(b"only words are here, and no key")
    [first] = (layer for layer in peel(b"a1b2c3d4\nx1y2z3." + word + b".x1y2z3a4\nb5c6d7e8") if layer.below)
    assert [one.data for one in first.stretches][1:] == [b"only words are here, and no key"]


PARTS = st.sampled_from(
    [
        *(
            b"a1b2c3d4e5f6g7h8\nb",
            b"some words that are a text ",
            b"<a b",
            b"c d='e'>fghijklmnop",
            b"%41\\u0041",
            b'abc"',
            b'"+"x',
        ),
        *(b"-----BEGIN PRIVATE KEY-----%41", b"x-----END PRIVATE KEY-----", b"\\", b"=\n", b"&#65;", b"\0", b" "),
    ]
)
ENCODERS: list[Callable[[bytes], bytes]] = [base64.b64encode, bytes, binascii.hexlify]
ENCODED = st.builds(
    lambda parts, width, encode: encode(b"".join(parts).decode().encode(width)),
    st.lists(PARTS, max_size=4),
    st.sampled_from(["utf-8", "utf-16-le", "utf-16-be", "utf-32-be"]),
    st.sampled_from(ENCODERS),
)


@UNHURRIED
@given(st.lists(ENCODED, max_size=6))
def test_no_stretch_goes_over_what_parts_those_of_the_layer_below(pieces: list[bytes]) -> None:
    for layer in peel(b"\n ".join(pieces)):
        if layer.below:
            parts = [
                (at, at + len(one.data)) for at, one in zip(layer.below.starts, layer.below.stretches, strict=False)
            ]
            for one in layer.stretches if parts else ():
                assert any(first <= one.start < one.end <= last + 1 for first, last in parts), one


RUN = re.compile(rb"[A-Za-z0-9_.:~/+=-]{%d,}" % SHORTEST)
NEEDLESS = re.compile(
    rb"\\(?!u[0-9A-Fa-f]{4}|u\{[0-9A-Fa-f]{1,6}\}|x[0-9A-Fa-f]{2}|U000[0-9A-Fa-f]{5}|[0-7]{3}|[nrtbfva])[A-Za-z0-9%&<]"
)
FRAGMENTS = st.lists(
    st.one_of(
        st.sampled_from([disguise(BYTES) for disguise in DISGUISES.values()]),
        st.sampled_from(
            [b"%2", b"%41", b"\\", b"\\n", b"\\u00", b"&#4", b"&lowbar;", b"&", b"=\n", b"=3D", b"\xe2\x80\x8b"]
        ),
        st.sampled_from(
            [b"&lt;", b"&gt;", b"&amp;lt;b ", b"&lt;i x='y'&gt;", b"&lt;", b"\\u003cb ", b"\\u003e", b"\\x3ca \\x3e"]
        ),
        st.sampled_from(
            [b"<b>", b"</", b'"+"', b"' '", b"\n", b"\r\n", b"\\\n", b"> ", b"0x41, ", b"65,", b"[", b"\0", b"a\0"]
        ),
        st.sampled_from(
            [
                b"\x1b[31m",
                b"[0m",
                b"\\u001b[m",
                b"#033[K",
                b"\x1b",
                b"[31",
                b'\\n",\n "',
                b'\\"',
                b"<br>\n",
                b"<!--",
                b"-->",
            ]
        ),
        st.text("abcXYZ019_-./+=:~ ", max_size=24).map(str.encode),
        st.binary(max_size=6),
    ),
    max_size=12,
)


@settings(UNHURRIED, max_examples=400)
@given(FRAGMENTS.map(b"".join))
def test_a_decoder_lays_no_key_bare_where_its_hint_is_absent(data: bytes) -> None:
    asked = {decoder for decoder, _ in hints().places(data)}
    for decoder in HINTS:
        if decoder is disguises.quoted_printable and re.search(rb"=[3-7][0-9A-F]", data):
            continue  # a single letter that no mailer encodes: written down in the module
        if decoder in {disguises.backslash, disguises.side_by_side} and NEEDLESS.search(data):
            continue  # nor does anything escape a letter that needs it not
        if decoder is disguises.side_by_side and re.search(rb"=[ \t]{0,8}\r?\n=[0-9A-F]{2}", data):
            continue  # what it leaves alone there, as a key's own, the decoder for mails undoes
        if decoder not in asked:
            others = HINTS if decoder is disguises.side_by_side else ()  # the pieces may part what one alone lays bare
            laid_bare = [undone.data for other in others if other is not decoder for undone in other(data)]
            known = b"\0".join([data, *laid_bare])
            runs = [run.strip(b"_.:~/+-") for undone in decoder(data) for run in RUN.findall(undone.data)]
            assert [run for run in runs if run not in known] == [], decoder


# What hides a part of a key and can stand next to another part.
BESIDE: dict[str, Disguise] = {
    "percent": lambda part: b"".join(b"%%%02X" % byte for byte in part),
    "unicode escapes": lambda part: b"".join(b"\\u%04x" % byte for byte in part),
    "hex escapes": lambda part: b"".join(b"\\x%02x" % byte for byte in part),
    "octal escapes": lambda part: b"".join(b"\\%03o" % byte for byte in part),
    "entities": lambda part: b"".join(b"&#%d;" % byte for byte in part),
    "hex entities": lambda part: b"".join(b"&#x%X;" % byte for byte in part),
    "a soft line end": lambda part: part[:2] + b"=\n" + part[2:],
    "tags": lambda part: part[:1] + b"</b><i class='x'>" + part[1:],
    "tags in JSON": lambda part: part[:1] + b"\\u003ci class='x'\\u003e" + part[1:],
    "tags as entities": lambda part: part[:1] + b"&lt;i class='x'&gt;" + part[1:],
    "zero-width spaces": lambda part: "\u200b".join(part.decode()).encode(),
    "plus": lambda part: part[:1] + b'" + "' + part[1:],
    "plus in JSON": lambda part: part[:1] + b'\\" + \\"' + part[1:],
    "strings in a row": lambda part: part[:1] + b"'\n    f'" + part[1:],
    "nothing": lambda part: part,
}


@UNHURRIED
@given(st.data(), st.lists(st.sampled_from([*BESIDE]), min_size=2, max_size=5))
def test_disguises_side_by_side_in_one_key_are_undone(data: st.DataObject, hidden: list[str]) -> None:
    cuts = data.draw(st.lists(st.integers(2, len(BYTES) - 2), min_size=len(hidden) - 1, max_size=len(hidden) - 1))
    edges = [0, *sorted(cuts), len(BYTES)]
    parts = [BYTES[start:end] for start, end in pairwise(edges)]
    text = b"".join(BESIDE[name](part) if len(part) > 2 else part for name, part in zip(hidden, parts, strict=True))
    places = _laid_bare(b"words before\nKEY='" + text + b"'\nand after")
    assert places
    assert all(len("words before\n") <= place <= len("words before\nKEY='") + len(text) for place in places)


ENDLESS = b"\xe2\x80\x8b" * 2_000
LONG = st.lists(
    st.one_of(
        st.sampled_from(
            [b"%41", b"\\u002d", b"\\-", b"\\\n", b"&#45;", b"&lowbar;", b"=3D", b"=\n", b"<b>", b'" + "', b'"\n  + "']
        ),
        st.sampled_from(
            [
                b"&lt;i x='y z'&gt;",
                b"\\u003ca b\\u003e",
                b"&lt;a " + b"b " * 300 + b"&gt;&lt;b&gt;",
                b"&lt;a ",
                b"\\u003ca ",
            ]
        ),
        st.sampled_from(
            [b'<a title="\n' + b"x " * 300 + b'">', ENDLESS, ENDLESS[:30], b"words. " * 700, b"x \n" * 300]
        ),
        st.sampled_from([b"\n", b" ", b'"', b"\x1b[31m", b"\\u001b[0;1;31m", b'\\n",\n   "']),
        st.builds(
            lambda chance, size: bytes(chance.choices(b"abcXYZ019_-./+", k=size)),
            st.randoms(use_true_random=False),
            st.sampled_from([1, 20, 200, 700, 3_000]),
        ),
    ),
    max_size=40,
)


@settings(UNHURRIED, max_examples=60)
@given(LONG.map(b"".join))
def test_what_is_read_around_hints_shows_all_that_the_whole_text_does(data: bytes) -> None:
    places = {
        decoder: [undone.data for start, end in spans for undone in decoder(data[start:end])]
        for decoder, spans in hints().places(data)
    }
    for decoder, laid_bare in places.items():
        if decoder is disguises.side_by_side and ENDLESS in data:
            continue  # that many characters of no width are left out of a key that has nothing else in it
        # Of pieces side by side there may be one that is no part of a key: then the others' decoder alone does it.
        near = b"\0".join(chain.from_iterable(places.values()) if decoder is disguises.side_by_side else laid_bare)
        runs = [run.strip(b"_.:~/+-") for undone in decoder(data) for run in RUN.findall(undone.data)]
        most = 512 if decoder is disguises.side_by_side else REACH
        assert [run for run in runs if run not in near and run not in data and len(run) <= most] == [], decoder


@pytest.mark.parametrize("margin", ["+", "-", "+ ", "> ", ">> ", "# ", "// ", " * ", "    ", "\t| "])
def test_a_private_key_is_read_in_the_lines_of_a_diff_a_quotation_or_a_comment(margin: str) -> None:
    key = fill("{pem:lines}", Random(2))
    text = "".join(f"{margin}{line}\n" for line in ("config:", *key.splitlines(), "other"))
    read = [f"-----BEGIN{block}" for layer in peel(text.encode()) for block in layer.data.decode().split("-----BEGIN")]
    assert pem.body(key) in map(pem.body, read)


def test_a_private_key_is_read_over_lines_of_a_notebook() -> None:
    key = fill("{pem:lines}", Random(2))
    text = DISGUISES["broken in a notebook"](key.encode())
    assert pem.body(key) in [pem.body(layer.data.decode()) for layer in peel(text)]
    assert not [*seams.seams(key.encode())]


def test_ends_of_private_keys_without_beginnings_hide_nothing() -> None:
    begin, end = "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"
    text = f"{end}+\n+{begin}+\n+{begin}{'x' * 30_000}+\n+{end}"
    assert not any(pem.body(layer.data.decode()) for layer in [*peel(text.encode())][1:])


def test_a_list_of_encoded_keys_in_lines_is_decoded_line_by_line() -> None:
    """Lines that are joined take several times their size: that must not be the room of what else is in them."""
    keys = [fill("exai_{base64url:75}.{alnum:20}", Random(seed)).encode() for seed in range(3_000)]
    laid_bare = b"".join(layer.data for layer in peel(b"\n".join(map(base64.b64encode, keys))))
    assert [key for key in keys if key not in laid_bare] == []


def test_what_follows_a_backslash_is_a_whole_character() -> None:
    for undone in disguises.backslash("x\\é\\-abcdefghijklmnop\\€".encode()):
        undone.data.decode()


@pytest.mark.parametrize("code", ["\\U00110000", "\\u{110000}"])
def test_a_number_beyond_all_characters_is_a_blank(code: str) -> None:
    (undone,) = disguises.backslash(f"{'a' * 20}{code}{'b' * 20}".encode())
    assert undone.data == b"a" * 20 + b" " + b"b" * 20


def test_what_is_wide_has_zeros() -> None:
    assert not [*disguises.wide(b"no zero in it")]


def test_what_is_no_encoding_is_not_taken_for_one() -> None:
    text = b"def test_something_long_named(self) -> None:\n    assert module.attribute.other == 1\n" * 20
    assert [layer.data for layer in peel(text)] == [text]


def test_a_bomb_is_cut_where_it_grows() -> None:
    bomb = base64.b64encode(gzip.compress(b"a" * 50_000_000))
    sizes = [len(layer.data) for layer in peel(b"x = '" + bomb + b"'")]
    assert max(sizes) <= 2_000_000


def test_what_has_no_room_is_counted() -> None:
    budget = Budget(left=100)
    assert len(list(peel(base64.b64encode(b"-" * 10 + BYTES), budget))) == 1
    assert budget.skipped > len(BYTES)


@pytest.mark.parametrize(
    "magic",
    [
        b"\x1f\x8b\x08",
        b"\x78\x9c",
        b"BZh9",
        b"\xfd7zXZ\x00",
        b"\x28\xb5\x2f\xfd",
        b"PK\x03\x04\x14\x00\x00\x00\x08" + bytes(21),
    ],
)
def test_what_looks_packed_and_is_broken_hides_nothing(magic: bytes) -> None:
    assert _laid_bare(base64.b64encode(magic + b"\0\xff" + BYTES))


def test_of_one_run_so_many_places_are_unpacked_and_no_more() -> None:
    packed = [zlib.compress(BYTES + b" %03d" % number) for number in range(encoded._TRIED + 9)]
    run = b"".join(base64.b64encode(data + bytes(-len(data) % 3)) for data in packed)
    [laid_bare] = [layer.data for layer in [*peel(run)][1:]]
    assert laid_bare.count(BYTES) == encoded._TRIED
    *both, left = encoded.packed(run + b"\n" + run)
    assert len(both) == 2 * encoded._TRIED
    assert left.left


def test_of_one_run_of_digits_so_many_places_are_unpacked_and_no_more() -> None:
    """What only begins like something packed, or ends with its head, is none of them."""
    packed = [zlib.compress(BYTES + b" %03d" % number).hex() for number in range(encoded._TRIED + 9)]
    run = "".join(packed).encode()
    cut = gzip.compress(fill("{alnum:4000}", Random(1)).encode())[:16].hex().encode()
    noise = b"789c" + b"f" * 40
    assert len([one for one in encoded.packed_hexadecimal(run) if one.data]) == encoded._TRIED
    assert len([*encoded.packed_hexadecimal(b"\n".join([cut, noise, run, run[:2000]]))]) > encoded._TRIED
    assert not [*encoded.packed_hexadecimal(cut + b"\n" + noise)]


def test_what_is_packed_is_unpacked_as_far_as_there_is_room_and_the_rest_is_counted() -> None:
    noise = fill("{alnum:1200000}", Random(4)).encode()
    long = base64.b64encode(gzip.compress(noise + b"\nKEY=" + BYTES))
    assert _laid_bare(long)
    bomb = base64.b64encode(gzip.compress(bytes(9_000_000) + BYTES))
    for text, is_cut in ((long, False), (bomb, True), (bomb + b"\n" + long, True)):
        [*peel(text, budget := Budget.of(text))]
        assert (budget.skipped > 0) == is_cut


def test_once_there_is_no_room_what_else_is_packed_is_counted() -> None:
    """Each bomb takes a part of what the ones before have left."""
    bombs = [base64.b64encode(zlib.compress(bytes(3_000_000) + b"%d" % number)) for number in range(20)]
    *_, left = encoded.packed(b"\n".join(bombs))
    assert left.data == b""
    assert left.left > 10 * 500


def _streamed(data: bytes, method: int) -> bytes:
    """A zip whose member's size stands behind it."""

    class Pipe(BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError

    with zipfile.ZipFile(pipe := Pipe(), "w", method) as archive:
        archive.writestr("first", b"nothing")
        archive.writestr("second", data)
    return pipe.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_of_a_zip_are_unpacked_however_it_was_written(method: int) -> None:
    with zipfile.ZipFile(whole := BytesIO(), "w", method) as archive:
        archive.writestr("packed in another way", b"x" * 50, zipfile.ZIP_LZMA)
        archive.writestr("a", BYTES)
    for data in (whole.getvalue(), _streamed(BYTES, method), _streamed(BYTES, method)[:-100]):
        assert _laid_bare(base64.b64encode(data))


def test_what_is_packed_and_cut_off_is_unpacked_as_far_as_it_goes() -> None:
    assert _laid_bare(base64.b64encode(gzip.compress(BYTES + Random(1).randbytes(100_000))[:60_000]))


def test_what_breaks_off_within_hides_nothing_else() -> None:
    whole = base64.b64encode(gzip.compress(BYTES))
    broken = bytearray(gzip.compress(Random(1).randbytes(600) + b" " * 90_000 + Random(2).randbytes(600)))
    broken[len(broken) - 640 : len(broken) - 600] = b"\xff" * 40
    assert not [*encoded.packed(base64.b64encode(broken))]
    assert _laid_bare(base64.b64encode(broken) + b"\n\n" + whole)


HOSTILE = {
    "hex": b"0123456789abcdef" * 20_000,
    "base64": base64.b64encode(Random(3).randbytes(240_000)),
    "base64 in lines": base64.encodebytes(Random(3).randbytes(240_000)),
    "backslashes": b"\\" * 300_000,
    "escapes": b"\\u0041" * 50_000,
    "percents": b"%41" * 100_000,
    "ampersands": b"&" * 300_000,
    "entities": b"&#65;" * 60_000,
    "tags": b"<a" * 150_000,
    "open tags": b"<a " + b"b" * 300_000,
    "tags in a row": b"a" + b"<a>" * 100_000 + b"a",
    "tags in a key": b"a<a>" * 75_000,
    "tags in a key, in JSON": b"abcdefg\\u003ca b\\u003e" * 16_000,
    "open tags in JSON": b"abcdefg\\u003ca " * 20_000,
    "an open tag in JSON": (b"abcdefg\\u003ca " + b"b" * 1_500) * 200,
    "tags in a key, as entities": b"abcdefg&lt;a b&gt;" * 16_000,
    "open tags, as entities": b"abcdefg&lt;a " * 20_000,
    "an open tag, as entities": (b"abcdefg&lt;a " + b"b" * 1_500) * 200,
    "ampersands of ampersands": b"a&" + b"amp;" * 75_000,
    "backslashes of tags": b"abcdefg\\\\\\\\u003ca " * 15_000,
    "characters that take no room": b"a" + b"\xe2\x80\x8b" * 100_000 + b"a",
    "quotes": b"\"'" * 150_000,
    "quotes and spaces": (b'"' + b" " * 150) * 2_000,
    "equal signs": b"=" * 300_000,
    "beginnings of packed bytes": b"eJwB" * 75_000,
    "noise that is packed here and there": b"AAeJxA" + base64.b64encode(Random(3).randbytes(240_000)),
    "many zips": b"\n".join([base64.b64encode(b"PK\x03\x04\x14" + bytes(70))] * 2_500),
    "a zip of many members": base64.b64encode((b"PK\x03\x04\x14" + bytes(25)) * 7_000),
    "a zip of many streams": base64.b64encode((b"PK\x03\x04\x14\0\x08\0\x08" + bytes(21) + b"\x03\0") * 7_000),
    "small bombs": b"\n".join([base64.b64encode(zlib.compress(bytes(60_000) + b"%d" % n)) for n in range(500)]),
    "colours": b"\x1b[31m" * 60_000,
    "colours in a key": b"a\x1b[31m" * 50_000,
    "colours of lost characters": b"a[1m" * 75_000,
    "an endless colour": b"\x1b[" + b"1;" * 150_000,
    "colours without end": b"\\u001b[1;1;1" * 25_000,
    "backslashes before colours": b"\\\\\\x1b" * 50_000,
    "lines of notebooks": b'abcdefg1\\n",\n   "' * 16_000,
    "lines of notebooks that are empty": b'a\\n",' * 60_000,
    "a line of a notebook, and blanks": (b'a\\n",' + b" " * 1_000) * 300,
    "strings over lines of notebooks": b'ab\\"\\n","\\"' * 27_000,
    "open strings over lines of notebooks": b'ab\\"' + b'\\n","' * 60_000,
    "operators between quotes": b"a'<>'" * 60_000,
    "remarks of HTML": b"abcdefg<!-- a -->" * 16_000,
    "open remarks of HTML": b"abcdefg<!-- a " * 20_000,
    "line ends of pages": b"abcdefg1<br>\n" * 23_000,
    "line ends": b"a\n" * 150_000,
    "broken lines": b"abcdefg1\nb\n" * 27_000,
    "keys in lines": b"\n".join(b"%032x" % n for n in range(9_000)),
    "private keys that do not end": b"-----BEGIN PRIVATE KEY-----\n> %41" * 8_000,
    "private keys that are empty": b"-----BEGIN PRIVATE KEY-----\n+%41\n+-----END PRIVATE KEY-----" * 5_000,
    "zeros": b"\0" * 300_000,
    "a wide text": ("ab " * 50_000).encode("utf-16"),
    "numbers": b"[" + b"65," * 100_000,
    "brackets": b"[0" * 150_000,
    "hex bytes": b"0x41, " * 50_000,
}


def _seconds(data: bytes) -> float:
    before = process_time()
    for _ in peel(data):
        pass
    return process_time() - before


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_twice_as_much_of_a_hostile_text_takes_about_twice_as_long(data: bytes) -> None:
    once, twice = min(_seconds(data) for _ in range(2)), min(_seconds(data * 2) for _ in range(2))
    assert twice < 3.5 * once + 0.2


def test_every_decoder_is_in_the_list() -> None:
    made = {
        name
        for name, value in [*vars(disguises).items(), *vars(encoded).items(), *vars(seams).items()]
        if getattr(value, "__annotations__", {}) == {"data": bytes, "return": Iterator[disguises.Undone]}
    }
    assert {decoder.__name__ for decoder in HINTS} == {name for name in made if not name.startswith("_")}

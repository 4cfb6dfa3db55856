"""Every disguise that is undone, alone and over one another, and what a hostile text makes of the decoders."""

import base64
import bz2
import gzip
import html
import json
import lzma
import quopri
import zlib
from collections.abc import Callable
from random import Random
from time import process_time
from urllib.parse import quote

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from leakwatch.scan import disguises, layers
from leakwatch.scan.hints import HINTS
from leakwatch.scan.layers import Budget, peel
from leakwatch.scan.synthetic import fill

UNHURRIED = settings(deadline=None)
KEY = fill("exai_{base64url:75}.{alnum:20}", Random(1))
BYTES = KEY.encode()
Disguise = Callable[[bytes], bytes]


def _broken(at: int, between: str) -> Disguise:
    return lambda key: b"KEY=" + key[:at] + between.encode() + key[at:] + b"\nfoo"


def _joined(*around: str) -> Disguise:
    before, between, after = (text.encode() for text in around)
    return lambda key: before + key[:20] + between + key[20:50] + between + key[50:] + after


DISGUISES: dict[str, Disguise] = {
    "base64": lambda key: b"data:\n  key: " + base64.b64encode(b"TOKEN=" + key) + b"\n",
    "base64 without padding": lambda key: base64.b64encode(b"-" + key).rstrip(b"="),
    "base64 for URLs": lambda key: b"?t=" + base64.urlsafe_b64encode(b"\xff\xfe\xfb" + key) + b"&x",
    "base64 in lines": lambda key: base64.encodebytes(b'{"v": "' + key + b'", "other": "' + b"x" * 100 + b'"}'),
    "base64 behind a name": lambda key: b"api_secret_value_" + base64.b64encode(b"v=" + key),
    "base64 of gzip": lambda key: base64.b64encode(gzip.compress(b'{"k": "' + key + b'"}')),
    "base64 of zlib": lambda key: base64.b64encode(zlib.compress(key)),
    "base64 of bzip2": lambda key: base64.b64encode(bz2.compress(key)),
    "base64 of xz": lambda key: base64.b64encode(lzma.compress(key)),
    "base64 of zstd": lambda key: base64.b64encode(zstandard.compress(key)),
    "hex": lambda key: key.hex().encode(),
    "hex in capitals": lambda key: b"0x" + key.hex().upper().encode(),
    "list of hex": lambda key: b"{" + ", ".join(f"0x{byte:02x}" for byte in key).encode() + b"}",
    "list of numbers": lambda key: b"String.fromCharCode(" + ", ".join(map(str, key)).encode() + b")",
    "percent": lambda key: quote("a=b key=" + key.decode() + "&", safe="").encode(),
    "percent throughout": lambda key: "".join(f"%{byte:02X}" for byte in key).encode(),
    "JSON": lambda key: json.dumps({"a": f'x\n{key.decode()}\n"z"'}).encode(),
    "unicode escapes": lambda key: "".join(f"\\u{byte:04x}" for byte in key).encode(),
    "long unicode escapes": lambda key: "".join(f"\\U{byte:08x}" for byte in key).encode(),
    "braced escapes": lambda key: "".join(f"\\u{{{byte:x}}}" for byte in key).encode(),
    "hex escapes": lambda key: "".join(f"\\x{byte:02x}" for byte in key).encode(),
    "octal escapes": lambda key: "".join(f"\\{byte:03o}" for byte in key).encode(),
    "one escaped hyphen": lambda key: key.replace(b"-", b"\\-").replace(b"_", b"\\_"),
    "entities": lambda key: "".join(f"&#{byte};" for byte in key).encode(),
    "hex entities": lambda key: "".join(f"&#x{byte:X};" for byte in key).encode(),
    "named entities": lambda key: html.escape(f'a="1&key={key.decode()}"').encode().replace(b"_", b"&lowbar;"),
    "quoted-printable": lambda key: quopri.encodestring(b"Here is my key: KEY=" + key + b"\n and more"),
    "UTF-16": lambda key: ("the key " + key.decode()).encode("utf-16"),
    "UTF-16, big end first": lambda key: ("the key " + key.decode()).encode("utf-16-be"),
    "UTF-32": lambda key: ("the key " + key.decode()).encode("utf-32-le"),
    "UTF-32, big end first": lambda key: ("the key " + key.decode()).encode("utf-32-be"),
    "HTML's tags": _joined('<pre><span class="s">', '</span><span class="s2">', "</span></pre>"),
    "zero-width spaces": _joined("KEY=", "\u200b", " "),
    "soft hyphens and joiners": _joined("KEY=", "\u00ad\u200d", " "),
    "plus": _joined('key = "', '" + "', '"'),
    "plus over lines": _joined('key = ("', '"\n    + "', '")'),
    "strings in a row": _joined("key = ('", "'\n       f'", "')"),
    "dot": _joined("$key = '", "' . '", "';"),
    "two dots": _joined('key = "', '" .. "', '"'),
    "ampersand": _joined('key = "', '" & _\n "', '"').__call__ if False else _joined('key = "', '" & "', '"'),
    "two bars": _joined("SELECT '", "' || '", "'"),
    "continued string": _joined('key="', '" \\\n  "', '"'),
    "broken near its beginning": _broken(5, "\n"),
    "broken at 60": _broken(60, "\n"),
    "broken near its end": _broken(90, "\n"),
    "broken by Windows": _broken(60, "\r\n"),
    "broken and indented": _broken(40, "\n        "),
    "broken in a quotation": _broken(40, "\n> "),
    "broken in a comment": _broken(40, "\n# "),
    "broken by a backslash": _broken(40, "\\\n    "),
}


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
            start, end = layer.disguise(offset)
            assert 0 <= start < end <= max(1, len(data))


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


@pytest.mark.parametrize("magic", [b"\x1f\x8b\x08", b"\x78\x9c", b"BZh9", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"])
def test_what_looks_packed_and_is_broken_hides_nothing(magic: bytes) -> None:
    assert _laid_bare(base64.b64encode(magic + b"\0\xff" + BYTES))


def test_what_is_packed_and_cut_off_is_unpacked_as_far_as_it_goes() -> None:
    assert _laid_bare(base64.b64encode(gzip.compress(BYTES + Random(1).randbytes(100_000))[:60_000]))


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
    "quotes": b"\"'" * 150_000,
    "quotes and spaces": (b'"' + b" " * 150) * 2_000,
    "equal signs": b"=" * 300_000,
    "line ends": b"a\n" * 150_000,
    "keys in lines": b"\n".join(b"%032x" % n for n in range(9_000)),
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
        for name, value in vars(disguises).items()
        if callable(value)
        and getattr(value, "__annotations__", {}).get("return") == disguises.Iterator[disguises.Undone]
    }
    assert {decoder.__name__ for decoder in HINTS} == {name for name in made if not name.startswith("_")}

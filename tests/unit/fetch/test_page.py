import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.charset import is_bytewise
from leakwatch.fetch.page import Page


def page(body: bytes, content_type: str = "") -> Page:
    return Page(url="https://paste.example/1", status=200, body=body, content_type=content_type)


@pytest.mark.parametrize(
    ("body", "content_type", "charset", "text"),
    [
        ("naïve".encode(), "", "utf-8", "naïve"),
        ("naïve".encode("latin-1"), "text/plain; charset=ISO-8859-1", "iso8859-1", "naïve"),
        ("naïve".encode("latin-1"), 'text/plain; charset="latin1"', "iso8859-1", "naïve"),
        ("“x”".encode("cp1252"), "text/plain;charset=windows-1252", "cp1252", "“x”"),
        ("漢字".encode("shift_jis"), "text/html; charset=Shift_JIS", "shift_jis", "漢字"),
        ("мир".encode("koi8-r"), "text/plain; charset=koi8-r", "koi8-r", "мир"),
        (b'<meta charset="iso-8859-1">\xe9', "text/html", "iso8859-1", '<meta charset="iso-8859-1">é'),
        (b"<?xml version='1.0' encoding='latin-1'?>\xe9", "", "iso8859-1", "<?xml version='1.0' encoding='latin-1'?>é"),
        (codecs.BOM_UTF8 + "é".encode(), "text/plain; charset=latin-1", "utf-8", "é"),
        (codecs.BOM_UTF16_LE + "key".encode("utf-16-le"), "text/plain; charset=utf-8", "utf-16-le", "key"),
        (codecs.BOM_UTF16_BE + "key".encode("utf-16-be"), "", "utf-16-be", "key"),
        (codecs.BOM_UTF32_LE + "key".encode("utf-32-le"), "", "utf-32-le", "key"),
        ("key=1".encode("utf-16-le"), "", "utf-16-le", "key=1"),
        ("key=1".encode("utf-16-be"), "", "utf-16-be", "key=1"),
        ("key=1".encode("utf-16-le"), "text/plain; charset=utf-16le", "utf-16-le", "key=1"),
        (b"", "text/plain; charset=utf-16", "utf-8", ""),
    ],
)
def test_text_is_decoded_as_it_is_meant(body: bytes, content_type: str, charset: str, text: str) -> None:
    assert page(body, content_type).charset == charset
    assert page(body, content_type).text() == text


@pytest.mark.parametrize("charset", ["utf-16", "utf-16le", "utf-32", "UTF-32BE"])
def test_a_wide_charset_cannot_turn_plain_ascii_into_nonsense(charset: str) -> None:
    assert page(b"key = abcdefgh", f"text/plain; charset={charset}").text() == "key = abcdefgh"


@pytest.mark.parametrize(
    "charset",
    ["utf-7", "punycode", "idna", "unicode_escape", "zlib", "base64", "rot13", "no-such-charset", "undefined"],
)
def test_what_is_no_charset_is_not_used(charset: str) -> None:
    assert page(b"key+AGE-\\x41", f"text/plain; charset={charset}").text() == "key+AGE-\\x41"


def test_bytes_that_are_not_of_the_charset_leave_the_rest_readable() -> None:
    assert page(b"A key: \xc3\x28 abc", "text/plain; charset=utf-8").text() == "A key: �( abc"


def test_a_charset_is_looked_for_in_the_first_kilobyte_only() -> None:
    assert page(b" " * 2000 + b"charset=latin-1 \xe9").charset == "utf-8"


@given(body=st.binary(max_size=300), content_type=st.text(max_size=60))
def test_anything_is_decoded_to_something(body: bytes, content_type: str) -> None:
    assert isinstance(page(body, f"text/html; charset={content_type}").text(), str)


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=200))
def test_plain_ascii_survives_whatever_is_said_of_it(text: str) -> None:
    for charset in ("utf-8", "latin-1", "utf-16", "gbk", "euc-jp", "koi8-r", "nonsense"):
        assert page(text.encode(), f"text/plain; charset={charset}").text() == text


def test_a_page_does_not_show_its_body() -> None:
    assert "secret" not in repr(page(b"secret"))


@given(
    st.sampled_from(["utf-8", "latin-1", "utf-16", "utf-16-le", "utf-32-be", "shift_jis", "koi8-r"]),
    st.text("ab é漢\0"),
)
def test_a_text_whose_bytes_are_not_its_characters_is_known(charset: str, around: str) -> None:
    body = f"{around} token {around}".encode(charset, "ignore")
    if is_bytewise(body) and "token" in page(body).text():
        assert b"token" in body

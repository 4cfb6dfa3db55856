import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.notify.cleaning import LONGEST_URL, clean, defang, shorten, web_address

ANYTHING = st.text(st.characters(), max_size=300)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("plain", "plain"),
        ("two\r\nlines\tand\x00more", "two lines and more"),
        ("\u2028separated\u2029 \u00a0 apart ", "separated apart"),
        ("right\u202eto\u2066left", "righttoleft"),
        ("zero\u200bwidth\ufeff\u00ad", "zerowidth"),
        ("tag\U000e0041", "tag"),
        ("lone \ud800", "lone \ufffd"),
        ("ज\u200cज 👩\u200d💻", "ज\u200cज 👩\u200d💻"),
        ("e" + "\u0301" * 50, "e" + "\u0301" * 4),
        ("\x1b[31mred", "[31mred"),
        ("", ""),
    ],
)
def test_a_line_without_tricks(written: str, shown: str) -> None:
    assert clean(written, 100) == shown


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("see https://evil.example/a.html", "see https[:]//evil[.]example/a[.]html"),
        ("HTTPS://EVIL.EXAMPLE", "HTTPS[:]//EVIL[.]EXAMPLE"),
        ("mailto:me@evil.example", "mailto[:]me[@]evil[.]example"),
        ("log in at evil.example now", "log in at evil[.]example now"),
        ("ev\u200bil.exam\u200bple", "evil[.]example"),
        ("evil\u3002example", "evil[.]example"),
        ("xn--80ak6aa92e.com пример.испытание", "xn--80ak6aa92e[.]com пример[.]испытание"),
        ("@everyone", "[@]everyone"),
        ("version 1.2.3, e.g. this. And that", "version 1.2.3, e.g. this. And that"),
        ("12:30", "12:30"),
    ],
)
def test_nothing_in_it_becomes_a_link_or_a_mention(written: str, shown: str) -> None:
    assert defang(written, 100) == shown


@given(ANYTHING, st.integers(1, 80))
def test_cleaned_text_is_one_printable_line(text: str, limit: int) -> None:
    line = clean(text, limit)
    assert len(line) <= limit
    assert line == " ".join(line.split())
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in line)
    assert "\u202e" not in line
    assert clean(line, limit) == line
    line.encode()


@given(ANYTHING)
def test_defanged_text_names_no_scheme_and_no_host(text: str) -> None:
    line = defang(text + " https://evil.example/x?y@z", 1000)
    assert "://" not in line
    assert "evil.example" not in line
    assert "@" not in line.replace("[@]", "")
    assert defang(line, 10_000) == line


@pytest.mark.parametrize(
    ("url", "href"),
    [
        ("https://host.example/a?b=c#d", "https://host.example/a?b=c#d"),
        ("http://host.example:8080", "http://host.example:8080"),
        ("HTTPS://Host.Example/A", "https://host.example/A"),
        ("https://[2001:db8::1]/x", "https://[2001:db8::1]/x"),
        ("https://bücher.example/ü?ö", "https://xn--bcher-kva.example/%C3%BC?%C3%B6"),
        ("https://host.example/%41 b\"<'>", "https://host.example/%41%20b%22%3C'%3E"),
        ("https://host.example/\u202egnp", "https://host.example/gnp"),
        ("https://bank.example@evil.example/", ""),
        ("https://bank.example\\.evil.example/", ""),
        ("https://", ""),
        ("https://[half", ""),
        ("https://host.example:port/", ""),
        ("https://..example/", ""),
        ("javascript:alert(1)", ""),
        ("data:text/html,x", ""),
        ("ftp://host.example/x", ""),
        ("/relative", ""),
        ("https://host.example/" + "a" * LONGEST_URL, ""),
    ],
)
def test_only_plain_web_addresses_are_links(url: str, href: str) -> None:
    assert web_address(url) == href


@given(ANYTHING)
def test_a_link_is_ascii_and_holds_no_quotes_or_brackets(rest: str) -> None:
    href = web_address("https://host.example/" + rest)
    assert href.isascii()
    assert not set(href) & set(' "<>\\`{|}^\r\n')
    assert href == "" or href.startswith("https://host.example/")


@pytest.mark.parametrize(("length", "shown"), [(90, 90), (91, 90), (2000, 90)])
def test_a_long_address_keeps_its_host_and_its_end(length: int, shown: int) -> None:
    url = ("https://host.example/" + "a" * 2000)[: length - 3] + "end"
    short = shorten(url, 90)
    assert len(short) == shown
    assert short.startswith("https://host.example/")
    assert short.endswith("end")
    assert ("…" in short) == (length > 90)

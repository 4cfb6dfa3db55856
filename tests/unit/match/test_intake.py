import csv
import io
import json
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.errors import InputError
from leakwatch.match import digest_text, intake, parse_digest
from leakwatch.match.intake import REQUIRED, BadRow
from leakwatch.model import Registration
from leakwatch.notify import tellable

HEADER = ",".join(REQUIRED)
LOCALES = ("en", "fr", "pt-BR")
DIGEST = digest_text("a-key")
SECRET = "ak-live-" + "0123456789abcdef" * 2


def _read(text: str | bytes, holds_key: Callable[[str], bool] = lambda _: False) -> list[Registration | BadRow]:
    stream = io.BytesIO(text.encode() if isinstance(text, str) else text)
    return list(intake.read(stream, LOCALES, tellable=_tellable, holds_key=holds_key))


def _tellable(url: str) -> None:
    """Delivery's check, but for one chat that needs no Apprise."""
    if not url.startswith("json://hook.example"):
        tellable(url)


def _csv(*rows: str, header: str = HEADER) -> str:
    return "".join(f"{line}\n" for line in (header, *rows))


def _line(**more: str) -> str:
    facts = {"customer": "ann", "email": "ann@example.org", "locale": "en", "digest": DIGEST}
    out = io.StringIO()
    csv.writer(out).writerow([{**facts, **more}.get(name, "") for name in REQUIRED])
    return out.getvalue().removesuffix("\r\n")


def _json(**more: Any) -> str:
    return json.dumps({"customer": "ann", "email": "ann@example.org", "locale": "en", "digest": DIGEST, **more})


def _bad(found: Iterable[Registration | BadRow]) -> list[tuple[int, str]]:
    return [(row.line, row.reason) for row in found if isinstance(row, BadRow)]


def _customers(found: Iterable[Registration | BadRow]) -> list[str]:
    return [row.customer for row in found if isinstance(row, Registration)]


EXPECTED = Registration(
    customer="ann",
    email="ann@example.org",
    locale="fr",
    provider="acme",
    label="prod, eu",
    key_id="k1",
    scheme="sha256",
    digest=parse_digest(DIGEST)[1],
    channels=("json://hook.example/a", "mailto:soc@example.org"),
)


def test_a_row_of_csv() -> None:
    row = f'ann,ann@example.org,fr,acme,"prod, eu",k1,{DIGEST},json://hook.example/a mailto:soc@example.org'
    assert _read(_csv(row, header=HEADER + ",channels")) == [EXPECTED]


@pytest.mark.parametrize(
    "channels", ["json://hook.example/a mailto:soc@example.org", ["json://hook.example/a", "mailto:soc@example.org"]]
)
def test_a_row_of_json(channels: object) -> None:
    row = _json(locale="fr", provider="acme", label="prod, eu", key_id="k1", channels=channels)
    assert _read(f"\n{row}\n\n") == [EXPECTED]


def test_what_spreadsheets_make_of_it() -> None:
    text = "\r\n".join([HEADER.upper().replace(",", " , "), "", _line(label="two\r\nlines"), _line(customer="bob"), ""])
    found = _read(b"\xef\xbb\xbf" + text.encode())
    assert [(r.customer, r.label) for r in found if isinstance(r, Registration)] == [("ann", "two lines"), ("bob", "")]
    assert _bad(found) == []


def test_a_bad_row_leaves_the_others() -> None:
    text = _csv(
        _line(customer="ann"),
        _line(customer=""),
        _line(email="nobody"),
        "too,few",
        _line(customer="bob"),
        _line(locale="tlh"),
    )
    found = _read(text)
    assert _customers(found) == ["ann", "bob"]
    assert _bad(found) == [
        (3, "customer is empty"),
        (4, "email is no mail address: write user@host, and one address only"),
        (5, "the row has 2 fields, the header has 7"),
        (7, "the locale is not known: use one of en, fr, pt-BR, with a region if you like: fr-CA"),
    ]


@pytest.mark.parametrize("column", [*REQUIRED, "channels"])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_key_in_any_column_is_never_repeated(column: str, as_json: bool) -> None:
    header = f"{HEADER},channels"
    facts = dict.fromkeys(header.split(","), "") | {"customer": "ann", "email": "a@b", "digest": DIGEST, column: SECRET}
    [row] = _read(json.dumps(facts) if as_json else _csv(",".join(facts.values()), header=header))
    assert isinstance(row, BadRow) == (column in {"email", "locale", "digest", "channels"})
    if isinstance(row, BadRow):
        assert SECRET not in row.reason


def test_a_plaintext_key_in_place_of_its_digest_is_refused() -> None:
    [row] = _read(_csv(_line(digest=SECRET, email="nobody")))
    assert isinstance(row, BadRow)
    assert row.reason.startswith("this is no digest: never send a key")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "the file is empty"),
        ("\n \n", "the header names a column that is not known, in place 1"),
        ("\n\n", "the file is empty"),
        (HEADER.replace(",label", ""), "the header lacks label"),
        (HEADER + ",extra," + SECRET, "the header names a column that is not known, in place 8, 9"),
        (HEADER.replace(",", ";"), "the header names a column that is not known, in place 1"),
        (HEADER + ",label", "the header names a column twice"),
        ('"customer', "the header is not CSV"),
        (_line(digest=SECRET), "the header names a column that is not known, in place 1, 2, 3, 4, 5, 6, 7"),
        (HEADER.encode("utf-16"), "the header cannot be read: the line is not UTF-8"),
    ],
)
def test_a_header_that_cannot_be_used(text: str | bytes, what: str) -> None:
    with pytest.raises(InputError) as caught:
        _read(text)
    assert caught.value.message == what
    assert caught.value.mend


def test_a_file_of_a_header_alone() -> None:
    assert _read(HEADER) == []


@pytest.mark.parametrize("broken", ['"open,a@b,en,,,,', '"a"b,a@b,en,,,,', "x," + "y" * 200_000, "z" * 600_000, "\xff"])
def test_a_broken_line_takes_no_other_with_it(broken: str) -> None:
    text = _csv(_line(customer="ann"), broken, *(_line(customer=f"c{n}") for n in range(20)))
    found = _read(text.encode("latin-1"))
    assert _customers(found) == ["ann", *(f"c{n}" for n in range(20))]
    [(line, reason)] = _bad(found)
    assert line == 3
    assert "y" * 10 not in reason


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{", "the line is not JSON"),
        ("[" * 100_000, "the line is not JSON"),
        ("[]", "the line is no JSON object"),
        ("\xff", "the line is not UTF-8"),
        (_json(extra=SECRET), f"the object has a name besides {', '.join((*REQUIRED, 'channels'))}"),
        (_json(label=5), "label is no text"),
        (_json(label="x" * 501), "label is longer than 500 characters"),
        (_json(label="a\N{ZERO WIDTH SPACE}b"), "label has characters that cannot be shown"),
        (_json(customer="\ud800"), "customer has characters that cannot be shown"),
        (_json(channels=5), "channels is neither text nor a list of texts"),
        (_json(channels=["a", 5]), "channels is neither text nor a list of texts"),
        (_json(channels=["no url"]), "a channel is no URL: write mailto:user@host or an Apprise URL"),
        (_json(channels="mailto:a"), "email is no mail address: write user@host, and one address only"),
        (_json(email=""), "there is neither an email address nor a channel: nobody could be told"),
        (
            _json(email=None, digest=None),
            "the digest is empty: `leakwatch keys digest` makes one: sha256: and 64 hexadecimal digits",
        ),
    ],
)
def test_a_bad_line_of_json(line: str, what: str) -> None:
    found = _read("\n".join([_json(customer="ann"), line, _json(customer="bob")]).encode("latin-1"))
    assert _customers(found) == ["ann", "bob"]
    assert _bad(found) == [(2, what)]


@pytest.mark.parametrize("email", ["a@b", "a.b+c@sub.example.org", "ä@exämple.org", "x" * 60 + "@example.org"])
def test_mail_addresses(email: str) -> None:
    assert [r.email for r in _read(_csv(_line(email=email))) if isinstance(r, Registration)] == [email]


@pytest.mark.parametrize(
    "email",
    [
        "a",
        "a@",
        "@b",
        "a@b@c",
        "a@b,c@d",
        "a b@c",
        "a@b?bcc=c",
        "A <a@b>",
        "a@.b",
        "a@b.",
        "a@b..c",
        "a%40b@c",
        "a@" + "b" * 254,
        ".dot@x.example",
        "dot.@x.example",
        "a..b@x.example",
        "u@under_score.example",
        "u@" + "d" * 70 + ".example",
    ],
)
def test_what_is_no_mail_address(email: str) -> None:
    [(_, reason)] = _bad(_read(_csv(_line(email=email))))
    assert reason.startswith("email is no mail address")


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise's own
@pytest.mark.parametrize(
    "url",
    [
        "json://169.254.169.254/",
        "foo:bar",
        f"slack://{SECRET}",
        f"pagerduty://integration@apikey?{SECRET}=1",
        "webhook:tickets",
        "mailto:.dot@x.example",
    ],
)
def test_a_channel_on_which_delivery_would_tell_nobody_is_refused_and_not_repeated(url: str) -> None:
    [row] = _read(_json(channels=[url]))
    assert isinstance(row, BadRow)
    assert SECRET not in row.reason


def test_channels_do_without_an_address() -> None:
    [row] = _read(_json(email="", channels=["json://hook.example"]))
    assert isinstance(row, Registration)
    assert (row.email, row.channels) == ("", ("json://hook.example",))


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ("", "en"),
        ("FR", "fr"),
        ("fr_CA", "fr-CA"),
        ("fr-latn-ca", "fr-Latn-CA"),
        ("EN-001", "en-001"),
        ("pt_br", "pt-BR"),
        ("PT-BR", "pt-BR"),
    ],
)
def test_locales(given: str, known: str) -> None:
    assert [r.locale for r in _read(_csv(_line(locale=given))) if isinstance(r, Registration)] == [known]


@pytest.mark.parametrize("column", ["customer", "provider", "label", "email"])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_key_in_place_of_a_name_is_refused_by_its_line_and_not_repeated(column: str, as_json: bool) -> None:
    facts = {"customer": "ann", "email": "ann@example.org", "digest": DIGEST}
    told = {**facts, column: f"{SECRET}@example.org" if column == "email" else f"our {SECRET}"}
    write = _json if as_json else _line
    rows = [write(**facts), write(**told), write(**facts, label="billing")]
    found = _read("\n".join(rows) if as_json else _csv(*rows), lambda text: SECRET in text)
    [(line, reason)] = _bad(found)
    assert (line, len(found)) == (2 if as_json else 3, 3)
    assert reason.startswith(intake.KEY_INSIDE)
    assert SECRET not in reason


def test_an_id_that_looks_like_a_key_is_let_through() -> None:
    [row] = _read(_json(key_id=SECRET), lambda text: SECRET in text)
    assert isinstance(row, Registration)


def test_rows_are_looked_through_for_keys_together() -> None:
    asked: list[str] = []

    def holds_key(text: str) -> bool:
        asked.append(text)
        return False

    _read(_csv(*(_line(label=f"key {n}") for n in range(1000))), holds_key)
    assert len(asked) < 10
    assert all(f"key {n} |" in " |".join([*asked, ""]) for n in range(1000))


WORDS = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=12)
PHRASES = st.lists(WORDS, max_size=3).map(" ".join)


@given(st.lists(st.tuples(WORDS, PHRASES, PHRASES), max_size=5))
def test_both_forms_read_back_what_was_written(rows: list[tuple[str, str, str]]) -> None:
    facts = [dict(zip(("customer", "provider", "label"), row, strict=True)) for row in rows]
    as_csv = _read(_csv(*(_line(**f) for f in facts)))
    as_json = _read("\n".join(_json(**f) for f in facts)) if facts else []
    for found in (as_csv, as_json):
        assert [(r.customer, r.provider, r.label) for r in found if isinstance(r, Registration)] == rows
        assert len(found) == len(rows)


@given(st.binary(max_size=300), st.booleans())
def test_whatever_stands_in_a_file_is_a_row_or_told(noise: bytes, as_json: bool) -> None:
    head = (_json() if as_json else HEADER).encode() + b"\n"
    for row in _read(head + noise):
        assert isinstance(row, Registration | BadRow)


def test_a_file_of_any_length_is_read_in_constant_memory() -> None:
    class Endless(io.RawIOBase):
        """A file that is written while it is read."""

        def __init__(self) -> None:
            self._lines: Iterator[bytes] = iter([HEADER.encode() + b"\n"])
            self.left = 20_000

        def readline(self, size: int | None = -1, /) -> bytes:
            self.left -= 1
            return next(self._lines, f"{_line()}\n".encode()) if self.left else b""

    tracemalloc.start()
    found = intake.read(Endless(), LOCALES, tellable=tellable, holds_key=lambda _: False)  # type: ignore[arg-type] # all that is used of a file
    count = sum(1 for _ in found)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 19_998
    assert peak < 1_000_000

"""How a document that is a container is taken apart."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from leakwatch.containers.opener import Opener
from leakwatch.members import parts, place
from leakwatch.model import Document, Reference
from tests.unit.containers.making import printed, zipped

REFERENCE = Reference(url="https://x.example/files/a.zip?raw=1", id="7", title="a title")


@pytest.fixture(scope="module")
def opener() -> Iterator[Opener]:
    with closing(Opener()) as opener:
        yield opener


def seen(opener: Opener, raw: bytes | None, reference: Reference = REFERENCE) -> list[tuple[str, str]]:
    document = Document(reference=reference, text="around", raw=raw)
    cut: Counter[str] = Counter()
    return [(part.reference.path, part.text) for part in parts(opener, document, cut)]


def test_members_come_first_under_the_way_to_them(opener: Opener) -> None:
    utf16 = "é".encode("utf-16")
    raw = zipped({"dir/.env": b"K=1", "b": utf16})
    assert seen(opener, raw) == [("a.zip!/dir/.env", "K=1"), ("a.zip!/b", "é"), ("", "")]
    assert seen(opener, raw, replace(REFERENCE, path="p/w.zip"))[0][0] == "p/w.zip!/dir/.env"
    assert seen(opener, raw, Reference(url="https://x.example/", id=""))[0][0] == "document!/dir/.env"


def test_of_a_document_that_is_more_than_its_members_the_text_is_looked_at_too(opener: Opener) -> None:
    assert seen(opener, None) == [("", "around")]
    assert seen(opener, printed(b"x"))[-1] == ("", "around")
    assert seen(opener, zipped({"a": b"b"})[:-30])[-1] == ("", "around")  # its directory is broken


def test_what_was_cut_of_other_documents_makes_no_packing_worth_a_look(opener: Opener) -> None:
    document = Document(reference=REFERENCE, text="around", raw=zipped({"a": b"b"}))
    cut = Counter(encrypted=2)
    assert [part.text for part in parts(opener, document, cut)] == ["b", ""]
    assert cut == {"encrypted": 2}


def test_a_part_stands_in_its_document(opener: Opener) -> None:
    document = Document(reference=REFERENCE, text="", raw=zipped({"a": b"b"}))
    [member, itself] = parts(opener, document, Counter())
    assert member.reference.url == member.reference.title == ""
    assert place(document, member).path == "a.zip!/a"
    assert place(document, member).id == "7"
    assert place(document, itself).path == ""

"""What hosts are asked, exactly as it would go."""

from datetime import UTC, datetime

from syrupy.assertion import SnapshotAssertion

from leakwatch.fetch import Source
from leakwatch.model import Exposure, Field, Place, Position
from leakwatch.store.looks import Still
from leakwatch.takedown import requests
from tests.installation import source_named

AT = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def place(url: str, source: str = "paste") -> Place:
    return Place(
        source=source,
        url=url,
        title="t",
        author="a",
        path="p",
        position=Position(field=Field.TEXT, line=1, column=1),
        published_at=None,
        first_seen_at=AT,
        last_seen_at=AT,
    )


def exposure(*places: Place) -> Exposure:
    return Exposure(
        finding_id=1,
        provider="OpenAI",
        detector="openai-project",
        label="billing",
        key_id="key_1",
        masked="sk-proj-…abcd",
        first_seen_at=AT,
        places=places,
    )


def still(url: str, gone: datetime | None = None) -> Still:
    return Still(url=url, source="paste", looks=1, looked_at=AT, gone_at=gone)


API = "https://api.paste.example"
SOURCES: dict[str, Source] = {"paste": source_named("paste", API, abuse="mailto:abuse@paste.example")}
ISSUER = "Example AI Security <security@issuer.example>"


def test_each_host_is_asked_for_all_its_documents_at_once(snapshot: SnapshotAssertion) -> None:
    found = requests(
        exposure(
            place("https://paste.example/1"),
            place("https://paste.example/2"),
            place("https://other.example/x", "unknown"),
            place("https://gone.example/3"),
        ),
        [still("https://gone.example/3", AT)],
        SOURCES,
        ISSUER,
    )
    assert [(one.host, one.address) for one in found] == [
        ("other.example", ""),
        ("paste.example", "mailto:abuse@paste.example"),
    ]
    assert "\n".join("\n".join(one.lines()) for one in found) == snapshot
    assert found[1].message.html == snapshot


def test_a_page_to_say_it_on_is_named() -> None:
    [found] = requests(
        exposure(place("https://paste.example/1")),
        [],
        {"paste": source_named("paste", "https://api.paste.example", abuse="https://paste.example/report")},
        ISSUER,
    )
    assert found.address == ""
    assert next(found.lines()) == "# Say it there: https://paste.example/report"


def test_an_address_that_nobody_can_go_to_is_left_out() -> None:
    shown = exposure(place("file:///srv/x"), place("https://user@evil.example/"), place("javascript:alert(1)"))
    assert requests(shown, [], SOURCES, ISSUER) == []


def test_a_stranger_cannot_write_in_it() -> None:
    hostile = place("https://paste.example/a\r\nBcc: x@evil.example\r\n\r\n<script>")
    [found] = requests(exposure(hostile), [], SOURCES, ISSUER)
    assert "\r" not in found.message.text
    assert "\nBcc" not in found.message.text
    assert "<script>" not in found.message.html


def test_a_sources_contact_is_not_asked_about_what_lies_on_another_host() -> None:
    found = requests(
        exposure(place("https://paste.example/1"), place("https://elsewhere.example/2")), [], SOURCES, ISSUER
    )
    assert {one.host: one.contact for one in found} == {
        "elsewhere.example": "",
        "paste.example": "mailto:abuse@paste.example",
    }

"""Notices to compose, with strangers' writing of the worst kind."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from leakwatch.model import Answer, Exposure, Field, Guide, Notice, NoticeKind, Place, Position, Summary
from leakwatch.notify import Composer, Issuer, Links
from leakwatch.signing import Signer

MOMENT: Final = datetime(2026, 7, 27, 14, 3, tzinfo=UTC)
GUIDE: Final = Guide(
    name="OpenAI project API key",
    provider="OpenAI",
    page="https://platform.openai.com/api-keys",
    steps=(
        "Put the new key in place everywhere the old one is used.",
        "Open the API keys page, find the leaked key by its last four characters and delete it.",
    ),
)
OTHER: Final = Guide(
    name="{provider} API key",
    provider="Groq",
    page="https://console.groq.com/keys",
    menu="API Keys",
    steps=("Open “{menu}” at {provider}.", "Delete the leaked key there."),
)
GUIDES: Final = {"openai-project": GUIDE, "openai-legacy": GUIDE, "groq": OTHER}
ISSUER: Final = Issuer(name="Example AI Security", sender="security@issuer.example", reply_to="answers@issuer.example")
LINKS: Final = Links("https://leakwatch.issuer.example", Signer([b"s" * 32]), valid=7_776_000.0)
ANSWERING: Final = LINKS.answering(42, MOMENT)
HOSTILE: Final = (
    "URGENT: log in at https://evil.example/login or evil.example\r\nBcc: everyone@evil.example\r\n\r\n"
    "\u202egnp.exe\u202c\u200b\x00\x1b[31m{{ 7*7 }}{% raw %}<script>alert(1)</script>&amp;@everyone"
    " a\u0301\u0301\u0301\u0301\u0301\u0301"
)


def place(**facts: Any) -> Place:
    usual: dict[str, Any] = {
        "source": "paste",
        "url": "https://paste.example.org/p/k7Qm2x",
        "title": "settings.py",
        "author": "build-bot",
        "path": "",
        "position": Position(field=Field.TEXT, line=12, column=3),
        "published_at": MOMENT - timedelta(minutes=1),
        "first_seen_at": MOMENT,
        "last_seen_at": MOMENT,
    }
    return Place(**usual | facts)


def exposure(number: int = 7, **facts: Any) -> Exposure:
    usual: dict[str, Any] = {
        "finding_id": number,
        "provider": "openai",
        "detector": "openai-project",
        "label": "CI deploy",
        "key_id": "key_9fK2",
        "masked": "sk-proj-…w4Zt",
        "first_seen_at": MOMENT,
        "places": (place(),),
    }
    return Exposure(**usual | facts)


def notice(kind: NoticeKind = NoticeKind.EXPOSURE, **facts: Any) -> Notice:
    usual: dict[str, Any] = {
        "id": 42,
        "kind": kind,
        "customer": "Northwind Robotics",
        "locale": "en",
        "created_at": MOMENT,
        "exposures": () if kind is NoticeKind.ALARM else (exposure(),),
    }
    return Notice(**usual | facts)


def alarm(reason: str = "blocked", **facts: Any) -> Notice:
    detail = "Source paste is not being watched: the server answered 403: ask its operator. Next try at 15:00:00 UTC."
    return notice(NoticeKind.ALARM, customer="", alarm=reason, detail=detail, **facts)


def summary(**facts: Any) -> Notice:
    usual: dict[str, Any] = {
        "since": MOMENT - timedelta(days=1),
        "until": MOMENT,
        "found": 3,
        "places": 5,
        "sent": 4,
        "answers": {Answer.REVOKED: 2, Answer.FALSE_ALARM: 1},
        "bounced": 1,
        "open": 7,
        "unanswered": 2,
        "stopped": 1,
        "held": 1,
        "waiting": 0,
        "dead": 2,
        "failing": (("pastes", "blocked"),),
        "doubtful": (("snippets", "canary_lost"),),
    }
    return notice(NoticeKind.SUMMARY, customer="", exposures=(), summary=Summary(**usual | facts))


def gone(**facts: Any) -> Exposure:
    """A key that has left its one place."""
    return exposure(places=(place(gone_at=MOMENT + timedelta(days=1)),), **facts)


def ten_keys(**facts: Any) -> Notice:
    kinds = ("openai-project", "openai-legacy", "groq", "gone")
    many = tuple(
        exposure(
            n,
            label=f"Key number {n}",
            detector=kinds[n % len(kinds)],
            provider="acme",
            places=tuple(place(url=f"https://paste.example.org/p/{n}/{m}", title="") for m in range(n)),
        )
        for n in range(1, 11)
    )
    return notice(exposures=many, **facts)


def hostile(**facts: Any) -> Notice:
    first = place(url="https://bank.example@evil.example/", title=HOSTILE, author=HOSTILE, path=HOSTILE)
    second = place(url="javascript:alert(1)", title="x" * 10_000, author="", published_at=None)
    third = place(url="https://paste.example.org/\u202e?q=<script>&x=\"'", title="\ud800\U000e0041ok", author="")
    long = place(url="https://paste.example.org/" + "a" * 3000, title="", author="")
    seen = exposure(label=HOSTILE, key_id=HOSTILE, masked="sk-…\r\nX: y", places=(first, second, third, long))
    return notice(customer=HOSTILE, exposures=(seen,), **facts)


def composer() -> Composer:
    return Composer(ISSUER, GUIDES)

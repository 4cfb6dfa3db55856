"""Rows as the store's tests make them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from leakwatch.model import Field, Place, Position, Registration
from leakwatch.store import registry
from leakwatch.store.database import Transaction
from leakwatch.store.findings import NewSighting
from leakwatch.store.registry import Registered

START = datetime(2026, 1, 1, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def registration(customer: str, number: int = 0, **more: object) -> Registration:
    """A registration of a customer's n-th key; the digest is the number's."""
    facts = {
        "email": f"{customer}@example.org",
        "locale": "en",
        "provider": "acme",
        "label": f"key {number}",
        "key_id": "",
        "scheme": "sha256",
        "digest": digest(number),
    }
    return Registration(**{"customer": customer, **facts, **more})  # type: ignore[arg-type] # a test's own words


async def register(tx: Transaction, rows: Sequence[Registration]) -> Registered:
    """Register keys whose digests are stored as they are."""
    return await registry.register(tx, rows, bytes)


def digest(number: int) -> bytes:
    return number.to_bytes(32, "big")


def place(at: float = 0, **more: object) -> Place:
    facts = {
        "source": "pastes",
        "url": "https://paste.example/1",
        "title": "",
        "author": "",
        "path": "",
        "position": Position(field=Field.TEXT, line=3, column=7),
        "published_at": None,
        "first_seen_at": after(at),
        "last_seen_at": after(at),
    }
    return Place(**{**facts, **more})  # type: ignore[arg-type] # a test's own words


def seen(key_id: int, document: int = 0, at: float = 0, **more: object) -> NewSighting:
    """A sighting of a key in the n-th document."""
    return NewSighting(
        key_id=key_id,
        detector="acme",
        masked="ak-…wxyz",
        document=document.to_bytes(16, "big"),
        place=place(at, **more),
    )

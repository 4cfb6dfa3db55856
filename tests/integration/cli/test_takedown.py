"""Requests to take documents down: each is sent, or told, and written down, whatever comes of the others."""

from pathlib import Path

import pytest

from leakwatch.cli.findings import _send
from leakwatch.config import load
from leakwatch.demo import Mailbox
from leakwatch.errors import DeliveryError
from leakwatch.model import Message
from leakwatch.store import findings, registry, takedowns
from leakwatch.store.database import Database
from leakwatch.takedown import Request
from tests.installation import Installation
from tests.integration.store.making import register, registration, seen


def draft(host: str) -> Request:
    return Request(host=host, contact=f"mailto:abuse@{host}", message=Message(subject="s", text="t\n", html="<p>t</p>"))


async def test_one_that_is_refused_keeps_no_other_and_what_was_sent_is_written_down(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with database.transaction() as tx:
        await register(tx, [registration("ann", 1)])
        [key] = await registry.keys(tx)
        [recorded] = await findings.record(tx, [seen(key.id, 1)])
    async with Mailbox().serving() as mailbox:
        installation = Installation(tmp_path, mailbox)
        installation.configure()
        config = load(tmp_path / "leakwatch.toml")
        mailbox.refused["abuse@one.example"] = "550 5.1.1 nobody here"
        with pytest.raises(DeliveryError):
            await _send(config, database, recorded.finding_id, [draft("one.example"), draft("two.example")])
    assert [to for _, to, _ in mailbox.mails] == ["abuse@two.example"]
    async with database.reading() as tx:
        [asked] = await takedowns.of_finding(tx, recorded.finding_id)
    assert (asked.host, asked.address) == ("two.example", "mailto:abuse@two.example")
    said = capsys.readouterr().err
    assert "not sent to abuse@one.example: " in said
    assert "sent to abuse@two.example" in said

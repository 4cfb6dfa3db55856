"""The daemon on a real paste server: bepasty as its own package installs and serves it."""

import asyncio
import random
from email.message import EmailMessage

import pytest

from leakwatch.demo import Mailbox
from tests.installation import Installation, customers, mails, text_of, until
from tests.peers.conftest import Bepasty

HARMLESS = 200


@pytest.mark.peers
@pytest.mark.parametrize("definition", ["bepasty", "bepasty-api"])
async def test_three_registered_keys_among_200_pastes_bring_exactly_three_notices(
    installation: Installation, bepasty: Bepasty, mailbox: Mailbox, definition: str
) -> None:
    """Two keys that nobody registered bring none; the source is added by TOML alone."""
    owners, strangers = customers(3, seed=21), customers(5, seed=22, prefix="stranger")[3:]
    leaks = {c.name: f"# settings\nTOKEN = '{c.key}'\n" for c in [*owners, *strangers]}
    pastes = [*((f"{name}.env", text) for name, text in leaks.items())]
    pastes += [(f"notes-{n}.txt", f"harmless number {n}\n" * 5) for n in range(HARMLESS)]
    random.Random(23).shuffle(pastes)
    installation.sources = (
        f'[[source]]\nuse = "{definition}"\nbase_url = "{bepasty.url}"\nevery = "2s"\nrate = "200/s"\nconcurrency = 8'
    )
    await installation.install(owners)

    places: dict[str, str] = {}
    async with installation.daemon():
        for name, text in pastes:
            places[name] = await asyncio.to_thread(bepasty.upload, name, text)
        await until(lambda: {c.address for c in owners} <= {to for _, to, _ in mailbox.mails}, "three notices")
        await until(lambda: _scanned(installation) >= len(pastes), "every paste has been scanned")
        await asyncio.sleep(2.5)  # one more poll: nothing is told twice

    told = [to for _, to, _ in mailbox.mails if to != "soc@issuer.example"]
    assert sorted(told) == sorted(c.address for c in owners)
    for owner in owners:
        [mail] = mails(mailbox, owner.address)
        assert isinstance(mail, EmailMessage)
        text = text_of(mail)
        assert owner.label in text
        assert f"{bepasty.url}/{places[f'{owner.name}.env']}" in text
        assert not [c.label for c in owners if c is not owner and c.label in text]
    assert len(bepasty.items()) == len(pastes)


def _scanned(installation: Installation) -> int:
    return sum(event.get("documents", 0) for event in installation.events if event["event"] == "fetched")

"""The daemon on real software, one definition after another: what is published there brings its notice."""

import asyncio
from pathlib import Path

import pytest

from leakwatch.definitions import available, load
from leakwatch.demo import Mailbox
from tests.installation import Installation, customers, mails, text_of, until
from tests.peers.software import ALL


@pytest.mark.peers
@pytest.mark.timeout(240)
@pytest.mark.parametrize("definition", ALL)
async def test_a_key_that_is_published_there_brings_a_notice(
    installation: Installation, mailbox: Mailbox, tmp_path_factory: pytest.TempPathFactory, definition: str
) -> None:
    owner, stranger = customers(2, seed=51)
    async with ALL[definition](tmp_path_factory.mktemp(definition)) as software:
        await software.publish("Harmless", f"somebody else's {stranger.key}\n")
        installation.sources = (
            f'[[source]]\nuse = "{definition}"\nbase_url = "{software.base_url}"\nrate = "50/s"\n{software.more}\n'
        )
        await installation.install([owner])
        async with installation.daemon():
            await until(lambda: _polled(installation), "the first poll is done")
            await asyncio.sleep(1.1)  # feeds count in seconds
            await software.publish("Settings", f"# mine\nTOKEN = '{owner.key}'\n")
            await until(lambda: bool(mails(mailbox, owner.address)), "the customer has mail")
            listed = await installation.run("sources", "list", "--json")
    assert [row["state"] for row in listed.rows] == ["ok"]
    [mail] = mails(mailbox, owner.address)
    assert software.base_url.split("/")[2].split(":")[0] in text_of(mail)
    assert {to for _, to, _ in mailbox.mails} == {owner.address, "soc@issuer.example"}


@pytest.mark.peers
def test_whatever_is_called_verified_is_run_here() -> None:
    run = {"bepasty", "bepasty-api", "cgit", "gitweb", "feed", "url-list", *ALL}
    verified = {path.stem for path in available(Path("no such folder")) if load(path).verified}
    assert verified == run


def _polled(installation: Installation) -> bool:
    return any(event["event"] == "polled" for event in installation.events)

"""The daemon on a real cgit: keys in pushed commits, on any branch, added or removed."""

import asyncio

import pytest

from leakwatch.demo import Mailbox
from tests.installation import Installation, customers, mails, text_of, until
from tests.peers.githost import GitHost


@pytest.mark.peers
async def test_a_key_in_a_pushed_commit_brings_a_notice_that_names_the_commit(
    installation: Installation, git_host: GitHost, mailbox: Mailbox
) -> None:
    owner, other, stranger = customers(3, seed=41)
    repository = await asyncio.to_thread(git_host.create, "tools")
    await asyncio.to_thread(repository.push, {"README.md": "# Tools\n", "old.env": f"T={stranger.key}\n"}, "First")
    installation.sources = (
        f'[[source]]\nuse = "cgit"\nbase_url = "{git_host.cgit("tools")}"\nevery = "1s"\nrate = "50/s"'
    )
    await installation.install([owner, other])

    async with installation.daemon():
        await until(lambda: _fetched(installation) == 1, "the first commit has been read")
        title = "Add settings & <more>"
        on_master = await asyncio.to_thread(repository.push, {".env": f"TOKEN={owner.key}\n"}, title)
        await until(lambda: bool(mails(mailbox, owner.address)), "the customer has mail")
        await asyncio.to_thread(repository.branch, "side")
        on_side = await asyncio.to_thread(repository.push, {"b.py": f"key = '{other.key}'\n"}, "Try this")
        await until(lambda: bool(mails(mailbox, other.address)), "the other customer has mail")
        await asyncio.to_thread(repository.push, {".env": "", "b.py": ""}, "Take them out")
        await until(lambda: _fetched(installation) == 4, "the last commit has been read")
        await asyncio.sleep(1.5)  # one more poll: a key that is taken out is no news
    [mail], [second] = mails(mailbox, owner.address), mails(mailbox, other.address)
    text = text_of(mail)
    assert owner.label in text
    assert f"{git_host.cgit('tools')}/commit/?id={on_master}" in text
    assert f"{git_host.cgit('tools')}/commit/?id={on_side}" in text_of(second)
    shown = await installation.run("findings", "show", "1")
    assert title in shown.out
    assert "Ada Lovelace" in shown.out
    assert {to for _, to, _ in mailbox.mails} == {owner.address, other.address, "soc@issuer.example"}


@pytest.mark.peers
async def test_a_repository_that_is_not_there_is_named(installation: Installation, git_host: GitHost) -> None:
    installation.sources = f'[[source]]\nuse = "cgit"\nbase_url = "{git_host.cgit("none")}"'
    await installation.install([])
    tested = await installation.run("sources", "test", "cgit")
    assert tested.status != 0
    assert "404" in tested.out + tested.err


def _fetched(installation: Installation) -> int:
    return sum(event.get("documents", 0) for event in installation.events if event["event"] == "fetched")

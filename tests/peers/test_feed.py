"""The daemon on feeds as real servers make them, read by the definition that fits any feed."""

import asyncio

import pytest

from leakwatch.demo import Mailbox
from tests.installation import Customer, Installation, customers, mails, text_of, until
from tests.peers.githost import GitHost, Repository


@pytest.mark.peers
@pytest.mark.parametrize("kind", ["RSS 2.0", "Atom"])
async def test_a_key_that_a_feed_shows_brings_a_notice(
    installation: Installation, git_host: GitHost, mailbox: Mailbox, kind: str
) -> None:
    """A commit's message stands whole in the feed: in gitweb's RSS as content:encoded, in cgit's Atom as content."""
    repository = await asyncio.to_thread(git_host.create, "tools")
    feed, shown_at = {
        "RSS 2.0": (f"{git_host.gitweb('tools')};a=rss", f"{git_host.gitweb('tools')};a=commitdiff;h="),
        "Atom": (f"{git_host.cgit('tools')}/atom/", f"{git_host.cgit('tools')}/commit/?id="),
    }[kind]
    [owner] = customers(1, seed=44)
    message = f"Say how to call it\n\nexport TOKEN={owner.key}"
    commit = await _pushed(installation, repository, owner, feed, message=message)
    async with installation.daemon():
        await until(lambda: bool(mails(mailbox, owner.address)), "the customer has mail")
    text = text_of(mails(mailbox, owner.address)[0])
    assert f"{shown_at}{commit}" in text
    assert "Say how to call it" in text


@pytest.mark.peers
async def test_a_key_on_the_page_that_an_entry_links_to_brings_a_notice(
    installation: Installation, git_host: GitHost, mailbox: Mailbox
) -> None:
    repository = await asyncio.to_thread(git_host.create, "tools")
    [owner] = customers(1, seed=45)
    feed = f"{git_host.cgit('tools')}/atom/"
    linked = 'override = { document = { url = "{url}" } }'
    commit = await _pushed(installation, repository, owner, feed, more=linked)
    async with installation.daemon():
        await until(lambda: bool(mails(mailbox, owner.address)), "the customer has mail")
    assert f"{git_host.cgit('tools')}/commit/?id={commit}" in text_of(mails(mailbox, owner.address)[0])


async def _pushed(
    installation: Installation,
    repository: Repository,
    owner: Customer,
    feed: str,
    *,
    message: str = "Add settings",
    more: str = "",
) -> str:
    """Watch the feed, and push a commit with the owner's key in it."""
    installation.sources = f'[[source]]\nuse = "feed"\nbase_url = "{feed}"\nrate = "50/s"\n{more}'
    await installation.install([owner])
    return await asyncio.to_thread(repository.push, {".env": f"TOKEN={owner.key}\n"}, message)

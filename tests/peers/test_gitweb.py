"""The daemon on a real gitweb: keys in pushed commits, however old these say they are."""

import asyncio

import pytest

from leakwatch.demo import Mailbox
from tests.installation import Installation, customers, mails, text_of, until
from tests.peers.githost import AUTHOR, GitHost


@pytest.mark.peers
async def test_a_key_in_a_pushed_commit_brings_a_notice_that_names_the_commit(
    installation: Installation, git_host: GitHost, mailbox: Mailbox
) -> None:
    """The second push is older than the first by its date: gitweb calls that "not modified", and is not asked."""
    owner, other = customers(2, seed=42)
    repository = await asyncio.to_thread(git_host.create, "tools")
    at = "2026-11-23T12:00:00Z"
    await asyncio.to_thread(repository.push, {"README.md": "# Tools\n"}, "First", at=at)
    base_url = git_host.gitweb("tools")
    installation.sources = f'[[source]]\nuse = "gitweb"\nbase_url = "{base_url}"\nevery = "1s"\nrate = "50/s"'
    await installation.install([owner, other])

    async with installation.daemon():
        await until(lambda: _fetched(installation) == 1, "the first commit has been read")
        title = "Add settings & <more>"
        newest = await asyncio.to_thread(repository.push, {".env": f"TOKEN={owner.key}\n"}, title, at=at)
        await until(lambda: bool(mails(mailbox, owner.address)), "the customer has mail")
        files = {"b.py": f"key = '{other.key}'\n"}
        older = await asyncio.to_thread(repository.push, files, "Work of last year", at="2025-11-23T12:00:00Z")
        await until(lambda: bool(mails(mailbox, other.address)), "the other customer has mail")
    [mail], [second] = mails(mailbox, owner.address), mails(mailbox, other.address)
    assert f"{base_url};a=commitdiff;h={newest}" in text_of(mail)
    assert f"{base_url};a=commitdiff;h={older}" in text_of(second)
    shown = await installation.run("findings", "show", "1")
    assert title in shown.out
    assert AUTHOR in shown.out


@pytest.mark.peers
async def test_another_branch_is_a_source_of_its_own(
    installation: Installation, git_host: GitHost, mailbox: Mailbox
) -> None:
    owner = customers(1, seed=43)[0]
    repository = await asyncio.to_thread(git_host.create, "tools")
    await asyncio.to_thread(repository.push, {"README.md": "# Tools\n"}, "First")
    await asyncio.to_thread(repository.branch, "side")
    commit = await asyncio.to_thread(repository.push, {"b.py": f"key = '{owner.key}'\n"}, "Try this")
    base_url = git_host.gitweb("tools")
    listing = 'override = { listing = { url = "{base_url};a=rss;h=refs/heads/side" } }'
    installation.sources = f'[[source]]\nuse = "gitweb"\nbase_url = "{base_url}"\nrate = "50/s"\n{listing}'
    await installation.install([owner])

    async with installation.daemon():
        await until(lambda: bool(mails(mailbox, owner.address)), "the customer has mail")
    assert commit in text_of(mails(mailbox, owner.address)[0])


def _fetched(installation: Installation) -> int:
    return sum(event.get("documents", 0) for event in installation.events if event["event"] == "fetched")

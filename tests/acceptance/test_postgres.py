"""The daemon on Postgres by changing one URL, and an installation that moves there."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import insert, make_url

from leakwatch.demo import DEFINITION, Mailbox, PasteSite
from leakwatch.engine import processes
from leakwatch.model import now
from leakwatch.store.database import Database
from leakwatch.store.tables import job
from tests.installation import Customer, Installation, customers, mails, until


@pytest.fixture
def url(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The database's URL as it stands in a configuration: the password is elsewhere."""
    url = make_url(postgres_url)
    monkeypatch.setenv("LEAKWATCH_DATABASE_PASSWORD", str(url.password or ""))
    return url._replace(password=None).render_as_string()


@pytest.mark.postgres
async def test_leaks_become_notices_and_kill_9_loses_none(
    installation: Installation, site: PasteSite, mailbox: Mailbox, url: str
) -> None:
    owners = customers(12, seed=31)
    installation.database_url = url
    await _watching(installation, site, owners)
    _publish(site, owners[:6])

    daemon = await installation.start()
    await until(lambda: bool(mailbox.mails), "the first mail")
    _publish(site, owners[6:])
    await asyncio.sleep(0.3)
    daemon.kill()
    await daemon.wait()
    async with installation.daemon():
        await until(lambda: _told(mailbox) >= {c.address for c in owners}, "every customer has mail")

    assert _told(mailbox) == {c.address for c in owners}
    for owner in owners:
        assert len({mail["Message-ID"] for mail in mails(mailbox, owner.address)}) == 1
    found = await installation.run("findings", "list", "--json")
    assert len(found.rows) == len(owners)
    assert not (installation.folder / "leakwatch.db").exists()


@pytest.mark.postgres
async def test_an_installation_moves_from_sqlite_to_postgres_and_goes_on(
    installation: Installation, site: PasteSite, mailbox: Mailbox, url: str
) -> None:
    """Told before the move: not told again. Published during the move: told after it."""
    owners = customers(8, seed=32)
    await _watching(installation, site, owners)
    _publish(site, owners[:4])
    async with installation.daemon():
        await until(lambda: _told(mailbox) >= {c.address for c in owners[:4]}, "those of before have mail")
    _publish(site, owners[4:])

    copied = await installation.run("db", "copy", "--to", url, "--json")
    assert copied.status == 0, copied.err
    assert {row["table"]: row["rows"] for row in copied.rows}["registered_key"] == len(owners)
    again = await installation.run("db", "copy", "--to", url)
    assert again.status == 0, again.err
    assert "the same as here" in again.err

    installation.database_url = url
    installation.configure()
    async with installation.daemon():
        await until(lambda: _told(mailbox) >= {c.address for c in owners}, "those of after have mail")
        await asyncio.sleep(2)  # one more poll: nothing is told twice
    assert all(len(mails(mailbox, owner.address)) == 1 for owner in owners)

    installation.database_url = "sqlite:///leakwatch.db"
    installation.configure()
    late = await installation.run("db", "copy", "--to", url)
    assert (late.status, "worked on since it was copied" in late.err) == (3, True), late.err


async def test_a_copy_is_refused_with_the_reason(installation: Installation) -> None:
    await installation.install(customers(1, seed=33))
    copy = ("db", "copy", "--to")
    with_password = await installation.run(*copy, "postgresql://somebody:hunter2@127.0.0.1/x")
    assert (with_password.status, "hunter2" in with_password.err) == (2, False), with_password.err
    assert "a password does not stand in the configuration" in with_password.err
    to_itself = await installation.run(*copy, installation.database_url)
    assert (to_itself.status, "is not empty: it is not overwritten" in to_itself.err) == (3, True), to_itself.err
    nowhere = await installation.run(*copy, "postgresql://somebody@127.0.0.1:1/x")
    assert (nowhere.status, "did not answer" in nowhere.err) == (3, True), nowhere.err

    lease = {"owner": processes.this(), "leased_until": now() + timedelta(minutes=1), "picks": 1}
    facts = {"queue": "q", "payload": b"", "lane": "", "priority": 0, "attempts": 0, "run_at": now()}
    database = Database(f"sqlite:///{installation.folder}/leakwatch.db")
    async with database.transaction() as tx:
        await tx.execute(insert(job).values(**facts, **lease, state="running", created_at=now()))
    await database.close()
    at_work = await installation.run(*copy, "sqlite:///other.db")
    assert (at_work.status, "a daemon is at work on the database: stop it first" in at_work.err) == (3, True)
    assert not (installation.folder / "other.db").exists()


async def _watching(installation: Installation, site: PasteSite, owners: list[Customer]) -> None:
    installation.sources = f'[[source]]\nuse = "demo-paste"\nbase_url = "{site.url}"'
    installation.define("demo-paste", DEFINITION)
    await installation.install(owners)


def _publish(site: PasteSite, owners: list[Customer]) -> None:
    for owner in owners:
        site.publish(f"paste of {owner.name}", f"TOKEN={owner.key}\n")


def _told(mailbox: Mailbox) -> set[str]:
    return {to for _, to, _ in mailbox.mails} - {"soc@issuer.example"}

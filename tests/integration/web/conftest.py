"""The customer's pages on a real database and a real socket."""

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import aiohttp
import pytest
from aiohttp import ClientResponse
from prometheus_client import CollectorRegistry

from leakwatch.announce import Announcer
from leakwatch.config import NoticesConfig, WebConfig
from leakwatch.engine.embedded import EmbeddedEngine
from leakwatch.model import NoticeKind, now
from leakwatch.notify import Composer, Issuer, Links, new_message_id
from leakwatch.scan import Scanner, shipped
from leakwatch.signing import Signer
from leakwatch.store import answers, findings, notices, registry
from leakwatch.store.answers import Given
from leakwatch.store.database import Database
from leakwatch.web import Pages, Web
from tests.integration.store.making import register, registration, seen

ISSUER = Issuer(name="Example AI Security", sender="s@issuer.example", reply_to="answers@issuer.example")
LINKS = Links("https://leakwatch.issuer.example", Signer([b"s" * 32]), valid=3600.0)


@dataclass
class House:
    """A web server with what it works on."""

    database: Database
    client: aiohttp.ClientSession

    async def owe(
        self,
        keys: Sequence[int] = (0,),
        *,
        kind: NoticeKind = NoticeKind.EXPOSURE,
        locale: str = "en",
        held: str | None = None,
        title: str = "",
    ) -> int:
        """Owe ann a notice about these of her keys, and return it."""
        async with self.database.transaction() as tx:
            await register(tx, [registration("ann", n, locale=locale) for n in range(max(keys, default=0) + 1)])
            await registry.operator_channels(tx, ["mailto:soc@issuer.example"])
            owner = await registry.customer_named(tx, "ann")
            assert owner is not None
            registered = [k.id for k in await registry.keys(tx)]
            recorded = await findings.record(tx, [seen(registered[k], title=title) for k in keys]) if keys else []
            opened = await notices.open_notice(
                tx,
                kind=kind,
                customer_id=None if kind in (NoticeKind.FINDING, NoticeKind.ALARM) else owner.id,
                finding_ids=[r.finding_id for r in recorded],
                held=held,
                make_message_id=lambda: new_message_id("issuer.example"),
                now=now(),
            )
        return opened.notice_id

    def path(self, notice_id: int, at: datetime | None = None) -> str:
        """The path of a notice's page, as its mail has it."""
        page = LINKS.answering(notice_id, at or now()).page
        return page.removeprefix(LINKS.public_url)

    async def get(self, path: str, **more: object) -> tuple[int, str]:
        async with self.client.get(path, **more) as answer:  # type: ignore[arg-type] # a test's own words
            return answer.status, await answer.text()

    async def post(self, path: str, form: object, **headers: str) -> tuple[ClientResponse, str]:
        async with self.client.post(path, data=form, headers=headers, allow_redirects=False) as answer:
            return answer, await answer.text()

    async def shown(self, path: str) -> str:
        """Open a page and return what its form carries."""
        _, html = await self.get(path)
        found = re.search(r'name="form" value="([\w-]+)"', html)
        assert found is not None
        return found[1]

    async def answers(self, notice_id: int) -> list[Given]:
        async with self.database.reading() as tx:
            return await answers.of_notice(tx, notice_id)

    async def findings(self) -> list[tuple[int, str | None]]:
        async with self.database.reading() as tx:
            return sorted((f.id, f.answer) for f in await findings.findings(tx))

    async def ended(self) -> list[str | None]:
        """Why there are no more reminders of each notice."""
        async with self.database.reading() as tx:
            return [n.reminders_ended for n in reversed(await notices.notices(tx))]

    async def alarms(self) -> list[tuple[str, str]]:
        async with self.database.reading() as tx:
            return [(n.alarm, n.detail) for n in await notices.notices(tx) if n.kind is NoticeKind.ALARM]


@pytest.fixture(scope="session")
def scanner() -> Scanner:
    return Scanner(shipped())


@pytest.fixture
async def house(database: Database, scanner: Scanner) -> AsyncIterator[House]:
    async for made in built(database, scanner):
        yield made


@pytest.fixture
async def sqlite_house(sqlite_database: Database, scanner: Scanner) -> AsyncIterator[House]:
    async for made in built(sqlite_database, scanner):
        yield made


async def built(database: Database, scanner: Scanner) -> AsyncIterator[House]:
    announcer = Announcer(engine=EmbeddedEngine(database), config=NoticesConfig(), domain="issuer.example")
    pages = Pages(
        database=database,
        announcer=announcer,
        composer=Composer(ISSUER, {}),
        links=LINKS,
        redact=scanner.redact,
        proxies=WebConfig().proxy_networks,
    )
    web = Web("127.0.0.1:0", {}, CollectorRegistry(), pages=pages)
    await web.start()
    host, port = web.address
    async with aiohttp.ClientSession(f"http://{host}:{port}") as client:
        yield House(database, client)
    await web.stop()

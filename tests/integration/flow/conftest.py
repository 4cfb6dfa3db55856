"""The flow without a daemon around it: real database, stages and session, one object to hold them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from leakwatch.announce import Announcer
from leakwatch.config import GitConfig, HttpConfig, NoticesConfig
from leakwatch.containers.opener import Opener
from leakwatch.demo import PasteSite
from leakwatch.engine.embedded import EmbeddedEngine
from leakwatch.fetch import Session, Source
from leakwatch.fetch_jobs import FETCH
from leakwatch.frontier import Frontier
from leakwatch.match import Digester, digest_text, parse_digest
from leakwatch.model import Batch, Document, Registration, now
from leakwatch.pepper import Pepper
from leakwatch.pipeline import Outcome, Pipeline
from leakwatch.registered import Registered
from leakwatch.scan import Scanner, shipped
from leakwatch.store import registry, sources
from leakwatch.store.database import Database, Transaction
from leakwatch.watch import Watch
from tests.installation import Customer, source_named
from tests.integration.git.host import Host, serving

SOURCE = source_named("place")


@dataclass
class Flow:
    """A pipeline, a watch, and what they are made of."""

    database: Database
    engine: EmbeddedEngine
    pipeline: Pipeline
    digester: Digester
    frontier: Frontier
    watch: Watch
    watched: dict[str, Source] = field(default_factory=dict)

    async def register(self, *owners: Customer) -> None:
        async with self.database.transaction() as tx:
            await registry.register(tx, [self.registration(owner) for owner in owners], self.digester.stored)

    def registration(self, owner: Customer) -> Registration:
        scheme, digest = parse_digest(digest_text(owner.key))
        return Registration(
            customer=owner.name,
            email=owner.address,
            locale="en",
            provider="",
            label=owner.label,
            key_id="",
            scheme=scheme,
            digest=digest,
        )

    async def process(self, *documents: Document, source: Source = SOURCE) -> Outcome:
        return await self.pipeline.process(Batch(source=source.name, documents=documents), source, nothing_else)

    async def add(self, source: Source) -> None:
        """Watch a source."""
        self.watched[source.name] = source
        async with self.database.transaction() as tx:
            await sources.ensure(tx, [source.name], now())

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Do the jobs of the watch while the block runs; what is to be delivered stays."""
        for queue in self.watch.queues():
            self.engine.serve(queue)
        work = asyncio.create_task(self.engine.run())
        try:
            yield
        finally:
            await self.engine.stop(5)
            await work


async def nothing_else(_tx: Transaction, _outcome: Outcome) -> None:
    pass


@pytest.fixture(scope="session")
def scanner() -> Scanner:
    return Scanner(shipped())


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture
def opener() -> Iterator[Opener]:
    with closing(Opener()) as opener:
        yield opener


@pytest.fixture
async def site() -> AsyncIterator[PasteSite]:
    async with PasteSite().serving() as site:
        yield site


@pytest.fixture
async def flow(  # noqa: PLR0917 - what it is made of
    database: Database,
    scanner: Scanner,
    executor: ThreadPoolExecutor,
    opener: Opener,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> AsyncIterator[Flow]:
    config = getattr(request, "param", NoticesConfig(operator=["mailto:soc@issuer.example"]))
    pepper, engine = Pepper(b"p" * 32), EmbeddedEngine(database, poll=0.05)
    digester = Digester(pepper)
    async with database.transaction() as tx:
        await registry.operator_channels(tx, config.operator)
        await sources.ensure(tx, [SOURCE.name], now())
    announcer = Announcer(engine=engine, config=config, domain="issuer.example")
    watched: dict[str, Source] = {}
    http = HttpConfig(user_agent="test (a@b.example)", allow_networks=["127.0.0.0/8"])
    async with Session(http, GitConfig(folder=str(tmp_path / "mirrors"))) as session:
        pipeline = Pipeline(
            database=database,
            scanner=scanner,
            digester=digester,
            pepper=pepper,
            registered=Registered(database, pepper),
            announcer=announcer,
            executor=executor,
            opener=opener,
            locate=session.locate,
        )
        frontier = Frontier(queue=FETCH, database=database, engine=engine, pipeline=pipeline, announcer=announcer)
        watch = Watch(
            watched=watched,
            database=database,
            engine=engine,
            session=session,
            pipeline=pipeline,
            announcer=announcer,
            frontier=frontier,
            pepper=pepper,
        )
        yield Flow(database, engine, pipeline, digester, frontier, watch, watched)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    (tmp_path / "host").mkdir()
    async with serving(tmp_path / "host") as host:
        yield host


@pytest.fixture
async def running(flow: Flow) -> AsyncIterator[None]:
    async with flow.working():
        yield

"""The composition root: what the daemon is built of, in what order, and how it stops."""

import asyncio
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from email.utils import parseaddr
from typing import Final

import structlog

from leakwatch import metrics
from leakwatch.again import Again
from leakwatch.announce import Announcer
from leakwatch.bounces import Bounces
from leakwatch.config import Config, load
from leakwatch.containers.opener import Opener
from leakwatch.engine.embedded import EmbeddedEngine
from leakwatch.errors import DatabaseDown, LeakwatchError
from leakwatch.fetch import Session
from leakwatch.fetch.source import Source, resolve
from leakwatch.fetch_jobs import FETCH
from leakwatch.folders import Folders
from leakwatch.followup import FollowUp
from leakwatch.frontier import Frontier
from leakwatch.health import Health, attend
from leakwatch.lmtp import Lmtp
from leakwatch.match import Digester
from leakwatch.model import now
from leakwatch.notify import Channels, Composer, Issuer, Links, Returns, WebhookChannel, webhook_channel
from leakwatch.pepper import Pepper
from leakwatch.pipeline import Pipeline
from leakwatch.pushes import Pushes
from leakwatch.registered import Registered
from leakwatch.relay import Relay
from leakwatch.scan import Detector, Scanner
from leakwatch.schedule import Schedule
from leakwatch.signing import Signer
from leakwatch.store import registry, schema, sources
from leakwatch.store.opening import connect
from leakwatch.supervisor import Supervisor
from leakwatch.watch import Watch
from leakwatch.watchman import Watchman
from leakwatch.web import Hooks, Pages, Web

log: Final = structlog.get_logger(__name__)
GRACE: Final = 20.0  # seconds that work in flight has to settle when we are told to stop
_AGAIN: Final = 2.0  # seconds until a database is tried again that is down when we start
_SCANNERS: Final = 2  # threads: hyperscan lets go of the interpreter, BeautifulSoup does not


def composer(config: Config, detectors: Sequence[Detector]) -> Composer:
    """Return who writes the notices, in the issuer's name and with what the detectors know for people."""
    name, address = parseaddr(config.email.sender)
    reply_to = parseaddr(config.email.reply_to or config.email.sender)[1]
    guides = {d.id: d.guide for d in detectors}
    return Composer(Issuer(name=name or address, sender=address, reply_to=reply_to), guides)


def links(config: Config) -> Links | None:
    """Return who makes the addresses in notices, where customers can reach us. Raises SecretError."""
    keys = config.signing_keys()
    if config.web.public_url is None or keys is None:
        return None
    return Links(config.web.public_url, Signer(keys), valid=config.web.links_valid)


def returns(config: Config) -> Returns | None:
    """Return who makes return paths, where mail that comes back reaches us. Raises SecretError."""
    keys = config.signing_keys()
    if config.email.return_path is None or keys is None:
        return None
    return Returns(config.email.return_path, Signer(keys))


def webhooks(config: Config) -> WebhookChannel:
    """Return who tells the issuer's software. Raises SecretError."""
    return WebhookChannel(config.webhooks, config.webhook_secrets(), user_agent=config.http.user_agent)


def announcer(config: Config, engine: EmbeddedEngine) -> Announcer:
    """Return who opens notices."""
    domain = parseaddr(config.email.sender)[1].rpartition("@")[2]
    return Announcer(engine=engine, config=config.notices, domain=domain, webhooks=bool(config.webhooks))


class App:
    """The daemon: everything that runs, built once and stopped in order."""

    def __init__(self, config: Config, scanner: Scanner, detectors: tuple[Detector, ...]) -> None:
        self.config = config
        self.sources: dict[str, Source] = {s.name: s for s in resolve(config)}
        self._pepper = Pepper(config.pepper())
        self.database = connect(config, _tell)
        self.engine = EmbeddedEngine(self.database)
        self._session = Session(config.http, config.git, observe=metrics.fetched)
        self._executor = ThreadPoolExecutor(_SCANNERS, thread_name_prefix="scan")
        self._opener = Opener()
        self._channels = Channels(config.email, config.smtp_password(), webhooks=webhooks(config))
        tell = announcer(config, self.engine)
        writer, addresses, paths = composer(config, detectors), links(config), returns(config)
        relay = Relay(
            database=self.database,
            engine=self.engine,
            composer=writer,
            channels=self._channels,
            announcer=tell,
            redact=scanner.redact,
            links=addresses,
            returns=paths,
            reminders_after=config.notices.reminders if addresses else (),  # what cannot be answered is not asked
            operator_locale=config.notices.operator_locale,
        )
        self._follow_up = FollowUp(database=self.database, engine=self.engine, announcer=tell, config=config.notices)
        pipeline = Pipeline(
            database=self.database,
            scanner=scanner,
            digester=Digester(self._pepper, config.matching.schemes),
            pepper=self._pepper,
            registered=Registered(self.database, self._pepper),
            announcer=tell,
            executor=self._executor,
            opener=self._opener,
            locate=self._session.locate,
        )
        room = Frontier(queue=FETCH, database=self.database, engine=self.engine, pipeline=pipeline, announcer=tell)
        watch = Watch(
            watched=self.sources,
            database=self.database,
            engine=self.engine,
            session=self._session,
            pipeline=pipeline,
            announcer=tell,
            frontier=room,
            pepper=self._pepper,
        )
        self.schedule = Schedule(watch.wake)
        self._folders = Folders(watch.noticed)
        self._watchman = Watchman(
            watched=self.sources,
            database=self.database,
            engine=self.engine,
            session=self._session,
            announcer=tell,
            pipeline=pipeline,
            pepper=self._pepper,
        )
        for queue in (*watch.queues(), relay.queue(config), self._follow_up.queue(), self._watchman.queue()):
            self.engine.serve(queue)
        self._again = Again(watched=self.sources, database=self.database, session=self._session, pipeline=pipeline)
        self.health = Health(database=self.database, engine=self.engine, watched=self.sources)
        checks = {"database": self.health.database, "engine": self.health.engine}
        pages = addresses and Pages(
            database=self.database,
            announcer=tell,
            composer=writer,
            links=addresses,
            redact=scanner.redact,
            proxies=config.web.proxy_networks,
        )
        pushes = Pushes(
            watched=self.sources,
            engine=self.engine,
            pipeline=pipeline,
            pepper=self._pepper,
            frontier=room,
            noticed=watch.noticed,
        )
        hooks = Hooks(pushes, config.web.proxy_networks)
        self._web = Web(config.web.listen, checks, metrics.REGISTRY, pages=pages, hooks=hooks)
        self._bounces = paths and Bounces(database=self.database, announcer=tell, returns=paths)
        self._lmtp: Lmtp | None = None
        if self._bounces and config.bounces.lmtp:
            self._lmtp = Lmtp(config.bounces.lmtp, is_ours=self._bounces.is_ours, take=self._bounces.take)
        self._stop = asyncio.Event()
        self._supervisor = Supervisor()
        self._reloads: set[asyncio.Task[None]] = set()
        self._one_reload = asyncio.Lock()

    async def run(self) -> None:
        """Watch until told to stop, by SIGTERM, SIGINT or `stop`. Work in flight is settled or handed back."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.database.close)
            stack.callback(self._opener.close)
            stack.callback(self._executor.shutdown, wait=False, cancel_futures=True)
            stack.push_async_callback(self._channels.close)
            await stack.enter_async_context(self._session)
            stack.push_async_callback(self._web.stop)
            await self._web.start()
            if self._lmtp is not None:
                stack.push_async_callback(self._lmtp.stop)
                await self._lmtp.start()
            self._listen_for_signals()
            if await self._prepared():
                await self._work()
        log.info("stopped")

    def stop(self) -> None:
        """Begin to stop."""
        self._stop.set()

    async def _prepared(self) -> bool:
        """Prepare the database, however long it is down; return False when we are told to stop before that."""
        while not self._stop.is_set():
            try:
                await self._prepare()
            except DatabaseDown as error:
                self._supervisor.waiting(str(error))
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), _AGAIN)
            else:
                return True
        return False

    async def _prepare(self) -> None:
        await schema.check(self.database)
        async with self.database.transaction() as tx:
            await registry.bind_pepper(tx, self._pepper.fingerprint)
            hooks = [webhook_channel(webhook.name) for webhook in self.config.webhooks]
            await registry.operator_channels(tx, [*self.config.notices.operator, *hooks])
            await sources.ensure(tx, self.sources, now())
            await self._follow_up.begin(tx)

    async def _work(self) -> None:
        work = asyncio.create_task(self.engine.run(), name="engine")
        self.schedule.sync(self.sources)
        self.schedule.start()
        log.info("watching", sources=len(self.sources), database=self.database.url.get_backend_name())
        stopped = asyncio.create_task(self._stop.wait(), name="stop")
        beside = [
            asyncio.create_task(attend(self._supervisor, self.health), name="supervisor"),
            asyncio.create_task(self._watchman.run(), name="watchman"),
            asyncio.create_task(self._again.run(), name="again"),
        ]
        if self._bounces and (maildir := self.config.maildir):
            reading = self._bounces.watch(maildir, self.config.bounces.every)
            beside.append(asyncio.create_task(reading, name="bounces"))
        self._folders.sync(self.sources.values())
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        log.info("stopping", grace=GRACE)
        for task in beside:
            task.cancel()
        self._folders.sync(())
        self._supervisor.stopping()
        await asyncio.gather(self.schedule.stop(GRACE), self.engine.stop(GRACE))
        stopped.cancel()
        await work

    async def reload(self) -> None:
        """Take over the sources of a changed configuration; a file with a problem is refused and the old one stays."""
        async with self._one_reload:
            self._supervisor.reloading()
            try:
                await self._take_over()
                self.health.refused = ""
            except LeakwatchError as error:
                self.health.refused = error.reason
                # What is wrong is in the message: a traceback through our own reading of it would say less.
                log.error(  # noqa: TRY400
                    "configuration refused: the old one stays in force", reason=error.reason, detail=str(error)
                )
            finally:
                self._supervisor.ready()
            self._supervisor.status(await self.health.line())

    async def _take_over(self) -> None:
        changed = {source.name: source for source in resolve(load(self.config.path))}
        async with self.database.transaction() as tx:
            await sources.ensure(tx, changed, now())
        added, removed = changed.keys() - self.sources.keys(), self.sources.keys() - changed.keys()
        self.sources.clear()
        self.sources.update(changed)
        self.schedule.sync(changed)
        self._folders.sync(changed.values())
        log.info("configuration reloaded", added=sorted(added), removed=sorted(removed), sources=len(changed))

    def _listen_for_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload_soon)

    def _reload_soon(self) -> None:
        task = asyncio.create_task(self.reload(), name="reload")
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)


def _tell(down: DatabaseDown | None) -> None:
    """Say once that the database is down, for all who wait for it, and that it works again."""
    if down is None:
        log.info("the database works again")
    else:
        log.error("the database is down: waiting for it", reason=down.reason, detail=str(down))

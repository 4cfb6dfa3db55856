"""How the daemon fares: what `/readyz` asks, what the watchdog lives on, and the line that `systemctl status` shows."""

import asyncio
import time
from collections.abc import Collection
from datetime import datetime
from typing import Final, final

import structlog

from leakwatch.engine.embedded import EmbeddedEngine
from leakwatch.errors import LeakwatchError
from leakwatch.model import now
from leakwatch.store import findings, jobs, schema, settings, sources
from leakwatch.store.database import Database
from leakwatch.supervisor import Supervisor

log: Final = structlog.get_logger(__name__)
_ANSWER: Final = 4.0  # seconds that the database has to answer: fewer than `/readyz` waits, which knows less
_PATIENCE: Final = 20.0  # seconds: more than a turn waits for SQLite's lock and the engine then rests, at most
_FIRST: Final = 0.05  # seconds between two looks at whether the engine works
_TRIED: Final = "written_at"  # the setting that is put to see whether the database can be written again
_AGES: Final = ((86400, "d"), (3600, "h"), (60, "min"))  # seconds


@final
class Health:
    """What is asked of a running daemon, by systemd and over HTTP alike."""

    def __init__(self, *, database: Database, engine: EmbeddedEngine, watched: Collection[str]) -> None:
        self._database = database
        self._engine = engine
        self._watched = watched
        self._began = engine.progressed_at
        self.refused = ""  # the reason why the last reload was refused; "": it was not

    async def database(self) -> str | None:
        """Return what is wrong with the database, or None."""
        try:
            async with asyncio.timeout(_ANSWER):
                await schema.check(self._database)
                if self._database.failure is not None:  # it can be read; whether it can be written shows only so
                    async with self._database.transaction() as tx:
                        await settings.put_moment(tx, _TRIED, now())
        except LeakwatchError as error:
            return str(error)
        except TimeoutError:
            no_answer = f"the database {self._database} gave no answer within {_ANSWER:g} s"
            return str(self._database.failure or no_answer)
        return None if self._database.failure is None else str(self._database.failure)

    async def engine(self) -> str | None:
        """Return what is wrong with the engine, or None."""
        if not self._engine.running or self._engine.progressed_at == self._began:
            return "the engine does not run"
        return None if self._engine.failure is None else str(self._engine.failure)

    async def is_stuck(self) -> bool:
        """Whether the engine's loop has not come round for too long, and not for want of the database.

        An outage of the database is none of ours: a restart would not mend it, and be followed by the next.
        """
        if time.monotonic() - self._engine.progressed_at < _PATIENCE:
            return False
        return await self.database() is None

    async def line(self) -> str:
        """Return how the daemon fares, in one line for people."""
        refused = f"new configuration refused ({self.refused}), see the log; " if self.refused else ""
        try:
            async with asyncio.timeout(_ANSWER), self._database.reading() as tx:
                watched = [s for s in await sources.overview(tx) if s.name in self._watched]
                counts = await jobs.counts(tx)
                newest = await findings.findings(tx, limit=1)
        except LeakwatchError as error:
            return f"{refused}cannot work: {error.reason}"
        except TimeoutError:
            return f"{refused}cannot work: the database gives no answer"
        failing = sum(1 for s in watched if s.failures)
        waiting, dead = (sum(n for (_, of), n in counts.items() if of == state) for state in (jobs.READY, jobs.DEAD))
        parts = [
            f"watching {_counted(len(self._watched), 'source')}",
            *([f"{failing} failing"] if failing else []),
            f"{_counted(waiting, 'job')} waiting",
            *([f"{_counted(dead, 'dead letter')}"] if dead else []),
            f"last find {_ago(newest[0].first_seen_at)}" if newest else "nothing found yet",
        ]
        return refused + ", ".join(parts)


async def attend(supervisor: Supervisor, health: Health) -> None:
    """Tell systemd, until cancelled, how the daemon fares: first that it is ready, then at each beat."""
    if not supervisor.listens:
        return
    while await health.engine() is not None:  # noqa: ASYNC110 - nobody else waits for its first turn
        await asyncio.sleep(_FIRST)
    supervisor.ready()
    while True:
        try:
            if await health.is_stuck():
                log.error("the engine's loop hangs: the watchdog is not fed")
            else:
                supervisor.alive()
            supervisor.status(await health.line())
        except Exception:  # without this task the watchdog would end a daemon that works
            log.exception("systemd was not told")
        await asyncio.sleep(supervisor.beat)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _ago(moment: datetime) -> str:
    age = (now() - moment).total_seconds()
    for span, unit in _AGES:
        if age >= span:
            return f"{age // span:.0f} {unit} ago"
    return "just now"

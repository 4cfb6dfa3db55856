"""When each source is woken: APScheduler wakes, `next_poll_at` in the database decides.

A source has one job, for the one moment at which it is due. When that has come the source is woken and says when it is
due next, and a new job is made for that. Whatever goes wrong on the way, a source that is watched is woken again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final, final

import structlog
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger

from leakwatch import metrics
from leakwatch.errors import DatabaseDown, JobFailed, LeakwatchError
from leakwatch.model import now

log: Final = structlog.get_logger(__name__)
_BACKOFF: Final = (1.0, 60.0)  # seconds until a source is woken again that could not be: the first time, at most
_OUTAGE: Final = 5.0  # seconds, at most, if the database is down
_STEP: Final = 0.02  # seconds between the first wakings of two new sources …
_SPREAD: Final = 10.0  # … and between the first and the last of all, at most
_ENDED: Final = EVENT_JOB_EXECUTED | EVENT_JOB_ERROR | EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES


@final
class Schedule:
    """Wakes every source when it is due: `wake` does so, and returns when that source is due next."""

    def __init__(self, wake: Callable[[str], Awaitable[datetime]]) -> None:
        self._wake = wake
        self._failures: dict[str, int] = {}  # of each watched source: wakings failed in a row
        self._waking: set[str] = set()
        self._nudged: set[str] = set()  # while they were being woken
        self._rested = asyncio.Event()  # nothing is being woken any more
        # By default a job that is a second late is never run.
        defaults = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        self._scheduler = AsyncIOScheduler(timezone="UTC", job_defaults=defaults)
        self._scheduler.add_listener(self._ended, _ENDED)

    def start(self) -> None:
        """Begin to wake sources. Needs a running event loop."""
        self._scheduler.start()

    async def stop(self, grace: float) -> None:
        """Wake no more. A source that is being woken has so many seconds to end: it is not disturbed before."""
        self.sync(())
        if self._waking:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._rested.wait(), grace)
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)  # it cancels what it still runs, in the loop's next round
            await asyncio.sleep(0)

    def sync(self, names: Iterable[str]) -> None:
        """Watch these sources: wake new ones now, forget those that are gone, leave the others as they are."""
        wanted = dict.fromkeys(names)
        for gone in self._failures.keys() - wanted.keys():
            self._forget(gone)
        new = [name for name in wanted if name not in self._failures]
        step = min(_STEP, _SPREAD / max(1, len(new)))
        for number, name in enumerate(new):
            self._failures[name] = 0
            self._arm(name, now() + timedelta(seconds=step * number))

    def nudge(self, name: str) -> None:
        """Wake a source now, or once more if it is being woken."""
        if name in self._failures:
            self._arm(name, now())

    async def _due(self, name: str) -> datetime:
        """Wake a source, and return when it is to be woken next."""
        self._waking.add(name)
        self._rested.clear()
        try:
            due = await self._wake(name)
        except Exception as error:  # noqa: BLE001 - a source that is not woken again is blind, and nobody would know
            return self._failed(name, error)
        self._failures.update({name: 0} if name in self._failures else {})
        return due

    def _failed(self, name: str, error: Exception) -> datetime:
        failures = self._failures.get(name, 0) + 1
        self._failures.update({name: failures} if name in self._failures else {})
        is_outage = isinstance(error, DatabaseDown)
        wait = min(_OUTAGE if is_outage else _BACKOFF[1], _BACKOFF[0] * 2.0 ** min(failures - 1, 10))
        reason, unforeseen = (error.reason, None) if isinstance(error, LeakwatchError) else (JobFailed.reason, error)
        tell = log.debug if is_outage else log.warning  # an outage would be told for every source
        tell("source not woken", source=name, reason=reason, again_in=wait, exc_info=unforeseen)
        return now() + timedelta(seconds=wait)

    def _ended(self, event: JobEvent) -> None:
        """Make a source's next job, however the last one has ended."""
        name = event.job_id
        due = getattr(event, "retval", None) or now() + timedelta(seconds=_BACKOFF[0])
        if event.code != EVENT_JOB_MAX_INSTANCES:
            self._waking.discard(name)
        if name in self._failures:
            self._arm(name, now() if name in self._nudged else due)
        self._nudged.discard(name)
        if not self._waking:
            self._rested.set()

    def _arm(self, name: str, due: datetime) -> None:
        """Make a source's job; one that is being woken gets it when that has ended."""
        if name in self._waking:
            self._nudged.add(name)
            return
        self._scheduler.add_job(self._due, DateTrigger(due), args=(name,), id=name, name=name, replace_existing=True)

    def _forget(self, name: str) -> None:
        del self._failures[name]
        metrics.forget_source(name)
        if self._scheduler.get_job(name) is not None:
            self._scheduler.remove_job(name)

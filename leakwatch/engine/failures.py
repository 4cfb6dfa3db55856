"""What becomes of a job that failed: when it is tried again, or that it is given up, and in which words."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from leakwatch.engine.protocol import Retry
from leakwatch.errors import DatabaseDown, JobFailed, LeakwatchError, whereabouts
from leakwatch.store.jobs import Failure

_LONGEST_DETAIL: Final = 2000  # characters
_SOON: Final = 1.0  # seconds until a job is tried again that met a database which was down
_LONGEST_WAIT: Final = 30 * 86400.0  # seconds, however long the other side asks us to stay away


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What becomes of a job that failed."""

    error: LeakwatchError
    failure: Failure  # as its row says it
    given_up: bool


def judge(
    error: LeakwatchError, *, attempts: int, retry: Retry, at: datetime, since: datetime | None = None
) -> Verdict:
    """Decide on a job that was added at `since` and has failed so many times, the last time so."""
    age = (at - (since or at)).total_seconds()
    delay = retry.delay(attempts, retry_after=error.retry_after, age=age) if error.transient else None
    if isinstance(error, DatabaseDown):  # no fault of the job's: it is not counted
        attempts, delay = attempts - 1, _SOON
    wait = timedelta(seconds=min(delay or 0.0, _LONGEST_WAIT))
    failure = Failure(attempts=attempts, at=at + wait, reason=error.reason, detail=_storable(str(error)))
    return Verdict(error=error, failure=failure, given_up=delay is None)


def named(error: BaseException) -> LeakwatchError:
    """Return an error that has a name; of any other, the type and the place, for its words may hold a key."""
    if isinstance(error, LeakwatchError):
        return error
    return JobFailed(whereabouts(error), mend="a bug: please report it with the log")


def _storable(text: str) -> str:
    """Return a text that any database takes: some refuse NUL and lone surrogates, and a peer may send either."""
    plain = text[:_LONGEST_DETAIL].encode(errors="replace").decode()
    return "".join(c if c.isprintable() else " " for c in plain)

"""How well a source is watched: in which state it is, how soon to poll it again, and when silence is too long.

Thresholds come from a source's own history. Decisions return values; whoever asks acts.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from leakwatch.errors import Blocked, FetchError
from leakwatch.fetch.source import Source
from leakwatch.store.sources import SourceState
from leakwatch.units import left_of_quiet

MISSING: Final = 5  # documents in a row that cannot be had before the definition is wrong, or the site has changed
PATIENCE: Final = 3  # transient failures in a row before a source counts as blind
_LONGEST_WAIT: Final = 3600.0  # seconds between two polls of a source that fails
_FASTER: Final = 0.5  # of the interval: after a gap, or when most of a listing was new
_SLOWER: Final = 1.25  # of the interval: after a poll without news
_BUSY: Final = 0.5  # of a listing: when so much of it is new, the next poll could miss something
_KNOWN: Final = 10  # polls with news before a source's silence means anything
_BARREN: Final = 30  # polls, none of which had any news: it may have been blind from its first
_LULLS: Final = 3  # times the longest lull
_SILENCE: Final = timedelta(hours=1)  # at least
_RECENT: Final = timedelta(days=1)  # for which a gap is shown
_LATE: Final = timedelta(minutes=5)  # past due, at least
_LATE_INTERVALS: Final = 3


class State(StrEnum):
    """How a source fares, in one word, the worst first."""

    BLOCKED = "blocked"  # the site keeps us out, of its listing or of all documents
    BLIND = "blind"  # it is not read, none of its documents is there, or its canary is not found
    OVERDUE = "overdue"  # nobody has polled it though it was due
    FAILING = "failing"  # its last polls failed, as can pass by itself
    BEHIND = "behind"  # there is more than we take, so much that it is not polled, or something was missed within a day
    QUIET = "quiet"  # nothing new for much longer than ever, or ever
    NEW = "new"  # not polled yet, or without any news so far
    OK = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A source's state, and why."""

    state: State
    why: str = ""


def judge(source: Source, at: SourceState, now: datetime) -> Judged:  # noqa: PLR0911 - one for each state
    """Return in which state a source is: the worst that is true of it."""
    if unread := _unread(at):
        return unread
    if late := _lateness(source, at, now):
        return Judged(state=State.OVERDUE, why=f"it was due {_told(late)} ago, and nobody has polled it")
    if at.failures:
        return Judged(state=State.FAILING, why=at.detail or "")
    if behind := _behind(at, now):
        return Judged(state=State.BEHIND, why=behind)
    if not at.news:
        return _barren(at)
    if silence := _silence(at, now):
        usual = _told(timedelta(seconds=at.lull))
        return Judged(state=State.QUIET, why=f"nothing new for {_told(silence)}, where {usual} was the longest")
    return Judged(state=State.OK)


def _barren(at: SourceState) -> Judged:
    """The state of a source of which nothing has come yet: there may be nothing, or it was never read rightly."""
    if at.polls < _BARREN:
        return Judged(state=State.NEW, why=f"nothing new in any of {at.polls} polls" if at.polls else "")
    why = f"nothing new in any of {at.polls} polls, since it is watched: test it (`leakwatch sources test {at.name}`)"
    return Judged(state=State.QUIET, why=why)


def _unread(at: SourceState) -> Judged | None:
    """The state of a source that is not read, or of which nothing can be had; None for any other."""
    if at.failures and at.reason == Blocked.reason:
        return Judged(state=State.BLOCKED, why=at.detail or "")
    if at.canary:
        return Judged(state=State.BLIND, why=f"its canary was not found: {at.canary}")
    if at.missing >= MISSING:
        is_refused = at.missing_reason == Blocked.reason
        return Judged(state=State.BLOCKED if is_refused else State.BLIND, why=missed(at.missing, at.missing_reason))
    if at.failures >= PATIENCE or (at.failures and at.alarmed_at):
        return Judged(state=State.BLIND, why=f"{at.failures} polls in a row have failed: {at.detail}")
    return None


def _behind(at: SourceState, now: datetime) -> str:
    """Say why a source is not caught up with, or "" if it is."""
    if at.waiting:
        return f"{at.waiting} jobs of documents wait, so it is not polled"
    if at.left:
        return f"{at.left} wait for the next poll"
    if at.gap_at and now - at.gap_at < _RECENT:
        return f"documents were missed {_told(now - at.gap_at)} ago"
    if at.missed_at and now - at.missed_at < _RECENT:
        return f"documents were left out {_told(now - at.missed_at)} ago: the alarm `missed` says why"
    return ""


def missed(missing: int, reason: str | None) -> str:
    """Say that none of the documents that a source lists can be had."""
    how = "is kept from us" if reason == Blocked.reason else "is not there: is document.url right?"
    return f"each of the last {missing} documents that it listed {how}"


def retried(source: Source, failures: int, error: FetchError) -> float:
    """Return the seconds until a failing source is polled again: more each time, never fewer than it asked for."""
    backoff = min(source.every * 2.0 ** min(failures - 1, 16), max(_LONGEST_WAIT, source.every))
    return max(backoff, error.retry_after or 0.0)


def paced(source: Source, interval: float | None, *, news: int, items: int, gap: bool) -> float:
    """Return the seconds until the next poll: fewer of a busy source, more of a quiet one, within its bounds."""
    fastest, slowest = source.pace
    now = min(max(interval or source.every, fastest), slowest)
    if gap or (items and news >= items * _BUSY):
        now *= _FASTER
    elif not news:
        now *= _SLOWER
    elif now > source.every:
        now = source.every
    return min(max(now, fastest), slowest)


def _lateness(source: Source, at: SourceState, now: datetime) -> timedelta | None:
    """How long ago a source should have been polled, where that is long."""
    late = now - at.next_poll_at
    allowed = max(_LATE, timedelta(seconds=_LATE_INTERVALS * (at.interval or source.every)))
    is_quiet = left_of_quiet(source.quiet, now) > 0
    return late if late > allowed and not is_quiet else None


def _silence(at: SourceState, now: datetime) -> timedelta | None:
    """How long a source has had nothing new, where that is much longer than it ever was."""
    if at.news < _KNOWN or at.news_at is None or not at.lull:
        return None
    silence = now - at.news_at
    return silence if silence > max(_SILENCE, _LULLS * timedelta(seconds=at.lull)) else None


def _told(span: timedelta) -> str:
    minutes = span.total_seconds() / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"  # noqa: PLR2004 - two hours

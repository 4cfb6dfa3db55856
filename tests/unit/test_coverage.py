"""In which state a source is, and how soon it is polled again."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch import coverage
from leakwatch.coverage import State, judge, paced
from leakwatch.store.sources import SourceState
from tests.installation import source_named

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


def state(**known: Any) -> SourceState:
    plain: dict[str, Any] = dict.fromkeys(SourceState.__dataclass_fields__)
    counted = ("failures", "polls", "documents", "bytes", "news", "gaps", "left", "missed", "missing", "waiting")
    counts = dict.fromkeys(counted, 0)
    usual = {"name": "s", "next_poll_at": NOW, "polls": 5, "news": 1, "lull": 0.0, "succeeded_at": ago(minutes=1)}
    return SourceState(**{**plain, **counts, **usual, **known})


@pytest.mark.parametrize(
    ("known", "found", "says"),
    [
        ({}, State.OK, ""),
        ({"missed": 3, "missed_at": ago(hours=1)}, State.BEHIND, "documents were left out 60 min ago"),
        ({"missed": 3, "missed_at": ago(hours=30)}, State.OK, ""),
        ({"polls": 0, "news": 0}, State.NEW, ""),
        ({"polls": 29, "news": 0}, State.NEW, "nothing new in any of 29 polls"),
        ({"polls": 30, "news": 0}, State.QUIET, "nothing new in any of 30 polls, since it is watched: test it"),
        ({"polls": 30, "news": 1, "news_at": ago(days=9)}, State.OK, ""),
        ({"failures": 1, "reason": "blocked", "detail": "403"}, State.BLOCKED, "403"),
        ({"failures": 1, "reason": "timed_out", "detail": "20 s"}, State.FAILING, "20 s"),
        ({"failures": 3, "reason": "timed_out", "detail": "20 s"}, State.BLIND, "3 polls in a row have failed: 20 s"),
        ({"failures": 1, "reason": "gone", "alarmed_at": NOW, "detail": "404"}, State.BLIND, "404"),
        ({"canary": "gone"}, State.BLIND, "its canary was not found: gone"),
        ({"missing": 4}, State.OK, ""),
        ({"missing": 5}, State.BLIND, "each of the last 5 documents that it listed is not there: is document.url"),
        (
            {"missing": 5, "missing_reason": "blocked"},
            State.BLOCKED,
            "each of the last 5 documents that it listed is kept",
        ),
        ({"waiting": 1000}, State.BEHIND, "1000 jobs of documents wait, so it is not polled"),
        ({"next_poll_at": ago(minutes=6)}, State.OVERDUE, "due 6 min ago"),
        ({"next_poll_at": ago(minutes=4)}, State.OK, ""),
        ({"next_poll_at": ago(minutes=6), "interval": 600.0}, State.OK, ""),
        ({"left": 7}, State.BEHIND, "7 wait for the next poll"),
        ({"gaps": 1, "gap_at": ago(hours=3)}, State.BEHIND, "documents were missed 3 h ago"),
        ({"gaps": 1, "gap_at": ago(days=2)}, State.OK, ""),
        ({"news": 50, "news_at": ago(hours=7), "lull": 7200.0}, State.QUIET, "nothing new for 7 h, where 2 h was"),
        ({"news": 50, "news_at": ago(hours=5), "lull": 7200.0}, State.OK, ""),
        ({"news": 50, "news_at": ago(minutes=50), "lull": 60.0}, State.OK, ""),  # an hour is nothing
        ({"news": 9, "news_at": ago(days=9), "lull": 60.0}, State.OK, ""),  # too little is known of it
    ],
)
def test_a_source_is_in_the_worst_state_that_is_true_of_it(known: dict[str, Any], found: State, says: str) -> None:
    judged = judge(source_named("s"), state(**known), NOW)
    assert (judged.state, says in judged.why) == (found, True), judged


def test_in_its_quiet_hours_no_source_is_overdue() -> None:
    late = state(next_poll_at=ago(hours=2))
    assert judge(source_named("s", quiet="11:00-13:00"), late, NOW).state is State.OK
    assert judge(source_named("s", quiet="13:00-14:00"), late, NOW).state is State.OVERDUE


def test_a_busy_source_is_polled_more_often_and_a_quiet_one_less() -> None:
    source = source_named("s", fastest=10.0, slowest=300.0)
    assert paced(source, None, news=10, items=10, gap=False) == 30.0
    assert paced(source, 12.0, news=10, items=10, gap=False) == 10.0
    assert paced(source, 60.0, news=0, items=10, gap=False) == 75.0
    assert paced(source, 299.0, news=0, items=10, gap=False) == 300.0
    assert paced(source, 300.0, news=1, items=10, gap=False) == 60.0  # it has woken up
    assert paced(source, 20.0, news=1, items=10, gap=False) == 20.0


def test_a_gap_tightens_the_interval() -> None:
    source = source_named("s", fastest=10.0, slowest=300.0)
    assert paced(source, 60.0, news=0, items=0, gap=True) == 30.0


@given(st.tuples(*[st.floats(1, 1e5)] * 3), st.none() | st.floats(1, 1e6), st.integers(0, 99), st.booleans())
def test_it_stays_within_its_bounds(
    bounds: tuple[float, float, float], interval: float | None, news: int, gap: bool
) -> None:
    every, fastest, slowest = bounds
    source = source_named("s", every=every, fastest=fastest, slowest=slowest)
    low, high = source.pace
    assert low <= every <= high
    assert low <= paced(source, interval, news=news, items=99, gap=gap) <= high


def test_every_state_is_one_word() -> None:
    assert all(one.value.isalpha() for one in coverage.State)

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.engine import Retry
from leakwatch.engine.failures import judge, named
from leakwatch.errors import Blocked, DatabaseDown, JobFailed, RateLimited, ServerFault

AT = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_permanent_error_gives_the_job_up_at_once() -> None:
    verdict = judge(Blocked("they said no"), attempts=1, retry=Retry(), at=AT)
    assert verdict.given_up
    assert (verdict.failure.reason, verdict.failure.detail, verdict.failure.at) == ("blocked", "they said no", AT)


def test_a_transient_error_waits_longer_each_time_until_the_limit() -> None:
    retry = Retry(base=2.0, limit=4)
    verdicts = [judge(ServerFault("500"), attempts=n, retry=retry, at=AT) for n in (1, 2, 3, 4)]
    waits = [(v.failure.at - AT).total_seconds() for v in verdicts]
    assert [v.given_up for v in verdicts] == [False, False, False, True]
    assert all(low <= wait <= high for wait, (low, high) in zip(waits, [(1, 2), (2, 4), (4, 8), (0, 0)], strict=True))


def test_what_the_other_side_asked_for_is_not_undercut() -> None:
    verdict = judge(RateLimited("429", retry_after=900.0), attempts=1, retry=Retry(), at=AT)
    assert verdict.failure.at == AT + timedelta(seconds=900)


def test_a_job_is_tried_until_its_time_is_up_however_long_the_other_side_asks_for() -> None:
    retry, since, at, tries = Retry(base=5.0, limit=1000, span=3 * 86_400.0), AT, AT, 0
    while not (verdict := judge(ServerFault("500"), attempts=tries + 1, retry=retry, at=at, since=since)).given_up:
        at, tries = verdict.failure.at, tries + 1
    assert at == AT + timedelta(days=3)  # the last try is at its end
    assert 72 < tries < 160
    asked = RateLimited("429", retry_after=86_400.0)
    waits = [judge(asked, attempts=n + 1, retry=retry, at=AT + n * timedelta(days=1), since=AT) for n in range(4)]
    assert [verdict.given_up for verdict in waits] == [False, False, True, True]


def test_a_database_that_is_down_is_not_counted_against_the_job() -> None:
    verdict = judge(DatabaseDown("away"), attempts=3, retry=Retry(limit=3), at=AT)
    assert (verdict.given_up, verdict.failure.attempts) == (False, 2)
    assert AT < verdict.failure.at <= AT + timedelta(seconds=2)


@given(st.floats(min_value=0, allow_nan=False))
def test_no_wait_is_too_long_for_a_calendar(retry_after: float) -> None:
    verdict = judge(RateLimited("429", retry_after=retry_after), attempts=1, retry=Retry(), at=AT)
    assert AT < verdict.failure.at <= AT + timedelta(days=30)


@given(st.text(st.characters(categories=None), max_size=3000))
def test_a_detail_can_be_stored_by_any_database(said: str) -> None:
    detail = judge(ServerFault(said), attempts=1, retry=Retry(), at=AT).failure.detail
    assert len(detail) <= 2000
    assert "\0" not in detail
    assert detail.encode().decode() == detail


def test_an_error_without_a_name_gets_one_that_repeats_none_of_its_words() -> None:
    secret = "sk-" + "synthetic" * 3
    with pytest.raises(ValueError, match="synthetic") as caught:
        raise ValueError(secret)
    error = named(caught.value)
    assert isinstance(error, JobFailed)
    assert "ValueError in test_an_error_without_a_name" in str(error)
    assert secret not in str(error)


def test_an_error_with_a_name_keeps_it() -> None:
    error = Blocked("no")
    assert named(error) is error


def test_an_error_that_was_never_raised_has_no_place() -> None:
    assert "KeyError in ?" in str(named(KeyError("x")))

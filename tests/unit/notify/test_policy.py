import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.model import NoticeKind
from leakwatch.notify.policy import BREAKER, HOLD, OBSERVE, hold_reason, is_moot
from leakwatch.units import Rate
from tests.unit.notify.making import MOMENT, exposure, notice


@pytest.mark.parametrize(
    ("hold", "observe", "recent", "opening", "reason"),
    [
        (False, False, 0, 1, None),
        (False, False, 2, 1, None),
        (False, False, 3, 1, BREAKER),
        (False, False, 0, 4, BREAKER),
        (False, True, 0, 1, OBSERVE),
        (False, True, 9, 1, OBSERVE),
        (True, False, 0, 1, HOLD),
        (True, True, 9, 1, HOLD),
    ],
)
def test_why_a_notice_waits(hold: bool, observe: bool, recent: int, opening: int, reason: str | None) -> None:
    breaker = Rate(3, 3600.0)
    assert hold_reason(hold=hold, observe=observe, recent=recent, opening=opening, breaker=breaker) == reason


@given(st.integers(0, 50), st.integers(1, 50), st.integers(1, 50))
def test_no_more_go_than_the_breaker_lets_through(recent: int, opening: int, count: int) -> None:
    reason = hold_reason(hold=False, observe=False, recent=recent, opening=opening, breaker=Rate(count, 60.0))
    assert (reason is None) == (recent + opening <= count)


@pytest.mark.parametrize(
    ("kind", "moot"),
    [
        (NoticeKind.EXPOSURE, {"": False, "acknowledged": False, "revoked": False, "closed": False}),
        (NoticeKind.DIGEST, {"": False, "acknowledged": False, "revoked": True, "closed": True}),
        (NoticeKind.REMINDER, {"": False, "acknowledged": True, "revoked": True, "closed": True}),
    ],
)
def test_what_was_answered_is_asked_no_more(kind: NoticeKind, moot: dict[str, bool]) -> None:
    for word, wanted in moot.items():
        told = exposure(
            answer=word if word not in ("", "closed") else None, closed_at=MOMENT if word == "closed" else None
        )
        assert is_moot(notice(kind, exposures=(told,))) is wanted
        assert not is_moot(notice(kind, exposures=(told, exposure())))

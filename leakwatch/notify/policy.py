"""Whether a notice may go out now: decided here, acted on by the caller."""

from typing import Final

from leakwatch.model import Answer, Notice, NoticeKind
from leakwatch.units import Rate

HOLD: Final = "hold"  # the operator sends nothing until released
OBSERVE: Final = "observe"  # the source is watched, its findings are not told of yet
BREAKER: Final = "breaker"  # too many at once: something is wrong, with the world or with us


def hold_reason(*, hold: bool, observe: bool, recent: int, opening: int, breaker: Rate) -> str | None:
    """Return why notices to customers must wait for the operator, or None: they may go.

    `recent` were opened within the breaker's window and `opening` are about to be. The operator's own wish goes
    first, so that a release of what was held says why it had been. Notices that arrive together pass or wait together.
    """
    if hold:
        return HOLD
    if observe:
        return OBSERVE
    return BREAKER if recent + opening > breaker.count else None


def is_moot(notice: Notice) -> bool:
    """Whether a notice that waits to be sent is owed no longer, since all that it asks has been answered."""
    match notice.kind:
        case NoticeKind.REMINDER:
            return all(e.closed_at or e.answer for e in notice.exposures)
        case NoticeKind.DIGEST:
            return all(e.closed_at or e.answer in (Answer.REVOKED, Answer.FALSE_ALARM) for e in notice.exposures)
        case _:
            return False

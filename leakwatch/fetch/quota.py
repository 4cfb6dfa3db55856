"""What a site says of how much it may be asked: RateLimit headers, in the dialects in use, and X-Poll-Interval."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from leakwatch.fetch.failures import LONGEST_PAUSE, retry_after

_ITEM: Final = re.compile(r"(?:^|[,;\s])(remaining|reset|r|t)\s*=\s*(\d{1,15})")
_ALIKE: Final = 3.0  # seconds: clocks that are closer are the same, but for an answer's way
_EPOCH: Final = 1e9  # seconds: more than any pause, so it is a moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """How many requests are left, and for how many seconds; None: the site does not say."""

    left: int | None = None
    reset: float | None = None  # seconds until there are more, a day at the most
    interval: float | None = None  # seconds between two polls that the site asks for
    resource: str = ""  # of what that is said, where a site counts several
    rest: float | None = None  # seconds in which nothing at all is to be asked, by Retry-After

    @property
    def pause(self) -> float:
        """Seconds in which nothing may be asked."""
        return (self.reset or 0.0) if self.left == 0 else 0.0


def read(headers: Mapping[str, str]) -> Quota:
    """Read what an answer's headers say; what cannot be understood is not said."""
    items = dict(_ITEM.findall(headers.get("RateLimit", "")[:500].lower()))
    left = items.get("remaining") or items.get("r") or _first(headers, "Remaining")
    reset = items.get("reset") or items.get("t") or _first(headers, "Reset")
    remaining, clock = _number(left), _clock(headers)
    return Quota(
        left=None if remaining is None else int(max(0.0, remaining)),
        reset=_span(reset, clock),
        interval=_span(headers.get("X-Poll-Interval", ""), clock),
        resource=headers.get("X-RateLimit-Resource", "").strip()[:40],
        rest=retry_after(headers.get("Retry-After", "")),
    )


def _first(headers: Mapping[str, str], name: str) -> str:
    return headers.get(f"RateLimit-{name}") or headers.get(f"X-RateLimit-{name}") or ""


def _number(text: str) -> float | None:
    try:
        value = float(text.strip()[:40])
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _clock(headers: Mapping[str, str]) -> float:
    """What time it is where an answer comes from: by a fast clock of ours its moments would be over too soon."""
    ours = datetime.now(UTC).timestamp()
    try:
        at = parsedate_to_datetime(headers.get("Date", ""))
        theirs = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return ours
    return theirs if abs(theirs - ours) > _ALIKE else ours  # a Date is told in whole seconds: ours is finer


def _span(text: str, clock: float) -> float | None:
    """Seconds from then: written so, or as a moment in seconds since 1970 or in ISO 8601."""
    value = _number(text)
    if value is None:
        try:
            at = datetime.fromisoformat(text.strip()[:40])
        except ValueError:
            return None
        value = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    if value > _EPOCH:
        value -= clock
    return min(max(value, 0.0), LONGEST_PAUSE)

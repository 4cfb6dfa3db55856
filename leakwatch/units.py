"""The units that the operator writes: durations, sizes, rates, hours of the day.

Each is a pydantic type: ``"90s"`` or ``"1h 30m"`` become seconds, ``"10 MB"`` bytes, ``"100/h"`` a `Rate`.
"""

import math
import re
from dataclasses import dataclass
from datetime import datetime, time
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_BYTES: Final = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|[smhdw])")
_SIZE: Final = re.compile(rf"(\d+(?:\.\d+)?)\s*({'|'.join(_BYTES)})")
_TIME: Final = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_QUIET: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_RATE: Final = re.compile(r"(\d+)\s*/\s*(\d*)\s*([smhd])")


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so many seconds."""

    count: int
    seconds: float

    @property
    def interval(self) -> float:
        """Seconds between two, when they are spread evenly."""
        return self.seconds / self.count

    def __str__(self) -> str:
        return f"{self.count}/{_plain(self.seconds)}"


def seconds(value: Any) -> float:
    """Read a duration: ``"60s"``, ``"1h 30m"``. Raises ValueError."""
    parts = _DURATION.findall(value) if isinstance(value, str) else []
    if not parts or _DURATION.sub("", value).strip():
        message = 'write a duration as "30s", "5m", "1h 30m" or "2d"'
        raise ValueError(message)
    total = sum(float(n) * _SECONDS[unit] for n, unit in parts)
    if not total > 0:
        message = "a duration is more than nothing"
        raise ValueError(message)
    return total


def _duration(value: Any) -> float:
    """Read a duration, or take what one was read into."""
    if not isinstance(value, float):
        return seconds(value)
    if not (math.isfinite(value) and value > 0):
        message = "a duration is more than nothing, and ends"
        raise ValueError(message)
    return value


def _clock(value: Any) -> time | None:
    """Read a time of day, or "" for none."""
    if value in ("", None) or isinstance(value, time):  # midnight is a time too
        return value if isinstance(value, time) else None
    if not (isinstance(value, str) and _TIME.fullmatch(value)):
        message = 'write a time of day as "07:00", or "" for none'
        raise ValueError(message)
    return time.fromisoformat(value)


def _growing(values: list[float]) -> list[float]:
    """Take durations none of which is shorter than the one before."""
    if values != sorted(values):
        message = "each is at least as long as the one before"
        raise ValueError(message)
    return values


def size(value: Any) -> int:
    """Read a size in bytes: ``"10 MB"``, ``"512 KiB"``. Raises ValueError."""
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    total = int(float(match[1]) * _BYTES[match[2]]) if match else 0
    if total < 1:
        message = 'write a size as "512 KiB" or "10 MB"'
        raise ValueError(message)
    return total


def _size(value: Any) -> int:
    """Read a size, or take what one was read into."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        return size(value)
    return value


def rate(value: Any) -> Rate:
    """Read a rate: ``"100/h"``, ``"1/5s"``. Raises ValueError."""
    if isinstance(value, Rate):
        return value
    match = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or int(match[1]) < 1 or int(match[2] or 1) < 1:
        message = 'write a rate as "1/s", "100/h" or "1/5s"'
        raise ValueError(message)
    return Rate(int(match[1]), int(match[2] or 1) * _SECONDS[match[3]])


def quiet_hours(value: str) -> str:
    """Let hours of the day pass, as ``"22:00-06:00"``; "" is none. Raises ValueError."""
    if value and not _QUIET.fullmatch(value):
        message = 'write hours of the day as "22:00-06:00", in UTC'
        raise ValueError(message)
    return value


def left_of_quiet(hours: str, at: datetime) -> float:
    """Return for how many seconds more the quiet hours last; 0 outside of them."""
    match = _QUIET.fullmatch(hours)
    if match is None:
        return 0.0
    begins, ends = (60 * int(match[n]) + int(match[n + 1]) for n in (1, 3))
    day = 1440.0
    clock = at.hour * 60 + at.minute + (at.second + at.microsecond / 1e6) / 60
    left = (ends - clock) % day
    return 60 * left if left <= (ends - begins) % day else 0.0


def _plain(span: float) -> str:
    for unit in ("d", "h", "m"):
        if span % _SECONDS[unit] == 0:
            count = int(span / _SECONDS[unit])
            return unit if count == 1 else f"{count}{unit}"
    return "s" if span == 1 else f"{span:g}s"


Duration = Annotated[
    float,
    BeforeValidator(_duration),
    WithJsonSchema({"type": "string", "examples": ["60s", "1h 30m"]}),
]
Clock = Annotated[
    time | None,
    BeforeValidator(_clock),
    WithJsonSchema({"type": "string", "examples": ["07:00"]}),
]
Growing = Annotated[list[Duration], AfterValidator(_growing)]
Size = Annotated[
    int,
    BeforeValidator(_size),
    WithJsonSchema({"type": "string", "examples": ["512 KiB", "10 MB"]}),
]
RateField = Annotated[
    Rate,
    BeforeValidator(rate),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "examples": ["1/s", "100/h"]}),
]
QuietHours = Annotated[
    str,
    AfterValidator(quiet_hours),
    WithJsonSchema({"type": "string", "examples": ["22:00-06:00"]}),
]

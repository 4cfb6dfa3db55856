"""GitHub's firehose against so many tokens: what share of all pushes is looked at, and how soon. A simulation.

Nothing is asked of GitHub. Arrivals, the window of the public feed and the limits are as its documents and third
parties tell; what is admitted, and in which order, is decided by leakwatch's own frontier.
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from statistics import quantiles
from typing import Final

from benchmarks.measuring import Result, Row
from leakwatch.definitions import find, load
from leakwatch.definitions.files import shipped
from leakwatch.frontier import LIKELY, admit, priority
from leakwatch.model import Reference

EVENTS: Final = 160_000  # an hour
PUSHES: Final = 128_000  # an hour, of these
WINDOW: Final = 300  # events that the feed shows
EVERY: Final = 60.0  # seconds between two polls: X-Poll-Interval
HOURS: Final = 6
LIMIT: Final = 5_000  # requests an hour for a token
_PAGES: Final = 3  # requests for a listing
_NAMES: Final = (("ada/openai-demo", 6), ("ada/config", 4), ("ada/tools", 85), ("ada/vendor/x", 5))  # shares: a guess


@dataclass(slots=True)
class Run:
    """What one simulation counted."""

    pushes: int = 0
    seen: int = 0
    likely: int = 0
    looked_at: int = 0
    likely_looked_at: int = 0
    missed: int = 0
    waits: list[float] = field(default_factory=list)  # seconds from the push to the answer


async def firehose() -> Result:
    """Let the firehose run against some numbers of tokens."""
    rows = [*_rows(1), *_rows(2), *_rows(3), *_rows(26), *_rows(26, whole=True)]
    return Result(
        name="firehose",
        title="GitHub's firehose, simulated",
        how=(
            f"{HOURS} hours of {EVENTS:,} events an hour, {PUSHES:,} of them pushes, each of which costs one request. "
            f"The public feed shows the last {WINDOW} and wants to be asked once in {EVERY:.0f} s; a token has "
            f"{LIMIT:,} requests an hour. Admission and order are leakwatch's own; one repository in ten is taken to "
            "be likely to hold a key. GitHub's own delay (30 s to 6 h, as it says) comes on top. Nothing was asked of "
            "GitHub."
        ),
        reference="all pushes",
        bar="none: this says what to expect, and how many tokens are worth having",
        rows=tuple(rows),
    )


def _rows(tokens: int, *, whole: bool = False) -> Iterator[Row]:
    run = _simulated(tokens, whole=whole)
    of = "every event known" if whole else "the public feed"
    share = run.looked_at / run.pushes
    likely = run.likely_looked_at / max(1, run.likely)
    half, most = (quantiles(run.waits, n=100)[at] for at in (49, 98))
    missed = 100 * run.missed / max(1, run.seen)
    yield Row(
        what=f"{tokens} token{'s' if tokens > 1 else ''}, {of}",
        value=100 * share,
        unit="% looked at",
        ratio=share,
        note=(
            f"{100 * run.seen / run.pushes:.0f}% known; of those likely {100 * likely:.0f}%; half within "
            f"{half:,.0f} s, 99% within {most:,.0f} s; of the known {missed:.0f}% missed for want of room"
        ),
    )


def _simulated(tokens: int, *, whole: bool) -> Run:
    chance, run = random.Random(7), Run()
    most = load(find("github-events", shipped())).frontier
    waiting: list[tuple[int, float, int]] = []  # priority, when it was pushed, number
    names, weights = [name for name, _ in _NAMES], [weight for _, weight in _NAMES]
    a_second = EVENTS / 3600
    spent = 0.0
    for poll in range(1, int(HOURS * 3600 / EVERY) + 1):
        now = poll * EVERY
        pushed = _arrivals(chance, PUSHES / 3600 * EVERY)
        run.pushes += pushed
        reach = EVERY if whole else min(EVERY, WINDOW / a_second)
        known = round(pushed * reach / EVERY)
        found = {
            Reference(url="", id=f"{poll}-{n}", title=name): now - chance.uniform(0, reach)
            for n, name in enumerate(chance.choices(names, weights, k=known))
        }
        admitted = admit(list(found), waiting=len(waiting), most=most)
        run.seen += known
        run.likely += sum(priority(one) == LIKELY for one in found)
        run.missed += admitted.missed
        for number, one in enumerate(admitted.taken):
            heappush(waiting, (priority(one), found[one], number))
        budget = tokens * LIMIT / 3600 * EVERY - _PAGES + spent
        done = Counter[int]()
        while waiting and budget >= 1:
            rank, at, _ = heappop(waiting)
            budget -= 1
            done[rank] += 1
            run.waits.append(now + done.total() / (tokens * LIMIT / 3600) - at)
        spent = min(budget, 1.0)
        run.looked_at += done.total()
        run.likely_looked_at += done[LIKELY]
    return run


def _arrivals(chance: random.Random, mean: float) -> int:
    """How many come in an interval of which so many are expected: close enough to Poisson's for so many."""
    return max(0, round(chance.gauss(mean, mean**0.5)))

"""GitHub's firehose against so many tokens: what share of all changes is looked at, and how soon. A simulation.

Nothing is asked of GitHub. Events, pushes, the window of the public feed and the limits are as its documents and third
parties tell, other shares are guesses; what is admitted, and in which order, is decided by leakwatch's own frontier.
"""

import random
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
BRANCHES: Final = 8_000  # an hour: new branches and tags beside the default branch. A guess
PULLS: Final = 3_200  # an hour: pull requests that are opened or edited. A guess
FILES: Final = 800  # an hour: attached to releases. A guess
LARGE: Final = 50  # one change in so many has a file that is fetched whole. A guess
CHANGES: Final = PUSHES + BRANCHES + PULLS  # an hour, each of which costs a request
WINDOW: Final = 300  # events that the feed shows
EVERY: Final = 60.0  # seconds between two polls: X-Poll-Interval
HOURS: Final = 6
LIMIT: Final = 5_000  # requests an hour for a token
_SOURCES: Final = ("github-events", "github-new", "github-releases")  # that read the feed with the same tokens
_NAMES: Final = (("ada/openai-demo", 6), ("ada/config", 4), ("ada/tools", 85), ("ada/vendor/x", 5))  # shares: a guess
_WHOLE: Final = ("train.ipynb", "data.json")  # files whose change GitHub leaves out, as often as each other


_Waiting = tuple[int, float, str, Reference]
"""Its priority, when it was published, its id (no two are the same), and what it is."""


@dataclass(slots=True)
class Run:
    """What one simulation counted."""

    changes: int = 0
    seen: int = 0
    likely: int = 0
    looked_at: int = 0
    likely_looked_at: int = 0
    missed: int = 0
    waits: list[float] = field(default_factory=list)  # seconds from the change to the answer


async def firehose() -> Result:
    """Let the firehose run against some numbers of tokens."""
    rows = [*_rows(1), *_rows(2), *_rows(3), *_rows(4), *_rows(29), *_rows(29, whole=True)]
    return Result(
        name="firehose",
        title="GitHub's firehose, simulated",
        how=(
            f"{HOURS} hours of {EVENTS:,} events an hour, {PUSHES:,} of them pushes. Guesses are {BRANCHES:,} new "
            f"branches and tags and {PULLS:,} pull requests, each of which costs one request as a push does; one "
            f"request more for one change in {LARGE}, which has a file so long that it is fetched whole; and {FILES} "
            f"files of releases. The public feed shows the last {WINDOW} and wants to be asked once in {EVERY:.0f} s: "
            f"by {', '.join(f'`{one}`' for one in _SOURCES)} with the same tokens, {_polls()} requests each time. "
            f"A token has {LIMIT:,} requests an hour. What git fetches costs none. Admission and order are "
            "leakwatch's own; one repository in ten is taken to be likely to hold a key. GitHub's own delay (30 s to "
            "6 h, as it says) comes on top. Nothing was asked of GitHub."
        ),
        reference="all changes",
        bar="none: this says what to expect, and how many tokens are worth having",
        rows=tuple(rows),
    )


def _rows(tokens: int, *, whole: bool = False) -> Iterator[Row]:
    run = _simulated(tokens, whole=whole)
    of = "every event known" if whole else "the public feed"
    share = run.looked_at / run.changes
    likely = run.likely_looked_at / max(1, run.likely)
    half, most = (quantiles(run.waits, n=100)[at] for at in (49, 98))
    missed = 100 * run.missed / max(1, run.seen)
    yield Row(
        what=f"{tokens} token{'s' if tokens > 1 else ''}, {of}",
        value=100 * share,
        unit="% looked at",
        ratio=share,
        note=(
            f"{100 * run.seen / run.changes:.0f}% known; of those likely {100 * likely:.0f}%; half within "
            f"{half:,.0f} s, 99% within {most:,.0f} s; of the known {missed:.0f}% missed for want of room"
        ),
    )


def _polls() -> int:
    """Return how many requests it takes to read the feed once, as each of the definitions does."""
    pages = [load(find(name, shipped())).listing.pages for name in _SOURCES]
    return sum(one.most if one else 1 for one in pages)


def _simulated(tokens: int, *, whole: bool) -> Run:
    chance, run = random.Random(7), Run()
    most = load(find("github-events", shipped())).frontier
    waiting: list[_Waiting] = []
    names, weights = [name for name, _ in _NAMES], [weight for _, weight in _NAMES]
    a_second, a_poll = EVENTS / 3600, tokens * LIMIT / 3600 * EVERY
    reach = EVERY if whole else min(EVERY, WINDOW / a_second)
    besides = _polls() + FILES / 3600 * reach  # requests for what is no change
    left = 0.0
    for poll in range(1, int(HOURS * 3600 / EVERY) + 1):
        now = poll * EVERY
        changed = _arrivals(chance, CHANGES / 3600 * EVERY)
        run.changes += changed
        known = round(changed * reach / EVERY)
        found = {
            Reference(url="", id=f"{poll}-{n}", title=name): now - chance.uniform(0, reach)
            for n, name in enumerate(chance.choices(names, weights, k=known))
        }
        admitted = admit(list(found), waiting=len(waiting), most=most)
        run.seen += known
        run.likely += sum(priority(one) == LIKELY for one in found)
        run.missed += admitted.missed
        for one in admitted.taken:
            heappush(waiting, (priority(one), found[one], one.id, one))
        budget = a_poll - besides + left
        spent = 0
        while waiting and budget - spent >= 1:
            rank, at, _, one = heappop(waiting)
            spent += 1
            if one.path:
                continue
            run.looked_at += 1
            run.likely_looked_at += rank == LIKELY
            run.waits.append(now + spent / a_poll * EVERY - at)
            if chance.randrange(LARGE) == 0:
                file = Reference(url="", id=f"{one.id}-file", path=chance.choice(_WHOLE))
                heappush(waiting, (priority(file), at, file.id, file))
        left = min(budget - spent, 1.0)
    return run


def _arrivals(chance: random.Random, mean: float) -> int:
    """How many come in an interval of which so many are expected: close enough to Poisson's for so many."""
    return max(0, round(chance.gauss(mean, mean**0.5)))

"""A site that is searched: word after word, each in windows that are halved until one can be paged through.

How far a search came is kept from poll to poll, so that what a site allows in a minute is enough for the longest one.
Decisions return values; who asks is somebody else.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from leakwatch.definitions import Search
from leakwatch.errors import FetchError, RateLimited
from leakwatch.fetch import windows
from leakwatch.fetch.listing import Facts, mark
from leakwatch.fetch.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one page of a search says."""

    items: int
    total: int | None = None  # results in all
    is_partial: bool = False  # the site did not look everywhere


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far searches came."""

    turns: tuple[str, ...] = ()  # marks of words, in the order in which they were searched for
    word: str = ""  # mark of the one under way
    windows: tuple[Window, ...] = ()  # what is left of it
    gap: bool = False  # there is more than could be had
    missed: int = 0  # results that are there and cannot be paged through to
    errors: list[FetchError] = field(default_factory=list)
    asked: int = 0  # requests
    answered: int = 0


Ask = Callable[[Facts, int], Awaitable[Found]]
"""Gets the results for a word in a window, of the page with that number (from 0), keeps them, and tells how many.

Raises FetchError.
"""


async def search(said: Search, pages: int, before: Progress, ask: Ask, at: datetime) -> Progress:
    """Search on from where the last poll ended, each word once at the most. Raises FetchError where nothing worked."""
    words = {mark(word): word for word in said.words}
    turns = [*(one for one in words if one not in before.turns), *(one for one in before.turns if one in words)]
    after = Progress(turns=tuple(one for one in before.turns if one in words))
    for one in sorted(turns, key=lambda one: one != before.word):
        left = before.windows if one == before.word else ()
        if not await _word(said, pages, words[one], after, left or (windows.whole(said, at),), ask):
            after.word = one
            break
        after.turns = (*(turn for turn in after.turns if turn != one), one)
    if after.errors and not after.answered:
        raise after.errors[0]
    return after


async def _word(  # noqa: PLR0913, PLR0917 - what there is to know
    said: Search, pages: int, word: str, after: Progress, left: Sequence[Window], ask: Ask
) -> bool:
    """Search for a word, and say whether to its end. A word whose search fails has had its turn."""
    after.windows = tuple(left)
    while after.windows:
        if after.asked >= said.requests:
            return False
        window, *others = after.windows
        after.asked += 1
        try:
            found = await ask({"word": word, **windows.named(said, window)}, window.page)
        except RateLimited as error:
            after.errors.append(error)
            return False
        except FetchError as error:
            after.errors.append(error)
            after.windows = ()
            return True
        after.answered += 1
        following, is_gap, missed = _after(said, pages, window, found)
        after.gap = after.gap or is_gap
        after.missed += missed
        after.windows = (*following, *others)
    return True


def _after(said: Search, pages: int, window: Window, found: Found) -> tuple[tuple[Window, ...], bool, int]:
    """Return what is left of a window after a page of it, whether something of it cannot be had, and how much."""
    is_long = found.total is not None and found.total > said.most
    if is_long and window.page == 0 and said.window and (halves := window.halves()):
        return halves, False, 0
    seen = window.seen + found.items
    is_over = not found.items or (found.total is not None and seen >= found.total)
    if is_over or window.page + 1 >= pages or seen >= said.most:
        missed = 0 if is_over or found.total is None else found.total - seen
        return (), found.is_partial or missed > 0, missed
    return (replace(window, page=window.page + 1, seen=seen),), found.is_partial, 0

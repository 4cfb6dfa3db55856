"""The listings that an index or a sitemap names, read one after another: one that fails hides no other."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field

from leakwatch.errors import FetchError, Gone, RateLimited


@dataclass(slots=True, kw_only=True)
class Children:
    """What came of them."""

    had: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)  # not to be had, or not all of their pages
    errors: list[FetchError] = field(default_factory=list)
    is_ended: bool = False  # the host wants to rest: those behind were not asked for

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left to be asked for again."""
        return not self.failed and not self.is_ended

    def behind(self, new: Collection[str], before: Sequence[str]) -> tuple[str, ...]:
        """Return those that the next poll asks for last: what failed now, or `before` and has not been had since.

        Raises FetchError where none could be had, and there is no other to try: the source is blind, though what
        names its listings answers.
        """
        over = (*self.had, *self.gone)
        failing = tuple(one for one in dict.fromkeys((*before, *self.failed)) if one in new and one not in over)
        if self.errors and not over and (self.is_ended or len(failing) == len(frozenset(new))):
            raise self.errors[0]
        return failing


async def each(wanted: Sequence[str], read: Callable[[str], Awaitable[bool]]) -> Children:
    """Read one after another. `read` says whether all of its pages could be had. Only a host that rests ends it."""
    children = Children()
    for one in wanted:
        try:
            is_whole = await read(one)
        except Gone:
            children.gone.append(one)
        except RateLimited as error:
            children.errors.append(error)
            children.is_ended = True
            break
        except FetchError as error:
            children.errors.append(error)
            children.failed.append(one)
        else:
            (children.had if is_whole else children.failed).append(one)
    return children


def in_turn(new: Sequence[str], failed: Collection[str]) -> list[str]:
    """Put behind the others what failed the last time."""
    return sorted(new, key=lambda one: one in failed)

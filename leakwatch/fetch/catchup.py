"""What a gap swallowed, found afterwards: a list of all that there is, by a number that grows with each change.

::

    no gap    the head of the list ─▶ the greatest number: all up to the one of the time before was seen
    a gap     the whole list ─▶ what has a greater number than was seen

The list may be large: only its head is read while nothing is missing, both only so often, and what is kept of it
between two polls are three numbers. Items are decoded one by one, and those that are not new are let go.
"""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from heapq import nsmallest
from json import JSONDecoder
from time import time
from typing import Any, Final

from leakwatch.definitions import CatchUp, first
from leakwatch.errors import BadContent, EmptyListing, FetchError, TooLarge
from leakwatch.fetch.listing import Tally
from leakwatch.fetch.page import Page
from leakwatch.fetch.session import Session
from leakwatch.fetch.source import Source
from leakwatch.fetch.trace import Poll
from leakwatch.model import Checkpoint

_HEAD: Final = 4096  # bytes in which the list says its greatest number
_SPACE: Final = re.compile(r"[ \t\r\n]+")
_LONGEST: Final = 500  # characters of an id
_ITEM: Final = 2_048  # characters of an item, as it stands there: decoded, a long one would fill many times its length
_MEMBER: Final = 65_536  # of another member of the whole, which is passed over
_DIGITS: Final = 18  # of a number: more is none
_DECODER: Final = JSONDecoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """How far a source is known, as its checkpoint has it."""

    mark: int = 0  # all up to this number was seen, or could have been; 0: not known yet
    newest: int = 0  # the greatest when the list was asked last: the next mark, since a feed may lag behind the list
    asked: int = 0  # when that was, in seconds since 1970
    behind: bool = False  # a gap has not been made good yet

    @classmethod
    def of(cls, checkpoint: Checkpoint | None) -> "Known":
        """Return what a checkpoint says."""
        said = checkpoint or {}
        mark, newest, asked = (int(said.get(f"catchup_{name}") or 0) for name in ("mark", "newest", "asked"))
        return cls(mark=mark, newest=newest, asked=asked, behind=bool(said.get("catchup_behind")))

    def checkpoint(self) -> Checkpoint:
        """Return it as it is stored, beside what else a checkpoint holds."""
        said = {"mark": self.mark, "newest": self.newest, "asked": self.asked, "behind": self.behind}
        return {f"catchup_{name}": value for name, value in said.items()}


async def after(
    session: Session, source: Source, checkpoint: Checkpoint | None, polled: Poll, *, crashed: bool = False
) -> Poll:
    """Return a poll with what earlier gaps swallowed, once it is due. A list that cannot be had spoils no poll.

    `crashed`: the process died under this poll, perhaps because of the list. It has had its turn: else a process that
    dies again and again would ask for the whole each time.
    """
    catchup = source.definition.catchup
    assert catchup is not None  # noqa: S101 - asked only where there is one
    known = Known.of(checkpoint)
    known, batch, at = replace(known, behind=known.behind or polled.trace.gap), polled.batch, int(time())
    if not 0 <= at - known.asked < catchup.every:
        asked = replace(known, asked=at)
        try:
            if crashed:
                known = asked
            elif known.behind and (known.mark or known.newest):
                known, found = await _whole(session, source, catchup, asked)
                listing = found.listing()
                polled.trace.caught = len(listing.references)
                batch = replace(batch, references=(*batch.references, *listing.references))
            else:
                newest = await _head(session, source, catchup)
                known = replace(asked, mark=known.newest, newest=newest, behind=False)
        except FetchError as error:
            known = asked
            if polled.trace.listing is not None:
                note = f"the list by which gaps are made good could not be read ({error.reason})"
                polled.trace.listing = replace(polled.trace.listing, notes=(*polled.trace.listing.notes, note))
    before = batch.checkpoint if batch.checkpoint is not None else checkpoint
    return replace(polled, batch=replace(batch, checkpoint={**(before or {}), **known.checkpoint()}))


async def _head(session: Session, source: Source, catchup: CatchUp) -> int:
    page = await _get(session, source, catchup, _HEAD)
    found = first(catchup.newest, page.text())
    if found is None or not _is_number(found):
        message = f"{source.name}: catchup.newest ({catchup.newest}) found nothing in the list's beginning"
        raise EmptyListing(message, mend="compare it with what the address of catchup.url answers")
    return int(found)


async def _whole(session: Session, source: Source, catchup: CatchUp, known: Known) -> tuple[Known, Tally]:
    """Read the list; return how far the source is known then, and what is new in it: of too much the older part."""
    page = await _get(session, source, catchup, catchup.max_bytes)
    if page.truncated:
        message = f"{source.name}: the list is larger than {catchup.max_bytes:,} bytes"
        raise TooLarge(message, mend="raise catchup.max_bytes")
    new, greatest = await asyncio.to_thread(newer, source, page, known.mark or known.newest)
    taken = new[: catchup.most]
    tally = Tally(source.of_catchup)
    facts = ({"id": name, "version": str(number)} for number, name in taken)
    await asyncio.to_thread(tally.page, facts, page.url)
    if len(new) > len(taken):
        return replace(known, mark=taken[-1][0]), tally
    return replace(known, mark=greatest, newest=greatest, behind=False), tally


async def _get(session: Session, source: Source, catchup: CatchUp, most: int) -> Page:
    return await session.get(source.fill(catchup.url, {}), source=source, max_bytes=most, accept=catchup.accept)


def newer(source: Source, page: Page, mark: int) -> tuple[list[tuple[int, str]], int]:
    """Return what of a list has a greater number, in order, and the greatest of all. Blocks. Raises BadContent.

    Of what is more than one poll takes, one item is left to tell of it.
    """
    catchup = source.definition.catchup
    assert catchup is not None  # noqa: S101 - asked only where there is one
    found: list[tuple[int, str]] = []
    most = catchup.most + 1
    greatest, is_there = mark, False
    try:
        for item in _items(page.text(), catchup.items):
            name, number = (
                str(item.get(key, "")) if isinstance(item, dict) else "" for key in (catchup.id, catchup.serial)
            )
            if not (0 < len(name) <= _LONGEST and _is_number(number)):
                continue
            is_there = True
            if int(number) > mark:
                found.append((int(number), name))
                greatest = max(greatest, int(number))
            if len(found) > 2 * most:
                found = nsmallest(most, found)
    except (ValueError, RecursionError):
        message = f"{source.name}: the list is not the JSON that was promised"
        raise BadContent(message, mend="compare catchup.url and catchup.items with what the site answers") from None
    if not is_there:
        message = f"{source.name}: catchup.items ({catchup.items}) found nothing in the list"
        raise EmptyListing(message, mend="compare catchup with what the site answers")
    return nsmallest(most, found), greatest


def _items(text: str, name: str) -> Iterator[Any]:
    """Yield the items of one array of a JSON object, one after the other. Raises ValueError for other JSON."""
    at = _after(text, 0, "{")
    while not text.startswith("}", at):
        key, at = _decoded(text, at, _ITEM)
        at = _after(text, _skipped(text, at), ":")
        if key == name:
            at = _after(text, at, "[")
            while not text.startswith("]", at):
                item, at = _decoded(text, at, _ITEM)
                yield item
                at = _separated(text, at, "]")
            return
        _, at = _decoded(text, at, _MEMBER)
        at = _separated(text, at, "}")


def _decoded(text: str, at: int, most: int) -> tuple[Any, int]:
    """Decode one value of so many characters at the most; return it, and where it ends. Raises ValueError."""
    value, length = _DECODER.raw_decode(text[at : at + most])
    if length == most:
        message = "a value is too long"  # or a number that was cut
        raise ValueError(message)
    return value, at + length


def _separated(text: str, at: int, end: str) -> int:
    """Go past a comma, or to what ends the whole."""
    at = _skipped(text, at)
    return at if text.startswith(end, at) else _after(text, at, ",")


def _after(text: str, at: int, sign: str) -> int:
    at = _skipped(text, at)
    if not text.startswith(sign, at):
        message = f"there is no {sign}"
        raise ValueError(message)
    return _skipped(text, at + 1)


def _skipped(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS

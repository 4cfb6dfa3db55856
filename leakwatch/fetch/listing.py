"""What every kind of listing has in common: items with facts become references and documents.

A kind (html, json, feed) only reads: text in, one mapping of facts for each item out.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from itertools import islice
from types import MappingProxyType
from typing import Final

from yarl import URL

from leakwatch.definitions import first
from leakwatch.errors import BadContent, Blocked
from leakwatch.fetch.source import Source
from leakwatch.model import Document, Reference, Via

Facts = Mapping[str, str]
"""One item: the names of `definitions.Fields`, and "summary", each with what was found; what was not is absent."""

MOST_ITEMS: Final = 10_000
_ISO: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[T ]+(\d{2}:\d{2}(?::\d{2})?)(?:[.,]\d+)?\s*(Z|UTC|GMT|[+-]\d{2}:?\d{2})?)?", re.IGNORECASE
)
_EPOCH: Final = re.compile(r"(\d{9,10})(?:\.\d+)?|(\d{12,13})")  # seconds, or milliseconds
_LONGEST_TIME: Final = 200
_DIGITS: Final = 15  # of a size
_AGO: Final = re.compile(
    r"\b(\d{1,6}|an?|one)\s*(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|wks?|weeks?|months?|y|yrs?|years?)"
    r"\b\.?(?:[\s,]*and)?[\s,]*",
    re.IGNORECASE | re.ASCII,  # else the old long s counts as the s of seconds
)
_SPANS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "mo": 2_592_000, "y": 31_536_000}
_JUST: Final = re.compile(r"just now|moments? ago|(?:less|fewer) than a (?:minute|second)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a listing yields, and how its selectors fared."""

    documents: tuple[Document, ...]
    references: tuple[Reference, ...]
    items: int  # how many the listing has, as far as it was read
    hits: Mapping[
        str, int
    ]  # by selector as the definition names it ("fields.title"): in how many items it found anything
    notes: tuple[str, ...]  # what a person should know: what was left out, and why; no word of a stranger's


class Unusable(ValueError):
    """An item that cannot be used; the text is a note on why."""


def gather(source: Source, items: Iterable[Facts], listing_url: str) -> Listing:
    """Turn items into what a poll yields: addresses made absolute, hosts checked, duplicates merged, count bounded."""
    tally = Tally(source)
    tally.page(items, listing_url)
    return tally.listing()


class Tally:
    """A listing as it is read, page after page."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._fields = {f"fields.{name}": where for name, where in source.definition.fields.named().items()}
        self._found: dict[tuple[str, str], Document | Reference] = {}
        self._hits = Counter(dict.fromkeys(self._fields, 0))
        self._items = 0
        self.notes: Counter[str] = Counter()

    def page(self, items: Iterable[Facts], url: str, context: Facts = MappingProxyType({})) -> list[str]:
        """Read one page; return the mark of each item, in order. Blocks: not for the event loop.

        `context` is what is known of all of them.

        A page of a listing that has moved on repeats some of the one before: that is no fault.
        """
        items = iter(items)
        earlier = frozenset(self._found)
        room = MOST_ITEMS - self._items
        marks = [self._add({**context, **facts}, url, earlier) for facts in islice(items, room)]
        if next(items, None) is not None:
            self.notes[f"the listing has more than {MOST_ITEMS:,} items: the rest was not read"] = 1
        return marks

    def _add(self, facts: Facts, url: str, earlier: Collection[tuple[str, str]]) -> str:
        """Count an item, keep what it makes, and return its mark; "" for one that cannot be used."""
        self._items += 1
        try:
            facts = _cut(self._source, facts)
            self._hits.update(self._fields.keys() & {f"fields.{name}" for name in facts})
            one = _item(self._source, facts, url)
        except Unusable as unusable:
            self.notes[str(unusable)] += 1
            return ""
        except Exception as error:  # noqa: BLE001 - one item's oddity, which nobody foresaw, must not lose the others
            self.notes[f"an item could not be read ({type(error).__name__}): a bug, please report it"] += 1
            return ""
        reference = one.reference if isinstance(one, Document) else one
        key = reference.id, reference.version
        if self._found.setdefault(key, one) is not one and key not in earlier:
            self.notes["the same document is listed twice"] += 1
        return mark(*key)

    @property
    def items(self) -> int:
        """How many items there were so far."""
        return self._items

    def listing(self) -> Listing:
        """Return what there is."""
        return Listing(
            documents=tuple(one for one in self._found.values() if isinstance(one, Document)),
            references=tuple(one for one in self._found.values() if isinstance(one, Reference)),
            items=self._items,
            hits=self._hits,
            notes=tuple(self._told()),
        )

    def _told(self) -> Iterator[str]:
        for note, times in self.notes.items():
            yield note if times == 1 else f"{note} ({times} times)"
        for name, times in self._hits.items():
            if self._items and not times:
                yield f"{name} ({self._fields[name]}) found nothing in any of {self._items} items"


def _item(source: Source, facts: Facts, listing_url: str) -> Document | Reference:
    """One item as a document, if it carries its text, or as a reference to it. Raises Unusable."""
    link = absolute(facts.get("url", ""), listing_url)
    stated = {**facts, "url": link}
    place = source.definition.document
    url = absolute(source.fill(place.url, stated), listing_url) if place.url else link
    page = absolute(source.fill(place.page, stated) if place.page else facts.get("page", ""), listing_url)
    text = facts.get("text", "")
    fetchable = bool(url) and source.allows(URL(url))
    if not (text or fetchable):
        text = facts.get("summary", "")  # of what we cannot fetch, what the listing shows is all that we get to see
    if not (text or fetchable):
        raise Unusable(_no_address(facts, url))
    reference = Reference(
        url=url or page or listing_url,
        id=facts.get("id") or link or _digest(facts.get("title", ""), text),
        version=facts.get("version", ""),
        page=page if page != url else "",
        title=facts.get("title", ""),
        author=facts.get("author", ""),
        path=facts.get("path", ""),
        published_at=moment(facts.get("published_at", "")),
        commit=facts.get("commit", ""),
        size=_size(facts.get("size", "")),
        via=Via.PAGE if text else Via(place.opens),
    )
    return Document(reference=reference, text=text) if text else reference


def _cut(source: Source, facts: Facts) -> Facts:
    """Keep of each fact what the definition says; one in which that is not found is absent."""
    cuts = source.definition.cut.named()
    kept = {**facts, **{name: first(cuts[name], value) for name, value in facts.items() if name in cuts}}
    return {name: value for name, value in kept.items() if value}


def _no_address(facts: Facts, url: str) -> str:
    if url:
        return "an item lies on a host that is not the source's: add it to the definition's hosts if it is meant"
    return "an item has no address to fetch, or not all that its template needs" if facts else "an item is empty"


def absolute(address: str, base: str) -> str:
    """Return a web address without fragment and user, or "" if it is none."""
    if not address:
        return ""
    try:
        url = URL(base).join(URL(address.strip()))
        return str(url.with_fragment(None).with_user(None)) if url.scheme in ("http", "https") and url.host else ""
    except ValueError:
        return ""


def _size(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else 0


def mark(*parts: str) -> str:
    """Return eight characters by which a poll knows again what the one before saw."""
    return blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=4).hexdigest()


def _digest(*parts: str) -> str:
    """An identity for what has no other: the same words are the same document."""
    return blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=16).hexdigest()


def moment(text: str) -> datetime | None:
    """Read a time: ISO 8601, RFC 2822, seconds or milliseconds since 1970, or "5 minutes ago". Else None.

    Without a zone it is UTC.
    """
    text = text.strip()[:_LONGEST_TIME]
    try:
        if (age := _age(text)) is not None:
            return datetime.now(UTC) - timedelta(seconds=age)
        if epoch := _EPOCH.fullmatch(text):
            return datetime.fromtimestamp(float(text) if epoch[1] else float(text) / 1000, UTC)
        if iso := _ISO.search(text):
            return _iso(*iso.groups())
        at = parsedate_to_datetime(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _age(text: str) -> float | None:
    """Seconds that have gone by since, where that is what a text says."""
    if _JUST.search(text):
        return 0.0
    if not text.lower().rstrip(" .").endswith("ago"):
        return None
    parts = _AGO.findall(text)
    spans = [_SPANS["mo" if unit.lower().startswith("mo") else unit[0].lower()] for _, unit in parts]
    counts = [int(count) if count.isdigit() else 1 for count, _ in parts]
    return float(sum(count * span for count, span in zip(counts, spans, strict=True))) if parts else None


def _iso(day: str, clock: str | None, zone: str | None) -> datetime:
    offset = "+00:00" if zone is None or zone.upper() in ("Z", "UTC", "GMT") else zone
    return datetime.fromisoformat(f"{day}T{clock or '00:00'}{offset}").astimezone(UTC)


_LOOKS: Final = (
    (
        re.compile(r"captcha|just a moment|are you (?:a )?(?:human|robot)|cf-challenge|anubis", re.IGNORECASE),
        "a bot check",
    ),
    (re.compile(r"""type\s*=\s*["']?password""", re.IGNORECASE), "a page with a login form"),
    (re.compile(r"enable javascript|requires javascript", re.IGNORECASE), "a page that needs JavaScript"),
    (re.compile(r"does not have access|access denied|request (?:was )?blocked", re.IGNORECASE), "a refusal"),
)


_LOGIN: Final = "a page with a login form"
_LOGIN_TITLE: Final = re.compile(
    r"<title[^>]{0,200}>[^<]{0,200}?(?:log ?in|sign ?in|log on|anmelden|connexion)", re.IGNORECASE
)
_GATES: Final = frozenset(what for _, what in _LOOKS)


def appearance(text: str) -> str:
    """Say what a page looks like that has not what we came for, or "" if nothing comes to mind."""
    if not text.strip():
        return "an empty page"
    for pattern, what in _LOOKS:
        if pattern.search(text):
            return what
    return "HTML" if text.lstrip()[:1] == "<" and re.search(r"<html|<!doctype html", text[:2000], re.IGNORECASE) else ""


def barred(source: Source, text: str, *, is_html: bool = False) -> Blocked | None:
    """Return the error for a page that is a gatekeeper's, where we came for a listing; None for any other page.

    A login form can stand on every page of a site: where a page was expected (`is_html`) its title has to say it too.
    """
    looks = appearance(text)
    if looks not in _GATES or (is_html and looks == _LOGIN and not _LOGIN_TITLE.search(text[:20_000])):
        return None
    message = f"{source.name}: instead of the listing there is {looks}"
    mend = "the site does not let us read it like this: ask its operator, use its feed or API, or give a token"
    return Blocked(message, mend=mend)


def not_as_promised(source: Source, kind: str, text: str) -> BadContent | Blocked:
    """Return the error for a listing that is of another kind than its definition says."""
    if barrier := barred(source, text):
        return barrier
    looks = appearance(text)
    message = f"{source.name}: the listing is not {kind}" + (f", it looks like {looks}" if looks else "")
    return BadContent(message, mend="check base_url and listing.url, and whether the site wants a login")

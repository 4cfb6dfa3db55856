"""The kinds of listing: who reads which, and what is asked of all of them alike."""

import json as standard
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from leakwatch.definitions import first
from leakwatch.errors import BadContent
from leakwatch.fetch import feed, html, json, sitemap, walk
from leakwatch.fetch.listing import Facts, absolute
from leakwatch.fetch.source import Source

__all__ = ["READERS", "absolute", "accept", "body", "cut", "items", "marks", "named", "value"]

_Reader = Callable[[Source, str], Iterator[Facts]]
READERS: Final[Mapping[str, tuple[_Reader, str]]] = {
    "html": (html.read, html.ACCEPT),
    "json": (json.read, json.ACCEPT),
    "feed": (feed.read, feed.ACCEPT),
    "sitemap": (sitemap.read, sitemap.ACCEPT),
}
_VALUES: Final[Mapping[str, Callable[[Source, str, str], str]]] = {"html": html.value, "json": json.value}


def accept(kind: str) -> str:
    """Return what a listing of that kind is asked for as."""
    return READERS[kind][1] if kind in READERS else walk.ACCEPT


def items(source: Source, text: str) -> list[Facts]:
    """Read a listing's items. Blocks: not for the event loop. Raises BadContent, TooLarge, Blocked."""
    read, _ = READERS[source.definition.kind]
    try:
        return list(read(source, text))
    except RecursionError:
        message = f"{source.name}: the listing is nested too deeply"
        raise BadContent(message, mend="check base_url and listing.url") from None


def named(source: Source, text: str) -> list[tuple[str, str]]:
    """Read an index: the id and the version of each listing that it names. Blocks. Raises BadContent, TooLarge."""
    index = source.definition.index
    assert index is not None  # noqa: S101 - asked only where there is one
    found = items(source.of_index, text)
    each = [(cut(index.cut, facts.get("id", "")), facts.get("version", "")) for facts in found]
    return [(name, version) for name, version in each if name]


def value(source: Source, text: str, selector: str) -> str:
    """Read one value of a whole page, or "". Blocks: not for the event loop."""
    read = _VALUES.get(source.definition.kind)
    return read(source, text, selector) if read and selector else ""


def marks(source: Source, text: str) -> list[str] | None:
    """Read by what a page is known again whose items are but some of what it has; None: by its items. Blocks."""
    where = source.definition.listing.marks
    return json.values(source, text, where) if where and source.definition.kind == "json" else None


def cut(pattern: str, text: str) -> str:
    """Return what a regular expression keeps of a text: all of it without one, "" where it finds nothing."""
    return first(pattern, text) or "" if pattern else text


def body(source: Source, template: str, facts: Mapping[str, str]) -> str:
    """Fill the body of a POST: in JSON each value is quoted as JSON wants it, in a form as a form does."""
    if template.lstrip()[:1] not in ("{", "["):
        return source.fill(template, facts, partly=True)
    values = {**source.parameters, **facts, "base_url": source.base_url}
    return _NAMED.sub(lambda match: _quoted(values.get(match[1], "")) if match[1] in values else "", template)


_NAMED: Final = re.compile(r"\{([a-z_]+)\}")


def _quoted(text: Any) -> str:
    return standard.dumps(str(text))[1:-1]

"""HTML listings: BeautifulSoup and CSS selectors."""

import re
from collections.abc import Iterator
from typing import Final

import soupsieve
from bs4 import BeautifulSoup, Tag

from leakwatch.definitions import split_attribute
from leakwatch.errors import TooLarge
from leakwatch.fetch.listing import Facts
from leakwatch.fetch.source import Source

ACCEPT: Final = "text/html, application/xhtml+xml;q=0.9, */*;q=0.5"
# BeautifulSoup takes a hundred times a page's size in memory, and 30 µs for each tag: both are bounded.
MOST_BYTES: Final = 4_000_000
MOST_TAGS: Final = 100_000
# A selector climbs from each tag to the root, and looks through all that is in an item: items within items within
# items would take hours.
MOST_DEPTH: Final = 200
MOST_WITHIN: Final = 500_000  # tags and texts in all items together, counted in each item that they are in
_ENDS: Final = "br, p, div, li, tr, pre, blockquote"  # after which a line ends
_XML: Final = re.compile(r"<\?xml", re.IGNORECASE)


def read(source: Source, text: str) -> Iterator[Facts]:
    """Yield the facts of each item. Raises TooLarge for a page with more markup than a listing has."""
    definition = source.definition
    selectors = {name: _selector(where) for name, where in definition.fields.named().items()}
    within = 0
    for item in soupsieve.iselect(definition.listing.items, _parsed(source, text)):
        within += sum(1 for _ in item.descendants)
        if within > MOST_WITHIN:
            message = f"{source.name}: the listing's items ({definition.listing.items}) stand within one another"
            raise TooLarge(message, mend="let listing.items match each item alone, not what encloses it")
        found = ((name, selector(item, keep=name == "text")) for name, selector in selectors.items())
        yield {name: value for name, value in found if value}


def value(source: Source, text: str, selector: str) -> str:
    """Return what a selector finds first in the whole page, or ""."""
    return _selector(selector)(_parsed(source, text), keep=False)


def _parsed(source: Source, text: str) -> BeautifulSoup:
    """Return the page's tree. Raises TooLarge for one that would take too long to read, or to select from."""
    mend = "set listing.url to a shorter listing, or use the site's feed or API"
    if text.count("<") > MOST_TAGS or len(text) > MOST_BYTES:
        message = f"{source.name}: the listing has more than {MOST_TAGS:,} tags or {MOST_BYTES // 10**6} MB"
        raise TooLarge(message, mend=mend)
    # Where its declaration is none any more, an XHTML page is HTML to the parser, and not worth a warning. Its end is
    # not sought: a page can hold many beginnings, and none.
    soup = BeautifulSoup(_XML.sub("<?_", text), "lxml") if "<" in text else BeautifulSoup("", "lxml")
    depths = {id(soup): 0}
    for node in soup.descendants:
        depths[id(node)] = depth = depths[id(node.parent)] + 1
        if depth > MOST_DEPTH:
            raise TooLarge(f"{source.name}: the listing has tags more than {MOST_DEPTH} deep", mend=mend)
    return soup


def _whole(tag: Tag) -> str:
    """A tag's text with its lines: without them the end of one would be glued to the beginning of the next."""
    for end in tag.select(_ENDS):
        end.append("\n") if end.name != "br" else end.replace_with("\n")
    return tag.get_text()


class _selector:  # noqa: N801 - a compiled selector, called like the function that it is
    """One field's selector: called with an item it returns the text or attribute that it finds, or ""."""

    def __init__(self, where: str) -> None:
        css, self._attribute = split_attribute(where)
        self._css = None if css in ("", ".") else soupsieve.compile(css)

    def __call__(self, item: Tag, *, keep: bool) -> str:
        tag = item if self._css is None else self._css.select_one(item)
        if tag is None:
            return ""
        if not self._attribute:
            return _whole(tag) if keep else " ".join(tag.get_text().split())
        value = tag.get(self._attribute) or ""
        return value if isinstance(value, str) else " ".join(value)

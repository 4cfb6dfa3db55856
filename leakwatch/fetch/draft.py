"""A definition drafted from a page: what kind of listing it is, where its items stand, and what is in them.

A draft is a beginning. Whoever asked for it looks at what a poll yields and mends the selectors.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from bs4 import BeautifulSoup, Tag
from lxml import etree

from leakwatch.errors import EmptyListing
from leakwatch.fetch import html
from leakwatch.fetch.feed import parsed
from leakwatch.fetch.listing import absolute
from leakwatch.fetch.recording import quoted

_FEW: Final = 3  # links that look alike: fewer are no listing
_DEEP: Final = 4  # levels of JSON in which a list is looked for
_ROOTS: Final = {"rss": "feed", "rdf": "feed", "feed": "feed", "urlset": "sitemap", "sitemapindex": "sitemap"}
_FEEDS: Final = (
    'link[rel~="alternate"][type="application/rss+xml"], link[rel~="alternate"][type="application/atom+xml"]'
)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CLASS: Final = re.compile(r"[A-Za-z_][\w-]*")
_TELLING: Final = re.compile(r"\d|[A-Za-z0-9_-]{8,}$")
_NAMES: Final = {
    "id": ("id", "_id", "key", "uid", "guid", "slug", "no", "number"),
    "url": ("url", "link", "html_url", "web_url", "permalink", "href", "raw_url"),
    "title": ("title", "name", "subject", "filename", "file_name"),
    "author": ("author", "user", "username", "owner", "creator", "acct"),
    "published_at": ("created_at", "published_at", "created", "published", "date", "timestamp", "time", "updated_at"),
    "text": ("content", "body", "text", "comment", "raw"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a page seems to be."""

    kind: str
    url: str
    items: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    feeds: tuple[str, ...] = ()  # that the page names: mostly the better listing

    def toml(self, name: str) -> str:
        """Return it as a definition without samples."""
        parts = urlsplit(self.url)
        base = f"{parts.scheme}://{parts.netloc}"
        listing = self.url.removeprefix(base)
        lines = [
            f"# Drafted from {self.url}: look at what `leakwatch sources test {name}` yields, and mend the selectors.",
            *(
                f"# The page names a feed, mostly the better listing: leakwatch sources new {feed}"
                for feed in self.feeds
            ),
            f"name = {quoted(name)}",
            f"title = {quoted(parts.hostname or name)}",
            f"kind = {quoted(self.kind)}",
            f"base_url = {quoted(base)}",
            'verified = ""',
            'terms = ""  # what the site\'s terms and robots.txt say of reading it like this, and where',
            'abuse = ""  # who takes a document down there: mailto:… or a page',
            'every = "60s"',
            'rate = "1/s"',
            "",
            "[listing]",
            f"url = {quoted('{base_url}' + _literal(listing))}",
            *([f"items = {quoted(self.items)}"] if self.items else []),
        ]
        if self.fields:
            lines += ["", "[fields]", *(f"{fact} = {quoted(where)}" for fact, where in self.fields.items())]
        return "\n".join(lines) + "\n"


def draft(text: str, url: str) -> Draft:
    """Look at a page and say how its listing may be read. Blocks. Raises EmptyListing for one that has none."""
    head = text.lstrip()[:1]
    if head in ("{", "["):
        return _json(text, url)
    root = parsed(text) if head == "<" else None
    kind = "" if root is None else _ROOTS.get(etree.QName(root).localname.lower(), "")
    if kind:
        return Draft(kind=kind, url=url)
    return _html(text, url)


def _literal(path: str) -> str:
    """An address as a template: braces would be placeholders."""
    return path.replace("{", "%7B").replace("}", "%7D")


def _json(text: str, url: str) -> Draft:
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        raise _nothing(url) from None
    lists = [(path, items) for path, items in _lists(whole, "", _DEEP) if items and isinstance(items[0], dict)]
    if not lists:
        raise _nothing(url)
    path, items = max(lists, key=lambda found: len(found[1]))
    return Draft(kind="json", url=url, items=path or "@", fields=dict(_guessed(items[0])))


def _lists(value: Any, path: str, depth: int) -> Iterator[tuple[str, list[Any]]]:
    if isinstance(value, list):
        yield path, value
    elif isinstance(value, dict) and depth:
        for name, inside in value.items():
            yield from _lists(inside, f"{path}.{_step(name)}" if path else _step(name), depth - 1)


def _guessed(item: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for fact, names in _NAMES.items():
        for name in names:
            value = item.get(name)
            if isinstance(value, str | int) and not isinstance(value, bool):
                yield fact, _step(name)
                break
            inner = next(
                (n for n in ("name", "username", "login", "rendered") if isinstance(value, dict) and n in value), ""
            )
            if inner:
                yield fact, f"{_step(name)}.{inner}"
                break


def _step(name: str) -> str:
    return name if _NAME.fullmatch(name) else json.dumps(name)


def _html(text: str, url: str) -> Draft:
    if text.count("<") > html.MOST_TAGS:
        raise _nothing(url)
    soup = BeautifulSoup(text, "lxml")
    feeds = tuple(dict.fromkeys(absolute(str(link.get("href") or ""), url) for link in soup.select(_FEEDS)))
    groups: dict[str, list[Tag]] = defaultdict(list)
    for link in soup.select("a[href]"):
        if _is_inside(absolute(str(link["href"]), url), url) and link.get_text(strip=True):
            groups[_signature(link)].append(link)
    found = max(groups.values(), key=_score, default=[])
    if len({str(link["href"]) for link in found}) < _FEW:
        if feeds:
            return Draft(kind="feed", url=feeds[0])
        raise _nothing(url)
    item, within = _item(found)
    fields = {"id": f"{within}@href", "url": f"{within}@href", "title": within}
    if item.select_one("time[datetime]"):
        fields["published_at"] = "time@datetime"
    parent = item.parent
    above = f"{_named(parent)} > " if parent is not None and parent.name != "[document]" else ""
    return Draft(kind="html", url=url, items=f"{above}{_named(item)}", fields=fields, feeds=tuple(filter(None, feeds)))


def _item(links: list[Tag]) -> tuple[Tag, str]:
    """The largest element around a link that has none of the others in it, and the link's selector within it."""
    ours = {id(link) for link in links}
    link = item = links[0]
    while (parent := item.parent) is not None and parent.name not in ("body", "[document]"):
        if sum(id(one) in ours for one in parent.find_all("a")) > 1:
            break
        item = parent
    return (item, ".") if item is link else (item, _named(link))


def _score(links: list[Tag]) -> float:
    """How much a group of links looks like documents: many, and each telling something of its own."""
    targets = {str(link["href"]) for link in links}
    telling = sum(bool(_TELLING.search(urlsplit(target).path.rstrip("/"))) for target in targets)
    return len(targets) + 2.0 * telling


def _signature(link: Tag) -> str:
    above = [_named(parent) for parent in list(link.parents)[:3]]
    return " ".join([*reversed(above), _named(link)])


def _named(tag: Tag) -> str:
    """A tag with its first class that a selector can name."""
    name = next((c for c in tag.get_attribute_list("class") if c and _CLASS.fullmatch(c)), "")
    return f"{tag.name}.{name}" if name else tag.name


def _is_inside(address: str, url: str) -> bool:
    return urlsplit(address).netloc == urlsplit(url).netloc and address != url


def _nothing(url: str) -> EmptyListing:
    message = f"nothing at {urlsplit(url).hostname} looks like a listing"
    return EmptyListing(message, mend="try the address of its feed, its API, or its page of what is recent")

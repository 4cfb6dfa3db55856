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
from leakwatch.fetch.listing import absolute, moment
from leakwatch.fetch.recording import quoted

_FEW: Final = 3  # links that look alike: fewer are no listing
_DEEP: Final = 4  # levels of JSON in which a list is looked for
_ROOTS: Final = {"rss": "feed", "rdf": "feed", "feed": "feed", "urlset": "sitemap", "sitemapindex": "sitemap"}
_FEEDS: Final = (
    'link[rel~="alternate"][type="application/rss+xml"], link[rel~="alternate"][type="application/atom+xml"]'
)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CLASS: Final = re.compile(r"[A-Za-z_][\w-]*")
_TELLING: Final = re.compile(r"\d|[A-Za-z0-9_-]{8}$")
_AROUND: Final = ("nav", "header", "footer", "aside", "menu")
_ENTRY: Final = ("article", "main", "tr")  # what has a header of its own
_MENU: Final = re.compile(
    r"(?:^|[-_])(?:nav|navbar|menu|sidebar|header|footer|breadcrumbs?|pagination|pager|tabs)", re.IGNORECASE
)
_WHEN: Final = re.compile(r"date|time|ago|when|created|posted|published", re.IGNORECASE)
_LONGEST_TITLE: Final = 80
_NAMES: Final = {
    "id": ("id", "_id", "key", "uid", "uuid", "guid", "slug", "sha", "no", "number"),
    "version": ("revision", "version", "edited_at", "modified", "updated_at", "updated"),
    "url": ("url", "link", "html_url", "web_url", "permalink", "href", "uri", "raw_url"),
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
    title: str = ""  # what the page calls itself
    document: str = ""  # template of a document's address, where the listing does not say it
    undone: tuple[str, ...] = ()  # what only a person can find out, each as one sentence

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
            *(f"# TO DO: {one}" for one in self.undone),
            f"name = {quoted(name)}",
            f"title = {quoted(self.title or parts.hostname or name)}",
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
        if self.document:
            lines += ["", "[document]", f"url = {quoted(self.document)}  # TO DO: see above"]
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
    fields, undone = dict(_guessed(items[0])), []
    if not fields.keys() & {"id", "url"}:
        name = _unlike(items)
        undone.append(f"nothing in an item is called its id: is {name} right? Two documents must not share it.")
        fields = {"id": name, **fields}
    guess = ""
    if "text" in fields and "url" not in fields:
        undone.append("nothing says where a person finds a document: add document.page, with {id}.")
    if not fields.keys() & {"url", "text"}:
        guess = "{base_url}/{id}"
        undone.append("the list holds no address of a document: open one, and write its address into document.url.")
    return Draft(kind="json", url=url, items=path or "@", fields=fields, document=guess, undone=tuple(undone))


def _unlike(items: list[Any]) -> str:
    """The field in which items differ most."""
    named = {name for name, value in items[0].items() if isinstance(value, str | int)} or set(items[0])
    differ = {name: len({str(one.get(name)) for one in items if isinstance(one, dict)}) for name in sorted(named)}
    likely = [name for name in _NAMES["title"] if name in differ]
    return _step(max([*likely, *differ], key=lambda name: differ[name]))


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
            if isinstance(value, str | int | float) and not isinstance(value, bool):
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
    title = " ".join(soup.title.get_text().split())[:_LONGEST_TITLE] if soup.title else ""
    feeds = tuple(
        filter(None, dict.fromkeys(absolute(str(link.get("href") or ""), url) for link in soup.select(_FEEDS)))
    )
    groups: dict[str, list[Tag]] = defaultdict(list)
    for link in soup.select("a[href]"):
        if _is_inside(absolute(str(link["href"]), url), url) and link.get_text(strip=True):
            groups[_signature(link)].append(link)
    found = max(groups.values(), key=lambda links: _score(links, url), default=[])
    if len({str(link["href"]) for link in found}) < _FEW or (feeds and all(map(_is_menu, found))):
        if feeds:
            return Draft(kind="feed", url=feeds[0], title=title)
        raise _nothing(url)
    doubt = ("these links look like the site's menu: name those of its documents.",)
    item, within = _item(found)
    fields = {"id": f"{within}@href", "url": f"{within}@href", "title": within}
    if when := _when(item):
        fields["published_at"] = when
    return Draft(
        kind="html",
        url=url,
        items=_items(item, within),
        fields=fields,
        feeds=feeds,
        title=title,
        undone=doubt if all(map(_is_menu, found)) else (),
    )


def _items(item: Tag, within: str) -> str:
    """The selector of all items: those beside this one that hold a document's link."""
    parent, named = item.parent, _named(item)
    if parent is None or parent.name == "[document]":
        return named
    only = ""
    if within != "." and not all(one.select_one(within) for one in parent.find_all(item.name, recursive=False)):
        only = f":has({within})"  # a table's row of headings is no item
    return f"{_named(parent)} > {named}{only}"


def _when(item: Tag) -> str:
    """Where in an item its time stands, or ""."""
    if item.select_one("time[datetime]"):
        return "time@datetime"
    for tag in item.find_all(class_=_WHEN):
        selector = next((f"{tag.name}.{c}" for c in tag.get_attribute_list("class") if c and _WHEN.search(c)), "")
        if _CLASS.fullmatch(selector.partition(".")[2]) and moment(" ".join(tag.get_text().split())):
            return selector
    return ""


def _item(links: list[Tag]) -> tuple[Tag, str]:
    """The largest element around a link that has none of the others in it, and the link's selector within it."""
    ours = {id(link) for link in links}
    link = item = links[0]
    while (parent := item.parent) is not None and parent.name not in ("body", "[document]"):
        if sum(id(one) in ours for one in parent.find_all("a")) > 1:
            break
        item = parent
    return (item, ".") if item is link else (item, _named(link))


def _score(links: list[Tag], url: str) -> tuple[bool, float]:
    """How much a group of links looks like documents: no menu, many, and each telling something of its own."""
    targets = {str(link["href"]) for link in links}
    page = urlsplit(url).path.rstrip("/")
    paths = {path for target in targets if (path := urlsplit(absolute(target, url)).path.rstrip("/")) != page}
    telling = sum(bool(_TELLING.search(path)) for path in paths)  # the page again, sorted otherwise, tells nothing
    return len(targets) >= _FEW and not all(map(_is_menu, links)), len(targets) + 2.0 * telling


def _is_menu(link: Tag) -> bool:
    """Whether a link is one of a site's own ways about."""
    for one in (link, *link.parents):
        if one.name in (*_ENTRY, "body"):
            return False
        words = (*one.get_attribute_list("class"), one.get("id") or "")
        if one.name in _AROUND or any(_MENU.search(str(word)) for word in words):
            return True
    return False


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
    mend = "try its feed, its API or its page of what is recent; or write it by hand: see CONTRIBUTING.md"
    return EmptyListing(message, mend=mend)

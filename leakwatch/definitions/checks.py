"""What can be wrong with a definition beyond the types of its settings, each with the place where it stands."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

import jmespath
import soupsieve
from jmespath.exceptions import JMESPathError
from soupsieve import SelectorSyntaxError

from leakwatch.definitions.expressions import groups
from leakwatch.definitions.model import Described, Open
from leakwatch.definitions.templates import placeholders, split_attribute
from leakwatch.units import seconds

Wrong = tuple[tuple[str | int, ...], str]
"""The path of a setting, and what is wrong with it."""

_Selectors = dict[tuple[str | int, ...], str]

_SELECTED: Final = ("html", "json")
_BUILT_IN: Final = frozenset({"base_url", "host", "index", "page", "cursor", "since", "token", "word", "from", "to"})
_FACTS: Final = frozenset({"id", "version", "url", "title", "author", "path", "published_at", "commit"})
_PARENT: Final = frozenset({"parent", "parent_title"})
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_PLACES: Final = frozenset({"repository", "commit", "path", "id"})


def wrong(definition: Described) -> Sequence[Wrong]:
    """Return everything that is wrong with a definition whose settings are each of their type."""
    looks = (
        _incomplete,
        _unselected,
        _contradictory,
        _unsearchable,
        _unreadable,
        _uncut,
        _unknown,
        _unopened,
        _uncaught,
        _untold,
    )
    return [one for look in looks for one in look(definition)]


def _incomplete(definition: Described) -> Iterator[Wrong]:
    kind, listing, document = definition.kind, definition.listing, definition.document
    if kind == "urls" and not (listing.url or definition.urls):
        yield ("urls",), "is missing: name the addresses, or in listing.url a text that does"
    if kind not in ("urls", "folder", "git") and not listing.url:
        yield ("listing", "url"), "is missing: say where new documents are announced"
    if kind == "walk" and not listing.items:
        yield ("listing", "items"), "is missing: a regular expression whose one group is the newest number"
    if kind == "walk" and not document.url:
        yield ("document",), "url is missing: say where document {id} is fetched"


def _unselected(definition: Described) -> Iterator[Wrong]:
    kind, listing, fields = definition.kind, definition.listing, definition.fields
    if kind not in _SELECTED:
        return
    if not listing.items:
        yield ("listing", "items"), f"is missing: a {kind} listing needs to know where its items are"
    if not (fields.id or fields.url):
        yield ("fields",), "id or url is missing: a document needs an identity"
    if not (definition.document.url or fields.url or fields.text):
        yield (
            ("document",),
            "url is missing: say where the text is fetched, or fields.text where the item carries it",
        )


def _contradictory(definition: Described) -> Iterator[Wrong]:
    listing, pages, index = definition.listing, definition.listing.pages, definition.index
    if pages and pages.by == "cursor" and not pages.cursor:
        yield ("listing", "pages"), "cursor is missing: say where in a page the next one's cursor stands"
    if pages and pages.by == "number" and "page" not in placeholders(pages.url or f"{listing.url} {listing.body}"):
        yield ("listing", "pages"), "{page} stands neither in pages.url nor in listing.url"
    if index and not _is_used("index", definition):
        yield ("index",), "{index} does not stand in listing.url"
    if listing.since and not _is_used("since", definition):
        yield ("listing", "since"), "{since} does not stand in listing.url"
    if listing.since and bool(listing.since.ask) != bool(listing.since.answer):
        yield ("listing", "since"), "ask and answer belong together"
    if listing.body and listing.method != "POST":
        yield ("listing", "body"), 'is sent with method = "POST" only'
    if definition.token and "token" not in placeholders(definition.token.form):
        yield ("token", "form"), "{token} does not stand in it"
    if taken := _BUILT_IN | _FACTS & definition.parameters.keys():
        for name in sorted(taken & definition.parameters.keys()):
            yield ("parameters", name), "is taken: give it another name"


def _unsearchable(definition: Described) -> Iterator[Wrong]:
    search = definition.search
    if search is None:
        return
    if definition.kind not in _SELECTED or definition.index or definition.listing.since:
        yield ("search",), "goes with a json or html listing, without index and since"
    if definition.listing.pages and definition.listing.pages.by != "number":
        yield ("listing", "pages", "by"), 'is "number" where a site is searched'
    wanted = ("word", "from", "to") if search.window else ("word",)
    if missing := [name for name in wanted if not _is_used(name, definition)]:
        yield ("search",), f"{{{missing[0]}}} does not stand in listing.url"
    if search.window == "number" and not (_NUMBER.fullmatch(search.first) and _NUMBER.fullmatch(search.last)):
        yield ("search", "first"), "and last are numbers of up to 18 digits"
    if search.rate and not (definition.token and definition.token.required):
        yield ("search", "rate"), "is each token's: say [token], or write `rate` of the whole definition"
    if search.window == "time":
        try:
            seconds(search.first)
        except ValueError as error:
            yield ("search", "first"), str(error)


def _unopened(definition: Described) -> Iterator[Wrong]:
    opens, opening = definition.document.opens, definition.open
    if (opens == "listing") != (opening is not None):
        yield ("open",), 'and document.opens = "listing" belong together'
    if opening and opening.document.opens == "listing":
        yield ("open", "document", "opens"), "is no listing again: a page is opened once"
    if opening and opening.kind != "feed" and not opening.items:
        yield ("open", "items"), "is missing: say where in the page its items are"


def _uncaught(definition: Described) -> Iterator[Wrong]:
    catchup, listing = definition.catchup, definition.listing
    if catchup is None:
        return
    if definition.index or listing.since or definition.kind not in ("html", "json", "feed"):
        yield ("catchup",), "is for a plain listing: html, json or feed, without index and since, which have no gaps"
    if not catchup.document.url:
        yield ("catchup", "document"), "url is missing: say where the item {id} is fetched"
    if catchup.document.opens == "listing" and not definition.open:
        yield ("catchup", "document", "opens"), "needs [open]: how the page is read"


def _untold(definition: Described) -> Iterator[Wrong]:
    push = definition.push
    if push is None:
        return
    if definition.kind in ("folder", "urls", "walk", "sitemap"):
        yield ("push",), "is for a site that lists: html, json, feed or git"
    if not push.fields.version:
        yield ("push", "fields"), "version is missing: without it nothing tells a change from what is known"
    if not (push.fields.id or push.fields.url):
        yield ("push", "fields"), "id or url is missing: a document needs an identity"
    if push.fields.text:
        yield ("push", "fields", "text"), "is not taken from a push: what it names is fetched"
    if push.prefix and push.check == "secret":
        yield ("push", "prefix"), 'is for check = "hmac-sha256"'


def _opening(opening: Open) -> _Selectors:
    selectors: _Selectors = {("open", "fields", name): where for name, where in opening.fields.named().items()}
    return selectors | {("open", name): getattr(opening, name) for name in ("items", "each", "withheld")}


def _is_used(name: str, definition: Described) -> bool:
    return name in placeholders(f"{definition.listing.url} {definition.listing.body}")


def _unreadable(definition: Described) -> Iterator[Wrong]:
    selectors: _Selectors = {("fields", name): where for name, where in definition.fields.named().items()}
    listing, index = definition.listing, definition.index
    selectors |= {("listing", name): getattr(listing, name) for name in ("items", "each", "marks", "wait", "quota")}
    if listing.pages:
        selectors["listing", "pages", "cursor"] = listing.pages.cursor
    if listing.since:
        selectors["listing", "since", "answer"] = listing.since.answer
    if definition.search:
        selectors |= {("search", name): getattr(definition.search, name) for name in ("total", "partial")}
    if definition.push:
        told: _Selectors = {("push", "fields", n): where for n, where in definition.push.fields.named().items()}
        yield from _misunderstood("json", {**told, ("push", "items"): definition.push.items})
    if definition.open:
        yield from _misunderstood(definition.open.kind, _opening(definition.open))
    yield from _misunderstood(definition.kind, selectors)
    if index:
        own: _Selectors = {("index", name): getattr(index, name) for name in ("items", "id", "version")}
        yield from _misunderstood(index.kind or definition.kind, own)


def _misunderstood(kind: str, selectors: _Selectors) -> Iterator[Wrong]:
    understood = {"html": _understood_css, "json": _understood_jmespath}.get(kind)
    for where, selector in selectors.items():
        if understood and selector and (why := understood(selector)):
            yield where, why


def _uncut(definition: Described) -> Iterator[Wrong]:
    patterns: _Selectors = {("cut", name): pattern for name, pattern in definition.cut.named().items()}
    if definition.index:
        patterns["index", "cut"] = definition.index.cut
    if definition.kind == "walk":
        patterns["listing", "items"] = definition.listing.items
    if definition.catchup:
        patterns["catchup", "newest"] = definition.catchup.newest
    if definition.push:
        patterns |= {("push", "cut", name): pattern for name, pattern in definition.push.cut.named().items()}
    if definition.open:
        patterns |= {("open", "cut", name): pattern for name, pattern in definition.open.cut.named().items()}
    for where, pattern in patterns.items():
        try:
            count = groups(pattern)
        except ValueError as error:
            yield where, f"is not a regular expression of RE2's: {error}"
        else:
            if count != 1 and (pattern or where == ("catchup", "newest")):
                yield where, "needs one group: (…) around what is kept"


def _unknown(definition: Described) -> Iterator[Wrong]:
    own = {"base_url", *definition.parameters}
    listed = own | {"since", "page"} | ({"index"} if definition.index else set())
    listed |= {"word", "from", "to"} if definition.search else set()
    facts = own | _FACTS | ({"index"} if definition.index else set())
    listing, document, pages = definition.listing, definition.document, definition.listing.pages
    opened = own | _FACTS | _PARENT
    templates: list[tuple[tuple[str, ...], str, set[str]]] = [
        (("listing", "url"), listing.url, listed),
        (("listing", "body"), listing.body, listed),
        (("document", "url"), document.url, facts),
        (("document", "page"), document.page, facts),
        (("document", "file"), document.file, own | _PLACES),
        (("document", "commit"), document.commit, own | _PLACES),
        (("abuse",), definition.abuse, {"host"}),
    ]
    if definition.open:
        templates.append((("open", "document", "url"), definition.open.document.url, opened))
        templates.append((("open", "document", "page"), definition.open.document.page, opened))
    if definition.catchup:
        place = definition.catchup.document
        templates.append((("catchup", "url"), definition.catchup.url, own))
        templates.append((("catchup", "document", "url"), place.url, own | {"id", "version"}))
        templates.append((("catchup", "document", "page"), place.page, own | {"id", "version"}))
    if pages:
        templates.append((("listing", "pages", "url"), pages.url, listed | {"cursor"}))
    if listing.since:
        templates.append((("listing", "since", "ask"), listing.since.ask, own))
    if definition.token:
        templates.append((("token", "app"), definition.token.app, {"base_url", "installation"}))
    if definition.index:
        templates.append((("index", "url"), definition.index.url, own))
    for where, template, known in templates:
        for placeholder in placeholders(template):
            if placeholder not in known and not (where[-1] == "body" and placeholder == "cursor"):
                yield where, f"{{{placeholder}}} is not known here: use {', '.join(sorted(known))}"


def _understood_css(selector: str) -> str:
    css, _ = split_attribute(selector)
    try:
        if css not in ("", "."):
            soupsieve.compile(css)
    except (SelectorSyntaxError, NotImplementedError) as error:  # the latter for ::pseudo-elements and @rules
        return f"is not a CSS selector: {str(error).splitlines()[0]}"
    return ""


def _understood_jmespath(expression: str) -> str:
    try:
        jmespath.compile(expression)
    except JMESPathError as error:
        return f"is not JMESPath: {str(error).splitlines()[0]}"
    return ""

"""One kind of site, as a definition says it: every table and setting that a TOML file may hold."""

from typing import Annotated, Literal

from pydantic import Field

from leakwatch.toml import Strict
from leakwatch.units import Duration, QuietHours, RateField, Size
from leakwatch.values import Header, HeaderValue, Host, Site

Kind = Literal["html", "json", "feed", "sitemap", "walk", "urls", "folder", "git"]
Quiet = QuietHours
Name = Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,31}$")]


class Pages(Strict):
    """How a listing goes on, until what the last poll saw is reached again, or `most` pages were read."""

    by: Literal["number", "cursor", "link"]
    url: str = ""  # number, cursor: template of a further page, with {page} or {cursor}; "": listing.url
    first: Annotated[int, Field(ge=0)] = 1  # number: what the first page is called
    step: Annotated[int, Field(ge=1)] = 1  # number: 50 where a site counts items and shows 50 of them
    cursor: str = ""  # cursor: where in the page it stands; link: where the next page's address stands, "": Link header
    most: Annotated[int, Field(ge=1, le=200)] = 5


class Since(Strict):
    """What {since} in listing.url becomes: the greatest value that an earlier poll has seen.

    A listing that is asked so answers with what is new alone.
    """

    field: Literal["published_at", "id", "version"] = "published_at"
    form: Literal["iso", "epoch", "epoch_ms", "value"] = "iso"  # value: as it stands in the listing
    first: str = ""  # what the first poll says: a duration ("1h" ago) for a time, else the value itself
    overlap: Duration | None = None  # a time: so much earlier, for what came late
    ask: str = ""  # template of the address at which the first poll asks for the value to begin with
    answer: str = ""  # json: where in the answer it stands


class Listing(Strict):
    """Where new documents are announced, and where one announcement ends and the next begins."""

    url: str = ""  # template: {base_url}, parameters, {since}, {page}, {index}, {word}, {from}, {to}
    items: str = ""  # html: CSS selector; json: JMESPath to a list; walk: regular expression of a number; else not used
    method: Literal["GET", "POST"] = "GET"
    body: str = ""  # of a POST: template like url; JSON if it begins with { or [, else a form
    may_be_empty: bool = False  # false: nothing found is an error, never a quiet day
    conditional: bool = True  # false: what the site calls "not modified" cannot be believed, so it is never asked
    each: str = ""  # json: JMESPath from an item to its several documents; fields then read [item, one of them]
    marks: str = (
        ""  # json: JMESPath to the ids of all that a page has, where `items` leaves out: by these a gap is told
    )
    order: Literal["newest_first", "oldest_first", "none"] = "newest_first"  # of the items on a page
    pages: Pages | None = None
    since: Since | None = None
    wait: str = ""  # json: where the site says for how many seconds it is to be left alone
    quota: str = ""  # json: where it says how many requests are left


class Index(Strict):
    """A listing of listings: each of its items is read by `listing`, in whose url {index} is the item's id."""

    url: str  # template: {base_url} and parameters
    kind: Literal["html", "json", "feed", ""] = ""  # "": the definition's own
    items: str = ""  # as in listing
    id: str  # where in an item its id stands
    cut: str = ""  # a regular expression whose one group is what is kept of the id
    version: str = ""  # what changes when the item has something new; without it all are read, in turns
    may_be_empty: bool = False  # false: an index that names nothing is an error
    most: Annotated[int, Field(ge=1, le=500)] = 20  # listings that one poll reads; the others wait for the next


class Search(Strict):
    """A site that is searched: the listing answers one {word} after another, each once in a pass, and then again.

    A word with more results than a site pages through is searched for in windows, {from} and {to}, that are halved.
    """

    words: Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(min_length=1, max_length=2000)]
    window: Literal["", "number", "time"] = ""  # what {from} and {to} are: "": there are none
    first: str = ""  # number: the least; time: a duration, so long ago
    last: str = ""  # number: the greatest; time: now, always
    most: Annotated[int, Field(ge=1)] = 1000  # results that a site pages through
    total: str = ""  # json: where a page says how many results there are
    partial: str = ""  # json: where it says that not all was looked at: told as a gap
    requests: Annotated[int, Field(ge=1, le=100)] = 50  # of one poll
    rate: RateField | None = None  # of each token, whatever the answers say of limits; None: as they and `rate` say


class Walk(Strict):
    """Documents that are numbered one by one: the listing says which is the newest."""

    first: Annotated[int, Field(ge=0)] = 100  # how far back the first poll begins
    most: Annotated[int, Field(ge=1, le=10_000)] = 500  # documents of one poll; the others wait for the next


class Fields(Strict):
    """Where in an item each fact stands.

    html: a CSS selector, with ``@name`` at its end for an attribute, ``.`` for the item itself; json:
    JMESPath; feed: a child of the entry by name (``link``, ``dc:creator``, …), with defaults that fit RSS and
    Atom.
    """

    id: str = ""
    version: str = ""
    url: str = ""  # made absolute against the listing's address
    page: str = ""  # where a person looks at it, made absolute as well
    title: str = ""
    author: str = ""
    path: str = ""
    published_at: str = ""
    commit: str = ""  # of a repository: commits to look for besides what its refs name, with spaces between
    text: str = ""  # the document itself, where the listing carries it whole
    size: str = ""  # its bytes: over max_bytes it is not fetched, but told as too_large; without it, it is cut there

    def named(self) -> dict[str, str]:
        """Return the facts that the definition says where to find."""
        return {name: where for name, where in self if where}


class DocumentPlace(Strict):
    """Where a document's text is fetched and where a person looks at it.

    Templates of {base_url}, the parameters and the fields. A field's value is quoted for a path; {url} is an address
    already.
    """

    url: str = ""  # "": the field `url`
    page: str = ""  # "": the same as `url`
    accept: HeaderValue = "*/*"  # what it is asked for as
    opens: Literal["", "git", "listing"] = ""  # "": a text; git: a repository; listing: a page that `open` reads
    file: str = ""  # of a repository: where a person looks at a file; template of {repository}, {commit} and {path}
    commit: str = ""  # where at a commit; template of {repository} and {commit}


class Open(Strict):
    """How a page is read that is no document but names some: a package's versions, a push's changes.

    `{parent}` and `{parent_title}` are what the listing said of the page.
    """

    kind: Literal["html", "json", "feed"] = "json"
    items: str = ""  # as in listing, as the next
    each: str = ""
    withheld: str = ""  # json: how many documents the page does not show, though they are there: counted as missed
    fresh: Duration | None = None  # what was published so long before the newest is left alone
    most: Annotated[int, Field(ge=1)] | None = None  # documents to fetch of one page, the likely first; None: all
    fields: Fields = Fields()
    cut: Fields = Fields()
    document: DocumentPlace = DocumentPlace()


class CatchUp(Strict):
    """A list of all that there is, as JSON, by which is found what a gap swallowed.

    In each item stands a number that grows with every change anywhere. What has a greater one than was seen is opened
    or fetched, as `document` says.
    """

    url: str  # template of {base_url} and the parameters
    accept: HeaderValue = "application/json"
    items: str  # the name of the array: a member of the whole
    id: str  # the name of the member of an item that is its id
    serial: str  # that of its number
    newest: str  # a regular expression whose one group, in the first 4,096 bytes, is the greatest number of all
    every: Duration = 3600.0  # it is asked at most so often, and whole only after a gap
    most: Annotated[int, Field(ge=1, le=10_000)] = 5_000  # items of one poll; the others wait for the next
    max_bytes: Size = 100_000_000  # of the whole, decompressed
    document: DocumentPlace = DocumentPlace()


class Push(Strict):
    """How the site itself tells what has changed, by a POST to /hooks/NAME: what is checked, and what it names.

    The secret comes from the source's `push_secret_file`. Where what is named lies, `document` says as of a listing's.
    """

    header: Header  # that carries the secret, or the signature
    check: Literal["secret", "hmac-sha256"] = "secret"  # hmac-sha256: of the body under the secret, in hexadecimal
    prefix: str = ""  # what stands before a signature: "sha256="
    items: str  # JMESPath from the JSON that is sent to a list of what has changed
    fields: Fields  # JMESPath; what has no version cannot be told from what is known, and has the source polled
    cut: Fields = Fields()


class Token(Strict):
    """A secret that the site wants to see: its value comes from the source's `token_file`, never from here.

    It goes to the base URL's host and to no other.
    """

    header: Header
    form: HeaderValue = "{token}"  # "Bearer {token}"
    required: bool = True  # false: the site answers without, if less
    app: str = ""  # where a GitHub App's installation gives one; template: {base_url}, {installation}; "": nowhere


class Expected(Strict):
    """What a sample must yield for one document; facts that are not named are not compared."""

    id: str | None = None
    version: str | None = None
    url: str | None = None
    page: str | None = None
    title: str | None = None
    author: str | None = None
    path: str | None = None
    published_at: str | None = None  # ISO 8601
    commit: str | None = None
    text: str | None = None


class Sample(Strict):
    """A listing as it was seen or as documents say it looks, and the documents that it must yield."""

    origin: Literal["recorded", "constructed"]
    source: Annotated[str, Field(min_length=1)]  # from what, and when
    base_url: Site = "https://site.example"
    body: str
    of: Literal["listing", "index", "open", "push"] = "listing"  # index: expect's ids are those of the listings
    index: str = ""  # of a listing: what the index calls it
    parent: str = ""  # of a page that is opened: what the listing calls it
    expect: list[Expected]


class Described(Strict):
    """One kind of site, as far as each setting is right by itself; `Definition` is one that is right as a whole."""

    name: str
    title: str  # what a person calls it
    kind: Kind
    base_url: Site = ""  # "": the configuration says which instance
    verified: str = ""  # what it was really run against, and when; "": nothing
    notes: str = ""  # oddities
    terms: str = ""  # what the site's terms and robots.txt say of reading it like this, and where
    abuse: str = ""  # who takes a document down there: mailto:… or a page; template: {host}
    takedown: str = ""  # what they want to be told, or how
    enabled: bool = True  # false: terms are unclear, so that a source needs `enabled = true` to be watched
    every: Duration = 60.0
    fastest: Duration | None = None  # how often a busy source is polled at most; None: `every`
    slowest: Duration | None = None  # how seldom a quiet one, at least; None: `every`
    quiet: Quiet = ""  # hours of the day in which it is left alone: "22:00-06:00", in UTC
    rate: RateField | None = None  # None, as the next two: the configuration's
    concurrency: Annotated[int, Field(ge=1, le=1000)] | None = None
    max_bytes: Size | None = None
    hosts: list[Host] = []  # where documents may be fetched as well
    headers: dict[Header, HeaderValue] = {}
    parameters: dict[Name, str] = {}  # what templates use besides; "": the source has to say it
    token: Token | None = None
    urls: list[str] = []  # urls: the addresses to look at; or listing.url names a text with one on each line
    listing: Listing = Listing()
    index: Index | None = None
    search: Search | None = None
    walk: Walk = Walk()
    fields: Fields = Fields()
    cut: Fields = Fields()  # for a fact: a regular expression whose one group is what is kept of it
    document: DocumentPlace = DocumentPlace()
    open: Open | None = None
    catchup: CatchUp | None = None
    push: Push | None = None
    frontier: Annotated[int, Field(ge=1)] | None = None  # documents that may wait; more are missed; None: all wait
    samples: Annotated[list[Sample], Field(alias="sample", min_length=1)]

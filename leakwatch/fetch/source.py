"""A source: a definition joined with what the configuration says of this place."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

from yarl import URL

from leakwatch import definitions
from leakwatch.config import Config, SecretProblem, SourceConfig
from leakwatch.definitions import Definition, OverrideError, fill, placeholders
from leakwatch.errors import ConfigError, SecretError
from leakwatch.fetch import windows
from leakwatch.fetch.apps import App, private_key
from leakwatch.model import Reference, Via, now
from leakwatch.toml import Problem, Problems, line_of
from leakwatch.units import Rate

_IN_PATH = "/:@!$&'()*+,;=~"  # what a field's value keeps when it becomes part of an address
_OURS = "/:@,~"  # what a parameter, a cursor or an index's id keeps: it may stand in a query
_CAPTURED = {"url": ".+", "path": ".+"}
_SEGMENT = r"[^/?&#]+"  # what any other fact is, where it stands in an address: a few of them must not be ambiguous
_WEB_PORTS = (80, 443)
_ONE_BY_ONE = frozenset({"index", "page", "cursor", "since", "word", "from", "to", "commit", "repository"})


@dataclass(frozen=True, kw_only=True)
class Canary:
    """A document that must still be found, with the key in it."""

    url: str
    digest: str  # as customers write theirs
    every: float  # seconds


@dataclass(frozen=True, kw_only=True)
class Source:
    """A place that we poll, with everything that a poll needs to know."""

    name: str
    definition: Definition
    base_url: str
    every: float  # seconds between two polls
    rate: Rate  # of requests, shared with all sources on the host
    concurrency: int  # requests at once
    max_bytes: int  # of a document, decompressed
    fastest: float = 0.0  # seconds between two polls of a busy source; 0: `every`
    slowest: float = 0.0  # seconds between two polls of a quiet one; 0: `every`
    quiet: str = ""  # hours in which it is left alone
    parameters: Mapping[str, str] = field(default_factory=dict)
    observe: bool = False  # record findings, hold their notices
    backlog: Literal["scan", "skip"] = "scan"  # what the first poll does with what is there already
    robots: Literal["obey", "ignore"] = "obey"  # ignore: the site is the operator's own, or has allowed it
    proxy: str = ""  # the way there; "": directly
    proxy_password: str = field(default="", repr=False)  # of the user that the proxy's address names
    token: str = field(default="", repr=False)  # what the site wants to see of us
    apps: tuple[App, ...] = ()  # GitHub Apps, whose tokens share the work of those
    push_secrets: tuple[str, ...] = field(
        default=(), repr=False
    )  # of which the site must know one that tells us of news
    abuse: str = ""  # who takes a document down there
    canary: Canary | None = None

    @property
    def pace(self) -> tuple[float, float]:
        """Seconds between two polls: the fewest and the most."""
        return min(self.fastest or self.every, self.every), max(self.slowest or self.every, self.every)

    @cached_property
    def whence(self) -> str:
        """What documents come from: under another base URL or other parameters the same id is another document."""
        return "\n".join((self.base_url.rstrip("/"), *(f"{k}={v}" for k, v in sorted(self.parameters.items()))))

    @cached_property
    def listing_url(self) -> str:
        """Where new documents are announced: the first page, the first time."""
        definition = self.definition
        if definition.index:
            return self.fill(definition.index.url, {})
        pages = definition.listing.pages
        searched = windows.first(definition.search, now()) if definition.search else {}
        return self.fill(definition.listing.url, {"page": str(pages.first) if pages else "", **searched}, partly=True)

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """The tokens that share what is asked of the site, one on each line of their file."""
        return tuple(dict.fromkeys(filter(None, map(str.strip, self.token.splitlines()))))

    @property
    def is_known_there(self) -> bool:
        """Whether the site is shown a token."""
        return bool(self.tokens or self.apps)

    def headers_with(self, secret: str) -> Mapping[str, str]:
        """Return what the base URL's host is sent, one of the tokens included."""
        token = self.definition.token
        shown = {token.header: fill(token.form, {"token": secret})} if token and secret else {}
        return {**self.definition.headers, **shown}

    def app_url(self, app: App) -> str:
        """Return where an App's installation gives its tokens."""
        token = self.definition.token
        assert token is not None  # noqa: S101 - a source has no App without
        return fill(token.app, {"base_url": self.base_url.rstrip("/"), "installation": app.installation})

    @cached_property
    def origins(self) -> frozenset[tuple[str, int]]:
        """The hosts and ports that we fetch from."""
        named = [URL(f"http://{host}") for host in self.definition.hosts]
        listed = [URL(url) for url in self.definition.urls]
        bases = [URL(self.base_url), *named]
        ports = ((url.host or "", port) for url in bases for port in _WEB_PORTS)
        own = ((url.host or "", url.port or 80) for url in (*bases, *listed))
        return frozenset({*ports, *own})

    def allows(self, url: URL) -> bool:
        """Whether an address is on one of the source's own hosts."""
        return url.scheme in ("http", "https") and (url.host or "", url.port or 0) in self.origins

    def path_of(self, url: URL) -> str:
        """Return an address's path as the site's API knows it: below the base URL's."""
        return url.path.removeprefix(URL(self.base_url).path.rstrip("/"))

    @cached_property
    def home(self) -> frozenset[URL]:
        """The origins that get the definition's headers: the base URL's, and its HTTPS."""
        base = URL(self.base_url)
        return frozenset({base.origin(), URL.build(scheme="https", host=base.host or "")})

    @cached_property
    def of_index(self) -> "Source":
        """What reads the index, as if it were a listing of its own."""
        return replace(self, definition=self.definition.of_index)

    def text_url(self, shown: str) -> str:
        """Return where the text is fetched of a document that is shown at an address; "" where that cannot be told.

        It cannot be told where the text came in the listing, where it came out of something that was opened, or where
        the two addresses have too little in common.
        """
        definition = self.definition
        place, said = definition.document, definition.fields
        if definition.kind in ("folder", "git") or (definition.kind == "feed" and not place.url):
            return ""
        if said.text or place.opens or (said.page and not place.page):
            return ""
        if not place.page or not place.url:
            return shown
        known = {"base_url": self.base_url.rstrip("/"), **self.parameters}
        pattern, named = "", set[str]()
        for part in re.split(r"(\{[a-z_]+\})", place.page):
            name = part[1:-1] if part[:1] == "{" else ""
            if name and name not in known:
                pattern += f"(?P={name})" if name in named else f"(?P<{name}>{_CAPTURED.get(name, _SEGMENT)})"
                named.add(name)
            else:
                pattern += re.escape(known.get(name, part))
        found = re.fullmatch(pattern, shown)
        if found is None:
            return ""
        facts = {name: value if name == "url" else unquote(value) for name, value in found.groupdict().items()}
        return self.fill(place.url, facts)

    @cached_property
    def of_open(self) -> "Source":
        """What reads a page that a document turned out to be, as if it were a listing of its own."""
        return replace(self, definition=self.definition.of_open)

    def accept(self, reference: Reference) -> str:
        """Return what a document is asked for as, or a page that is to be opened."""
        definition = self.definition
        is_within = definition.document.opens == "listing" and reference.via is Via.PAGE
        return ((definition.open if is_within else None) or definition).document.accept

    @cached_property
    def of_catchup(self) -> "Source":
        """What names the items of the list that is read after a gap, as if it were a listing of its own."""
        return replace(self, definition=self.definition.of_catchup)

    @cached_property
    def of_push(self) -> "Source":
        """What reads a push, as if it were a listing of its own."""
        return replace(self, definition=self.definition.of_push)

    def fill(self, template: str, facts: Mapping[str, str], *, partly: bool = False) -> str:
        """Put the base URL and an item's facts into a template; "" where a fact that it needs is missing.

        With `partly` what is missing becomes nothing: a first poll has no cursor.
        """
        if template == "{base_url}":
            return self.base_url  # as it was written: to a feed's address a final slash can belong
        known = {**self.parameters, **facts}
        if not partly and any(name != "base_url" and not known.get(name) for name in placeholders(template)):
            return ""
        kept = _ONE_BY_ONE | self.parameters.keys()
        wanted = known.keys() & set(placeholders(template))
        # JSON can hold half a surrogate pair, which no address can: it becomes a question mark.
        values = {n: quote(known[n], safe=_OURS if n in kept else _IN_PATH, errors="replace") for n in wanted}
        return fill(template, {**values, "base_url": self.base_url.rstrip("/"), "url": facts.get("url", "")})


def resolve(config: Config) -> list[Source]:
    """Return the sources that are enabled. Raises Problems with every one that cannot be watched, and why."""
    sources: list[Source] = []
    problems: dict[Problem, None] = {}  # a definition used twice is wrong once
    for index, entry in enumerate(config.sources):
        if entry.enabled is False:
            continue
        try:
            if (source := _join(entry, config, index)) is not None:
                sources.append(source)
        except ConfigError as error:
            problems.update(dict.fromkeys(_problems(error, config, index)))
    if problems:
        raise Problems(list(problems))
    return sources


def disabled(config: Config) -> list[tuple[str, str]]:
    """Return the sources that are not watched, each with why. Raises ConfigError."""
    found = []
    for entry in config.sources:
        definition = definitions.load(definitions.find(entry.use, config.definitions_folder), entry.override)
        if entry.enabled is False:
            found.append((entry.key, "enabled = false"))
        elif entry.enabled is None and not definition.enabled:
            why = f"read what `leakwatch sources show {entry.key}` says of its terms, then write enabled = true"
            found.append((entry.key, why))
    return found


def _join(entry: SourceConfig, config: Config, index: int) -> Source | None:
    """Return the source, or None for one that its definition leaves to the operator."""
    definition = definitions.load(definitions.find(entry.use, config.definitions_folder), entry.override)
    if not (definition.enabled if entry.enabled is None else entry.enabled):
        return None
    base_url = entry.base_url or definition.base_url
    http, token, password = config.http, config.token(index), config.proxy_password(index)
    if password and not urlsplit(entry.proxy or "").username:
        mend = 'name the user whose it is: proxy = "http://user@host:3128"'
        raise ConfigError("a proxy password without a user", mend=mend)
    _check(entry, definition, base_url, token)
    host = urlsplit(base_url).hostname or ""
    canary = entry.canary
    return Source(
        name=entry.key,
        definition=definition,
        base_url=base_url,
        every=entry.every or definition.every,
        fastest=entry.fastest or (definition.fastest if entry.every is None else None) or 0.0,
        slowest=entry.slowest or (definition.slowest if entry.every is None else None) or 0.0,
        quiet=definition.quiet if entry.quiet is None else entry.quiet,
        parameters={**definition.parameters, **entry.parameters},
        rate=entry.rate or definition.rate or http.rate,
        concurrency=entry.concurrency or definition.concurrency or http.concurrency,
        max_bytes=entry.max_bytes or definition.max_bytes or http.max_bytes,
        observe=entry.observe,
        backlog=entry.backlog,
        robots=entry.robots,
        proxy=entry.proxy or "",
        proxy_password=password,
        token=token,
        apps=_apps(entry, config, index),
        push_secrets=config.push_secrets(index),
        abuse=entry.abuse or fill(definition.abuse, {"host": host}),
        canary=None if canary is None else Canary(url=canary.url, digest=canary.digest, every=canary.every),
    )


def _apps(entry: SourceConfig, config: Config, index: int) -> tuple[App, ...]:
    """Return the source's GitHub Apps. Raises SecretError for one whose key cannot be used."""
    apps = []
    for number, (app, key) in enumerate(zip(entry.apps, config.app_keys(index), strict=True)):
        try:
            private_key(key)
        except SecretError as error:
            setting = ("source", index, "apps", number, "key_file")
            raise SecretProblem(config.problem(setting, error.message, error.mend)) from None
        apps.append(App(id=app.id, installation=str(app.installation), key=key))
    return tuple(apps)


def _check(entry: SourceConfig, definition: Definition, base_url: str, token: str) -> None:
    """Raise ConfigError for a source that does not say what its definition leaves open."""
    if not base_url:
        where = "file:///path" if definition.kind == "folder" else "https://host"
        message = f"{definition.title} can be anywhere: base_url is missing"
        raise ConfigError(message, mend=f'write where, as base_url = "{where}"')
    is_local = urlsplit(base_url).scheme == "file"
    if is_local != (definition.kind == "folder") and not (is_local and definition.kind == "git"):
        message = f"a {definition.kind} is not read from {urlsplit(base_url).scheme}://"
        raise ConfigError(message, mend='write base_url = "https://host", or "file:///path" for a folder')
    if unknown := entry.parameters.keys() - definition.parameters.keys():
        known = ", ".join(sorted(definition.parameters)) or "none"
        raise ConfigError(f"{definition.title} has no parameter {min(unknown)}", mend=f"it has: {known}")
    if missing := [n for n, value in definition.parameters.items() if not (entry.parameters.get(n) or value)]:
        raise ConfigError(f"parameters.{missing[0]} is missing", mend=f'write parameters = {{ {missing[0]} = "…" }}')
    if token and not definition.token:
        raise ConfigError(f"{definition.title} takes no token", mend="leave token_file out")
    if entry.apps and not (definition.token and definition.token.app):
        raise ConfigError(f"{definition.title} takes no GitHub Apps", mend="leave apps out")
    if entry.push_secret_file and not definition.push:
        raise ConfigError(f"{definition.title} takes no pushes", mend="leave push_secret_file out")
    if definition.token and definition.token.required and not (token or entry.apps):
        mend = "name the file in which it stands: token_file"
        raise ConfigError(f"{definition.title} wants a token", mend=mend)


def _problems(error: ConfigError, config: Config, index: int) -> Iterator[Problem]:
    """What is wrong with a source, each with the line of the configuration or of the definition."""
    if isinstance(error, Problems):
        yield from error.problems
        return
    if isinstance(error, SecretProblem):
        yield error.problem  # with the line of its own
        return
    text = config.path.read_text(encoding="utf-8")
    if isinstance(error, OverrideError):
        for where, what in error.wrong:
            setting = ("source", index, "override", *where)
            yield Problem(
                file=str(config.path),
                line=line_of(text, setting),
                what=f"override.{'.'.join(map(str, where))}: {what}",
                mend=error.mend,
            )
    else:
        line = line_of(text, ("source", index, "use"))
        yield Problem(file=str(config.path), line=line, what=error.message, mend=error.mend)

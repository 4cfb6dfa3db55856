"""A source: a definition joined with what the configuration says of this place."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal
from urllib.parse import quote

from yarl import URL

from leakwatch import definitions
from leakwatch.config import Config, SourceConfig
from leakwatch.definitions import Definition, OverrideError, fill, placeholders
from leakwatch.errors import ConfigError
from leakwatch.toml import Problem, Problems, line_of
from leakwatch.units import Rate

_IN_PATH = "/:@!$&'()*+,;=~"  # what a field's value keeps when it becomes part of an address
_WEB_PORTS = (80, 443)


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
    observe: bool = False  # record findings, hold their notices
    backlog: Literal["scan", "skip"] = "scan"  # what the first poll does with what is there already

    @cached_property
    def listing_url(self) -> str:
        """Where new documents are announced."""
        return self.fill(self.definition.listing.url, {})

    @cached_property
    def origins(self) -> frozenset[tuple[str, int]]:
        """The hosts and ports that we fetch from."""
        base = URL(self.base_url)
        named = [URL(f"http://{host}") for host in self.definition.hosts]
        ports = ((url.host or "", port) for url in (base, *named) for port in _WEB_PORTS)
        own = ((url.host or "", url.port or 80) for url in (base, *named))
        return frozenset({*ports, *own})

    def allows(self, url: URL) -> bool:
        """Whether an address is on one of the source's own hosts."""
        return url.scheme in ("http", "https") and (url.host or "", url.port or 0) in self.origins

    @cached_property
    def home(self) -> frozenset[URL]:
        """The origins that get the definition's headers: the base URL's, and its HTTPS."""
        base = URL(self.base_url)
        return frozenset({base.origin(), URL.build(scheme="https", host=base.host or "")})

    def fill(self, template: str, facts: Mapping[str, str]) -> str:
        """Put the base URL and an item's facts into a template; "" where a fact that it needs is missing."""
        if template == "{base_url}":
            return self.base_url  # as it was written: to a feed's address a final slash can belong
        if any(name != "base_url" and not facts.get(name) for name in placeholders(template)):
            return ""
        values = {name: quote(value, safe=_IN_PATH) for name, value in facts.items()}
        return fill(template, {**values, "base_url": self.base_url.rstrip("/"), "url": facts.get("url", "")})


def resolve(config: Config) -> list[Source]:
    """Return the sources that are enabled. Raises Problems with every one that cannot be watched, and why."""
    sources: list[Source] = []
    problems: dict[Problem, None] = {}  # a definition used twice is wrong once
    for index, entry in enumerate(config.sources):
        if not entry.enabled:
            continue
        try:
            sources.append(_join(entry, config))
        except ConfigError as error:
            problems.update(dict.fromkeys(_problems(error, config, index)))
    if problems:
        raise Problems(list(problems))
    return sources


def _join(entry: SourceConfig, config: Config) -> Source:
    path = definitions.find(entry.use, config.definitions_folder)
    definition = definitions.load(path, entry.override)
    base_url = entry.base_url or definition.base_url
    if not base_url:
        message = f"{definition.title} can be anywhere: base_url is missing"
        raise ConfigError(message, mend='write where, as base_url = "https://host"')
    http = config.http
    return Source(
        name=entry.key,
        definition=definition,
        base_url=base_url,
        every=entry.every or definition.every,
        rate=entry.rate or definition.rate or http.rate,
        concurrency=entry.concurrency or definition.concurrency or http.concurrency,
        max_bytes=entry.max_bytes or definition.max_bytes or http.max_bytes,
        observe=entry.observe,
        backlog=entry.backlog,
    )


def _problems(error: ConfigError, config: Config, index: int) -> Iterator[Problem]:
    """What is wrong with a source, each with the line of the configuration or of the definition."""
    if isinstance(error, Problems):
        yield from error.problems
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

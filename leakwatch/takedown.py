"""The request to a host to take documents down in which a customer's key stands: a mail draft for each host.

It says where, and shows of the key what every notice shows. The operator reads it before it goes.
"""

import html
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from leakwatch.fetch import Source
from leakwatch.model import Exposure, Message, Place
from leakwatch.notify.cleaning import LONGEST_URL, clean, web_address
from leakwatch.store.looks import Still

_MAIL: Final = "mailto:"
_WHO: Final = (
    "We found this while reading what your site lists as public. We have tried the key nowhere and give it to nobody "
    "but its owner; of the key we know no more than is shown here."
)
_WORDS: Final = 2000  # characters of what a definition says of a host's terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What one host is asked."""

    host: str
    contact: str  # mailto:…, a page, or "" where nobody knows
    message: Message

    @property
    def address(self) -> str:
        """The channel that it can be sent to, or "": it has to be said on a page."""
        return self.contact if self.contact.startswith(_MAIL) else ""

    def lines(self) -> Iterator[str]:
        """Yield the draft as its sender reads it."""
        if self.address:
            yield f"To: {self.contact.removeprefix(_MAIL)}"
        else:
            yield f"# Say it there: {self.contact}" if self.contact else f"# Find out who answers for {self.host}."
        yield f"Subject: {self.message.subject}"
        yield ""
        yield from self.message.text.splitlines()


def requests(exposure: Exposure, stills: Sequence[Still], sources: Mapping[str, Source], issuer: str) -> list[Request]:
    """Return what each host is asked where a finding's documents may still be. `issuer` is in whose name."""
    gone = {still.url for still in stills if still.gone_at}
    places: dict[tuple[str, str], list[Place]] = defaultdict(list)
    for place in exposure.places:
        if place.url not in gone and (address := web_address(place.url)):
            places[urlsplit(address).hostname or "", place.source].append(place)
    return [
        _request(host, sources.get(name), exposure, found, issuer) for (host, name), found in sorted(places.items())
    ]


def _request(host: str, source: Source | None, exposure: Exposure, places: Sequence[Place], issuer: str) -> Request:
    source = source if source and _is_own(host, source) else None  # another host's documents are not its to take down
    documents = "document" if len(places) == 1 else "documents"
    subject = f"Exposed credential on {host}: please remove {len(places)} {documents}"
    terms = clean(source.definition.takedown, _WORDS) if source else ""
    key = f"{clean(exposure.provider, 100)} ({clean(exposure.masked, 100)})"
    what = (
        f"an access key of {key} stands in public in the {documents} below. Whoever reads it can use it at its "
        f"owner's cost, so we ask you to remove the {documents}, or to keep the public from reading."
    )
    paragraphs = [
        f"Dear team of {host},",
        what,
        "\n".join(_listed(place) for place in places),
        *([terms] if terms else []),
        _WHO,
        f"With thanks,\n{clean(issuer, 200)}",
    ]
    text = "\n\n".join(paragraphs) + "\n"
    body = "".join(f"<p>{html.escape(part).replace(chr(10), '<br>')}</p>" for part in paragraphs)
    page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(subject)}</title>{body}</html>'
    return Request(
        host=host, contact=source.abuse if source else "", message=Message(subject=subject, text=text, html=page)
    )


def _is_own(host: str, source: Source) -> bool:
    """Whether a host is the source's: fetched from, such a one's parent, or where documents are shown."""
    place = source.definition.document
    shown = {urlsplit(template).hostname for template in (place.page, place.file, place.commit) if template}
    return host in shown or any(f".{name}".endswith(f".{host}") for name, _ in source.origins)


def _listed(place: Place) -> str:
    return f"  {clean(place.url, LONGEST_URL)} (first seen {place.first_seen_at:%Y-%m-%d %H:%M} UTC)"

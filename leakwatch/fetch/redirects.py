"""Where a request may go: to the source's own hosts, and from there to where they send us, if that is one of them."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from yarl import URL

from leakwatch.errors import BadContent, BadRedirect
from leakwatch.fetch.failures import shown
from leakwatch.fetch.source import Source

STATUSES: Final = (301, 302, 303, 307, 308)
_WEB: Final = ("http", "https")


@dataclass(frozen=True, slots=True, kw_only=True)
class Onward:
    """What a server answers that sends us elsewhere."""

    status: int
    location: str

    @property
    def is_get(self) -> bool:
        """Whether what is there is asked for by a GET, whatever the request was (RFC 9110, 15.4.4)."""
        return self.status == HTTPStatus.SEE_OTHER


def parse(url: str, source: Source) -> URL:
    """Return the address of a document or listing. Raises BadContent, BadRedirect."""
    try:
        target = URL(url)
        allowed = source.allows(target)
    except ValueError:
        message = f"{source.name}: an address that cannot be read"
        raise BadContent(message, mend="check the definition's url fields and templates") from None
    if not allowed:
        message = f"{source.name}: a document on {shown(target.host)}, which is not one of the source's hosts"
        raise BadRedirect(message, mend="add it to the definition's hosts if it is meant")
    return target


def follow(origin: URL, location: str, source: Source, *, anywhere: bool = False) -> URL:
    """Return where a redirect leads. Raises BadRedirect if we don't go there.

    `anywhere` is for a robots.txt, which may lie on another host (RFC 9309, 2.3.1.2): nothing of ours is sent there.
    """
    try:
        target = origin.join(URL(location)).with_fragment(None).with_user(None)
        allowed = source.allows(target) or (anywhere and target.scheme in _WEB and bool(target.host))
    except ValueError:
        message = f"{source.name}: {origin.host} redirects to an address that cannot be read"
        raise BadRedirect(message, mend="the site is at fault; ask its operator") from None
    if not allowed:
        message = f"{source.name}: {origin.host} redirects to {shown(target.host)}"
        raise BadRedirect(message, mend="if the site moved, change base_url; if documents live there, add it to hosts")
    if origin.scheme == "https" and target.scheme == "http" and not anywhere:
        message = f"{source.name}: {origin.host} redirects from https to http"
        raise BadRedirect(message, mend="the site is at fault; or write base_url with http, if that is acceptable")
    return target

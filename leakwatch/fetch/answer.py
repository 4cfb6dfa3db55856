"""What an answer says, as it is kept: its body within the cap, and of its headers what a later request can use."""

from collections.abc import Mapping
from typing import Final

import aiohttp

from leakwatch.fetch import quota
from leakwatch.fetch.body import Body
from leakwatch.fetch.page import Page, Validators

_LONGEST_VALIDATOR: Final = 512
_REFUSAL: Final = 2_000  # bytes of a refusal that are read


async def says_limit(response: aiohttp.ClientResponse) -> bool:
    """Whether a refusal is a limit by its own words, as GitHub's secondary ones are, new and old."""
    said = (await response.content.read(_REFUSAL)).lower()
    return b"rate limit" in said or b"abuse detection" in said


def tags(response: aiohttp.ClientResponse) -> list[str]:
    """Return what it tells robots."""
    return response.headers.getall("X-Robots-Tag", [])


def unchanged(response: aiohttp.ClientResponse, redirects: int) -> Page:
    """Return the page of an answer that says that nothing has changed."""
    return Page(
        url=str(response.url),
        status=response.status,
        not_modified=True,
        redirects=redirects,
        quota=quota.read(response.headers),
    )


def _following(response: aiohttp.ClientResponse) -> str:
    """The next page's address by the Link header, or ""."""
    try:
        link = response.links.get("next")
    except ValueError:
        return ""
    return "" if link is None else str(link.get("url", ""))


async def read(response: aiohttp.ClientResponse, cap: int, redirects: int) -> Page:
    """Read the body, so far as the cap allows."""
    headers = response.headers
    body = Body(headers.get("Content-Encoding", ""), cap)
    async for chunk in response.content.iter_any():
        if not body.take(chunk):
            response.close()  # the rest is not wanted, and not waited for
            break
    return Page(
        url=str(response.url),
        status=response.status,
        body=body.whole(),
        content_type=headers.get("Content-Type", ""),
        validators=Validators(etag=_usable(headers, "ETag"), last_modified=_usable(headers, "Last-Modified")),
        truncated=body.truncated,
        wire=body.wire,
        redirects=redirects,
        following=_following(response),
        quota=quota.read(headers),
    )


def _usable(headers: Mapping[str, str], name: str) -> str:
    """A header that we may send back: what we could not, we must not keep, or every later poll would fail."""
    value = headers.get(name, "")
    return value if value.isascii() and value.isprintable() and len(value) <= _LONGEST_VALIDATOR else ""

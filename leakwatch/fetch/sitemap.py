"""Sitemaps (sitemaps.org) and indexes of them: read like feeds, by lxml with everything off that an attack needs."""

from collections.abc import Iterator
from typing import Final

from lxml import etree

from leakwatch.fetch.feed import ACCEPT as FEED
from leakwatch.fetch.feed import parsed
from leakwatch.fetch.listing import Facts, not_as_promised
from leakwatch.fetch.source import Source

ACCEPT: Final = FEED
NESTED: Final = "nested"  # the fact that an item is a sitemap itself


def read(source: Source, text: str) -> Iterator[Facts]:
    """Yield the address and date of each page; of an index those of each sitemap. Raises BadContent for neither."""
    root = parsed(text)
    name = "" if root is None else etree.QName(root).localname.lower()
    if root is None or name not in ("urlset", "sitemapindex"):
        raise not_as_promised(source, "a sitemap", text)
    for entry in root.iter("{*}url", "{*}sitemap"):
        where = (entry.findtext("{*}loc") or "").strip()
        changed = (entry.findtext("{*}lastmod") or "").strip()
        facts = {"id": where, "url": where, "version": changed, "published_at": changed}
        if etree.QName(entry).localname == "sitemap":
            facts[NESTED] = where
        yield {key: value for key, value in facts.items() if value}

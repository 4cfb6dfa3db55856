"""A document's members: what is in it when it is a container, each to be scanned as a document of its own."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from leakwatch.containers.opener import Opener
from leakwatch.containers.walk import WITHIN
from leakwatch.fetch.page import Page
from leakwatch.model import Document, Reference

_NAMELESS: Final = "document"


def members(opener: Opener, document: Document, cut: Counter[str]) -> Iterator[Document]:
    """Yield what is in a document, each with its own path, ``what.zip!/dir/.env``, and nothing else of its reference.

    A document that is no container has none. What was left alone is counted in `cut`, by the word for why. Blocks.
    """
    if document.raw is None:
        return
    name = _name(document.reference)
    for path, data in opener.members(document.raw, name, cut):
        inner = Reference(url="", id="", path=f"{name}{WITHIN}{path}")
        yield Document(reference=inner, text=Page(url="", status=0, body=data).text())


def within(reference: Reference, member: Document) -> Reference:
    """Return where a member stands: its document's reference, with the path that leads into it."""
    return replace(reference, path=member.reference.path)


def _name(reference: Reference) -> str:
    """What a document is called: by its path, or else by its address."""
    return reference.path or urlsplit(reference.url).path.rpartition("/")[2] or _NAMELESS

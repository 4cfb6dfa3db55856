"""A document's members: what is in it when it is a container, each to be scanned as a document of its own."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from leakwatch import charset
from leakwatch.containers.kinds import is_exhausted
from leakwatch.containers.opener import Opener
from leakwatch.containers.walk import WITHIN
from leakwatch.model import Document, Reference

_NAMELESS: Final = "document"


def parts(opener: Opener, document: Document, cut: Counter[str]) -> Iterator[Document]:
    """Yield what is in a document, and last the document itself. Blocks.

    A member has a path, ``what.zip!/dir/.env``, and nothing else of its document's reference. What was left alone is
    counted in `cut`, by the word for why; where nothing was, the packing around the members is not looked at.
    """
    if document.raw is None:
        yield document
        return
    name = _name(document.reference)
    here: Counter[str] = Counter()
    for path, data in opener.members(document.raw, name, here):
        inner = Reference(url="", id="", path=f"{name}{WITHIN}{path}")
        yield Document(reference=inner, text=charset.text(data))
    cut.update(here)
    yield document if here or not is_exhausted(document.raw) else replace(document, text="")


def place(document: Document, part: Document) -> Reference:
    """Return where a part of a document stands: the document's reference, with the path that leads to the part."""
    return replace(document.reference, path=part.reference.path)


def _name(reference: Reference) -> str:
    """What a document is called: by its path, or else by its address."""
    return reference.path or urlsplit(reference.url).path.rpartition("/")[2] or _NAMELESS

"""A listing that was read, as a sample of its definition: what a reviewer compares, and the tests run."""

from collections.abc import Callable, Iterator
from datetime import date

from leakwatch.fetch import kinds
from leakwatch.fetch.polling import parse
from leakwatch.fetch.source import Source
from leakwatch.model import Document, Reference

_MOST = 5  # documents of which everything is written down
_PLAIN = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def sample(source: Source, text: str, redact: Callable[[str], str], *, day: date, url: str) -> str:
    """Return a listing as a ``[[sample]]`` table with what it yields, every key in it redacted. Blocks."""
    text = redact(text)
    found = _found(source, text)
    lines = [
        "[[sample]]",
        'origin = "recorded"',
        f"source = {quoted(f'{redact(url)}, {day}; keys redacted')}",
        f"base_url = {quoted(source.base_url)}",
        *(['of = "index"'] if source.definition.index else []),
        f"body = {quoted(text)}",
        *([] if found else ["expect = []"]),
    ]
    for number, one in enumerate(found):
        lines += ["", "[[sample.expect]]", *_expected(one, whole=number < _MOST)]
    return "\n".join(lines) + "\n"


def _found(source: Source, text: str) -> list[Document | Reference]:
    """What a page yields: of an index the listings that it names."""
    if source.definition.index:
        return [Reference(url="", id=name, version=version) for name, version in kinds.named(source, text)]
    listing = parse(source, text, source.listing_url)
    return [*listing.documents, *listing.references]


def quoted(text: str) -> str:
    """Return a text as a TOML string: over several lines where it has some."""
    if "'''" not in text and "\n" in text and all(c.isprintable() or c in "\n\t" for c in text):
        return f"'''\n{text}'''"
    if "'" not in text and text.isprintable() and '"' in text:
        return f"'{text}'"
    escaped = text.translate(_PLAIN)
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'


def _expected(one: Document | Reference, *, whole: bool) -> Iterator[str]:
    reference = one.reference if isinstance(one, Document) else one
    yield f"id = {quoted(reference.id)}"
    if not whole:
        return
    for name in ("version", "url", "page", "title", "author", "path"):
        if value := getattr(reference, name):
            yield f"{name} = {quoted(value)}"
    if reference.published_at:
        yield f"published_at = {quoted(reference.published_at.isoformat())}"
    if isinstance(one, Document):
        yield f"text = {quoted(one.text)}"

"""The file in which keys are handed in: CSV or JSON lines, read row by row in constant memory.

A bad row is told by its line and reason and the rest goes on. No reason ever repeats what the file says: a field
may hold a key, whatever its column.
"""

import csv
import json
import re
from codecs import BOM_UTF8
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from operator import itemgetter
from typing import Any, BinaryIO, Final

from leakwatch.errors import ChannelUnusable, InputError
from leakwatch.match.schemes import parse_digest
from leakwatch.model import Registration

_LOCALE: Final = re.compile(r"(?P<language>[a-z]{2,3})(?:-(?P<script>[a-z]{4}))?(?:-(?P<region>[a-z]{2}|[0-9]{3}))?")
REQUIRED: Final = ("customer", "email", "locale", "provider", "label", "key_id", "digest")
OPTIONAL: Final = ("channels",)
_NAMES: Final = (*REQUIRED, *OPTIONAL)
_LONGEST_LINE: Final = 256 * 1024  # bytes
_LONGEST_FIELD: Final = 500  # characters
_TOGETHER: Final = 250  # rows in which a key is looked for at once
_BETWEEN: Final = " | "  # them: no line ends, over which a key could go on
_MOST_LINES: Final = 8  # of one CSV row: after so many a quote was left open
KEY_INSIDE: Final = "customer, provider, label or email holds a key"
_NO_KEY: Final = "write a name for it there, and have it revoked if it was sent like this"
_ADDRESS: Final = re.compile(r"""[^\s@,;:<>()\[\]\\"?#%&/]+@[^\s@,;:<>()\[\]\\"?#%&/]+""")
_CHANNEL: Final = re.compile(r"[a-z][a-z0-9+.-]*:\S+")


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A row that cannot be used."""

    line: int  # from 1: where it begins
    reason: str


Tellable = Callable[[str], None]
"""Raises ChannelUnusable for a channel on which delivery would tell nobody; its message repeats nothing of the URL."""

_Read = tuple[int, Registration | BadRow]
"""A row and the line on which it begins."""


def read(
    stream: BinaryIO, locales: Collection[str], *, tellable: Tellable, holds_key: Callable[[str], bool]
) -> Iterator[Registration | BadRow]:
    """Yield the rows of a file; the first of the locales is that of a row which names none.

    `tellable` is delivery's own check of channels. `holds_key` says whether a key stands in a text, which may be the
    texts of many rows: such a row is a bad one.
    Raises InputError when the header cannot be used.
    """
    rows = _rows(_Lines(stream), {_folded(name): name for name in locales}, tellable)
    while some := list(islice(rows, _TOGETHER)):
        yield from _without_keys(some, holds_key)


def _rows(lines: "_Lines", locales: Mapping[str, str], tellable: Tellable) -> Iterator[_Read]:
    for record in _json_records(lines) if lines.peek().lstrip().startswith("{") else _csv_records(lines):
        try:
            yield lines.begun, record if isinstance(record, BadRow) else _row(record, locales, tellable)
        except InputError as error:
            yield lines.begun, BadRow(line=lines.begun, reason=str(error))


def _without_keys(rows: Iterable[_Read], holds_key: Callable[[str], bool]) -> Iterator[Registration | BadRow]:
    """Refuse rows that hold a key where its name belongs: all are looked at in one go, each only if that finds one."""
    texts = dict.fromkeys(text for _, row in rows if isinstance(row, Registration) for text in _shown(row))
    suspect = holds_key(_BETWEEN.join(texts))
    for line, row in rows:
        if suspect and isinstance(row, Registration) and any(map(holds_key, _shown(row))):
            yield BadRow(line=line, reason=f"{KEY_INSIDE}: {_NO_KEY}")
        else:
            yield row


def _shown(row: Registration) -> tuple[str, ...]:
    """Return what is shown of a row wherever it is told of. A provider's own id of a key may look like one."""
    return row.customer, row.provider, row.label, row.email


class _Lines:
    """The lines of a stream as text, and what was wrong with any since `begin`."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._waiting: deque[tuple[str, str]] = deque()  # text and problem of lines to be read once more
        self._row: list[tuple[str, str]] = []
        self._number = 0  # of the last line read
        self.begun = 1  # the row's first line
        self.problem = ""  # what is wrong with the row's lines, or nothing

    def peek(self) -> str:
        """Return the first line that is not blank, to be read all the same."""
        while line := self._next():
            self._waiting.append(line)
            if line[0].strip() or line[1]:
                return line[0]
        return ""

    def begin(self) -> int:
        """Begin a row; return its line."""
        self._row = []
        self.problem = ""
        self.begun = self._number + 1
        return self.begun

    def rewind(self) -> None:
        """Read all but the first of the row's lines once more."""
        self._waiting.extendleft(reversed(self._row[1:]))
        self._number -= len(self._row[1:])

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self._row) >= _MOST_LINES:
            raise csv.Error
        line = self._waiting.popleft() if self._waiting else self._next()
        if line is None:
            raise StopIteration
        self._row.append(line)
        self._number += 1
        self.problem = self.problem or line[1]
        return line[0]

    def _next(self) -> tuple[str, str] | None:
        raw = self._stream.readline(_LONGEST_LINE)
        if not raw:
            return None
        if len(raw) == _LONGEST_LINE and not raw.endswith(b"\n"):
            while (more := self._stream.readline(_LONGEST_LINE)) and not more.endswith(b"\n"):
                pass
            return "\n", f"the line is longer than {_LONGEST_LINE} bytes"
        try:
            return raw.removeprefix(BOM_UTF8).decode(), ""
        except UnicodeDecodeError:
            return "\n", "the line is not UTF-8"


_Record = tuple[Any, ...]
"""The fields of a row as they stand in it, in the order of `_NAMES`; texts, but for channels."""


def _csv_records(lines: _Lines) -> Iterator[_Record | BadRow]:
    reader = csv.reader(lines, strict=True)
    names = _header(reader, lines)
    in_order = itemgetter(*((*names, *OPTIONAL).index(name) for name in _NAMES))
    while True:
        line = lines.begin()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error:
            lines.rewind()
            yield BadRow(line=line, reason=lines.problem or "the row is not CSV: are its quotes closed?")
            continue
        if lines.problem:
            yield BadRow(line=line, reason=lines.problem)
        elif fields and len(fields) != len(names):
            yield BadRow(line=line, reason=f"the row has {len(fields)} fields, the header has {len(names)}")
        elif fields:
            yield in_order([*fields, ""])  # channels, where there are none


def _header(reader: Iterator[list[str]], lines: _Lines) -> list[str]:
    """Read the names of the columns. Raises InputError."""
    mend = f"the first line names the columns: {','.join(REQUIRED)}, and {','.join(OPTIONAL)} where there are any"
    fields: list[str] = []
    while not fields:
        lines.begin()
        try:
            fields = next(reader)
        except StopIteration:
            message = "the file is empty"
            raise InputError(message, mend=mend) from None
        except csv.Error:
            message = "the header is not CSV"
            raise InputError(message, mend=mend) from None
        if lines.problem:
            message = f"the header cannot be read: {lines.problem}"
            raise InputError(message, mend="save the file as CSV in UTF-8")
    return _columns([field.strip().lower() for field in fields], mend)


def _columns(names: list[str], mend: str) -> list[str]:
    missing = [name for name in REQUIRED if name not in names]
    strange = [str(n) for n, name in enumerate(names, 1) if name not in (*REQUIRED, *OPTIONAL)]
    if strange:
        message = f"the header names a column that is not known, in place {', '.join(strange)}"
        raise InputError(message, mend=mend)
    if missing:
        message = f"the header lacks {', '.join(missing)}"
        raise InputError(message, mend=mend)
    if len(set(names)) < len(names):
        message = "the header names a column twice"
        raise InputError(message, mend=mend)
    return names


def _json_records(lines: _Lines) -> Iterator[_Record | BadRow]:
    while True:
        line = lines.begin()
        text = next(lines, None)
        if text is None:
            return
        if lines.problem:
            yield BadRow(line=line, reason=lines.problem)
        elif text.strip():
            yield _json_record(line, text)


def _json_record(line: int, text: str) -> _Record | BadRow:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return BadRow(line=line, reason="the line is not JSON")
    if not isinstance(record, dict):
        return BadRow(line=line, reason="the line is no JSON object")
    if any(name not in _NAMES for name in record):
        return BadRow(line=line, reason=f"the object has a name besides {', '.join(_NAMES)}")
    fields = ["" if record.get(name) is None else record[name] for name in _NAMES]
    for name, field in zip(REQUIRED, fields, strict=False):
        if not isinstance(field, str):
            return BadRow(line=line, reason=f"{name} is no text")
    return tuple(fields)


def _row(record: _Record, locales: Mapping[str, str], tellable: Tellable) -> Registration:
    """Check one row. Raises InputError."""
    customer, address, named, provider, label, key_id, written, more = record
    # The digest comes first: where a key stands in its place, that is what must be told.
    scheme, digest = parse_digest(written)
    channels = tuple(channel(c, tellable) for c in _channels(more)) if more else ()
    email = _email(address, tellable)
    if not (email or channels):
        message = "there is neither an email address nor a channel: nobody could be told"
        raise InputError(message)
    return Registration(
        customer=_customer(customer),
        email=email,
        locale=_located(_text(named, "locale"), locales),
        provider=_text(provider, "provider"),
        label=_text(label, "label"),
        key_id=_text(key_id, "key_id"),
        scheme=scheme,
        digest=digest,
        channels=channels,
    )


# A customer's thousand rows repeat all but the label and the digest.
_remembered: Final = lru_cache(maxsize=4096)


@_remembered
def _text(value: str, name: str) -> str:
    """Return a field on one line, with single spaces. Raises InputError."""
    text = " ".join(value.split())
    if len(text) > _LONGEST_FIELD:
        message = f"{name} is longer than {_LONGEST_FIELD} characters"
        raise InputError(message)
    if not text.isprintable():
        message = f"{name} has characters that cannot be shown"
        raise InputError(message)
    return text


@_remembered
def _customer(value: str) -> str:
    name = _text(value, "customer")
    if not name:
        message = "customer is empty"
        raise InputError(message)
    return name


@_remembered
def _email(value: str, tellable: Tellable) -> str:
    text = _text(value, "email")
    return _address(text, tellable) if text else ""


def _address(text: str, tellable: Tellable) -> str:
    message, mend = "email is no mail address", "write user@host, and one address only"
    if not _ADDRESS.fullmatch(text) or len(text) > 254:  # noqa: PLR2004 - RFC 5321's longest path
        raise InputError(message, mend=mend)
    try:
        tellable(f"mailto:{text}")
    except ChannelUnusable:
        raise InputError(message, mend=mend) from None  # its own words are about a channel
    return text


def _channels(value: object) -> list[str]:
    """Return the channels of a row: a list, or one text with spaces between. Raises InputError."""
    if isinstance(value, str):
        return value.split()
    if isinstance(value, list) and all(isinstance(channel, str) for channel in value):
        return value
    message = "channels is neither text nor a list of texts"
    raise InputError(message)


@_remembered
def channel(text: str, tellable: Tellable) -> str:
    """Check that a text is a channel on which its owner can be told, and return it. Raises InputError."""
    if not _CHANNEL.fullmatch(text) or not text.isprintable() or len(text) > _LONGEST_FIELD:
        message = "a channel is no URL"
        raise InputError(message, mend="write mailto:user@host or an Apprise URL")
    if text.startswith("mailto:"):
        _address(text.removeprefix("mailto:"), tellable)
        return text
    try:
        tellable(text)
    except ChannelUnusable as error:
        raise InputError(error.message, mend=error.mend) from None
    return text


def locale(text: str, locales: Collection[str]) -> str:
    """Return a locale as it is spelled: the language one of ours, the region any. Raises InputError."""
    return _located(text, {_folded(known): known for known in locales})


def _located(text: str, known: Mapping[str, str]) -> str:
    if not text:
        return next(iter(known.values()))
    folded = _folded(text)
    parts = _LOCALE.fullmatch(folded)
    if folded in known:
        return known[folded]
    if parts is None or parts["language"] not in known:
        message = "the locale is not known"
        raise InputError(message, mend=f"use one of {', '.join(known.values())}, with a region if you like: fr-CA")
    rest = ((parts["script"] or "").title(), (parts["region"] or "").upper())
    return "-".join([known[parts["language"]], *filter(None, rest)])


def _folded(name: str) -> str:
    return name.replace("_", "-").lower()

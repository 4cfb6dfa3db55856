"""The text of PDFs, page by page, what is said about them, and the files that are attached."""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from typing import Final

from pypdf import PageObject, PdfReader
from pypdf.errors import LimitReachedError
from pypdf.generic import StreamObject

from leakwatch.containers.limits import Cut, Room
from leakwatch.containers.packed import Part

_MUCH: Final = 1_000_000  # bytes of what draws a page …
_MOST: Final = 10_000_000  # … of which so many are taken as they are
logging.getLogger("pypdf").setLevel(logging.CRITICAL + 1)  # its warnings repeat what they are about


def pages(data: bytes, _name: str, room: Room) -> Iterator[Part]:
    """Yield what a PDF says. It is read as its readers do, whatever is wrong with it."""
    reader = PdfReader(BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):  # most want a password only of who changes them
        room.skip(Cut.ENCRYPTED)
        return
    for number, page in enumerate(reader.pages, start=1):
        if number > room.limits.pages:
            room.skip(Cut.PAGES)
            break
        yield from _page(page, number, room)
    if said := _read(lambda: "\n".join(map(str, (reader.metadata or {}).values())), room):
        yield Part("information", said)
    for number in sorted({number for number, _ in reader.xref_objStm.values()}):  # annotations are in these, and links
        yield Part(f"objects {number}", _read(partial(_stream, reader, number), room))
    for name, contents in reader.attachments.items():
        for content in contents:
            yield Part(name, room.take(content))


def _page(page: PageObject, number: int, room: Room) -> Iterator[Part]:
    """Yield what a page says; of one that has much in it first what draws it, since to read that may take too long."""
    if (drawn := _drawn(page)) and len(drawn) > _MUCH:
        yield Part(f"page {number}, as it is drawn", room.take(drawn[:_MOST]))
    yield Part(f"page {number}", _read(page.extract_text, room))


def _drawn(page: PageObject) -> bytes:
    try:
        contents = page.get_contents()
        return b"" if contents is None else contents.get_data()
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - see below; who reads the page counts it
        return b""


def _stream(reader: PdfReader, number: int) -> str:
    stream = reader.get_object(number)
    return stream.get_data().decode("latin-1") if isinstance(stream, StreamObject) else ""


def _read(text: Callable[[], str], room: Room) -> bytes:
    """Return what is read, in UTF-8: a page that is broken takes no other with it."""
    try:
        return room.take(text().encode("utf-8", "replace"))
    except MemoryError:
        raise
    except LimitReachedError:
        room.skip(Cut.BYTES)
        return b""
    except Exception:  # noqa: BLE001 - there is no end to what a hostile PDF raises
        room.skip(Cut.BROKEN)
        return b""

"""The text of PDFs, page by page, what is said about them, and the files that are attached."""

import logging
from collections.abc import Callable, Iterator
from io import BytesIO

from pypdf import PdfReader

from leakwatch.containers.limits import Cut, Room
from leakwatch.containers.packed import Part

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
        yield Part(f"page {number}", _read(page.extract_text, room))
    if said := _read(lambda: "\n".join(map(str, (reader.metadata or {}).values())), room):
        yield Part("information", said)
    for name, contents in reader.attachments.items():
        for content in contents:
            yield Part(name, room.take(content))


def _read(text: Callable[[], str], room: Room) -> bytes:
    """Return what is read, in UTF-8: a page that is broken takes no other with it."""
    try:
        return room.take(text().encode("utf-8", "replace"))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - there is no end to what a hostile PDF raises
        room.skip(Cut.BROKEN)
        return b""

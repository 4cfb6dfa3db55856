"""Containers of every kind around some bytes, made when they are needed."""

import bz2
import gzip
import io
import lzma
import sqlite3
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from random import Random
from typing import Final

import zstandard

from leakwatch.scan.synthetic import fill

KEY: Final = fill("exai_{base64url:75}.{alnum:20}", Random(1))
TEXT: Final = f"first line\nTOKEN={KEY}\n".encode()
_FONT: Final = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"


def zipped(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def streamed(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip whose sizes stand behind the data, as those have that are made while they are sent."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: object) -> int:
            raise io.UnsupportedOperation

        def tell(self) -> int:
            raise io.UnsupportedOperation

    buffer = Pipe()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tarred(members: Mapping[str, bytes], *others: tarfile.TarInfo, form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for other in others:
            archive.addfile(other)
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def database(*statements: str, rows: Sequence[Sequence[object]] = ((),), log: bool = False) -> bytes:
    """A database in which all statements but the last are done once, and that for every row."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("PRAGMA secure_delete = OFF")
        for statement in statements[:-1]:
            connection.execute(statement)
        connection.executemany(statements[-1], rows)
        connection.commit()
        data = bytes(connection.serialize())
    return data[:18] + b"\2\2" + data[20:] if log else data


def table(data: bytes) -> bytes:
    return database("CREATE TABLE notes (id, note)", "INSERT INTO notes VALUES (?, ?)", rows=[(1, data.decode())])


def objects(*parts: bytes) -> bytes:
    """A PDF of these objects; the first is its catalogue."""
    data, starts = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, start=1):
        starts.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, part)
    listed = b"".join(b"%010d 00000 n \n" % start for start in starts)
    end = b"trailer\n<< /Size %d /Root 1 0 R /Info << /Title (a title) >> >>\nstartxref\n%d\n%%%%EOF\n"
    return data + b"xref\n0 %d\n0000000000 65535 f \n" % (len(parts) + 1) + listed + end % (len(parts) + 1, len(data))


def pdf(content: bytes, pages: int = 1, *others: bytes) -> bytes:
    """A PDF with the same on every page, and other objects behind these."""
    packed = zlib.compress(content)
    page = (
        b"<< /Type /Page /Parent 2 0 R /Contents 3 0 R /MediaBox [0 0 612 792] "
        b"/Resources << /Font << /F1 4 0 R >> >> >>"
    )
    kids = b" ".join(b"%d 0 R" % number for number in range(5, 5 + pages))
    return objects(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, pages),
        b"<< /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (len(packed), packed),
        _FONT,
        *[page] * pages,
        *others,
    )


def with_packed_objects(note: bytes) -> bytes:
    """A PDF with a page on which something is noted, that is packed as newer ones do it."""
    packed = zlib.compress(b"5 0 " + note)
    parts = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Annots [5 0 R] >>",
        b"<< /Type /ObjStm /N 1 /First 4 /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream"
        % (len(packed), packed),
    )
    data, listed = b"%PDF-1.5\n", b"\0" * 7
    for number, part in enumerate(parts, start=1):
        listed += struct.pack(">BIH", 1, len(data), 0)
        data += b"%d 0 obj\n%s\nendobj\n" % (number, part)
    listed += struct.pack(">BIH", 2, 4, 0)
    table = b"<< /Type /XRef /Size 6 /W [1 4 2] /Root 1 0 R /Length %d >>\nstream\n%s\nendstream" % (
        len(listed),
        listed,
    )
    return data + b"6 0 obj\n%s\nendobj\nstartxref\n%d\n%%%%EOF\n" % (table, len(data))


def printed(data: bytes) -> bytes:
    return pdf(b"BT /F1 12 Tf 72 720 Td (%s) Tj ET" % data.split(b"=")[-1].strip())


def slow() -> bytes:
    """A PDF of 80 kB whose one page takes minutes."""
    return pdf(b"BT /F1 12 Tf " + b"(a) Tj 0 1 Td " * 3_000_000 + b"ET")


HOLDERS: Final[Mapping[str, tuple[str, Callable[[bytes], bytes], str]]] = {
    "gzip": ("notes.txt.gz", gzip.compress, "notes.txt"),
    "bzip2": ("notes.txt.bz2", bz2.compress, "notes.txt"),
    "xz": ("notes.txt.xz", lzma.compress, "notes.txt"),
    "zstd": ("notes.txt.zst", zstandard.compress, "notes.txt"),
    "two gzips": ("a.log.gz", lambda data: gzip.compress(b"old\n") + gzip.compress(data), "a.log"),
    "zip": ("what.zip", lambda data: zipped({"dir/.env": data}), "dir/.env"),
    "zip, stored": ("what.jar", lambda data: zipped({"dir/.env": data}, zipfile.ZIP_STORED), "dir/.env"),
    "zip, bzip2": ("what.zip", lambda data: zipped({"dir/.env": data}, zipfile.ZIP_BZIP2), "dir/.env"),
    "zip, LZMA": ("what.zip", lambda data: zipped({"dir/.env": data}, zipfile.ZIP_LZMA), "dir/.env"),
    "zip behind a program": ("a.exe", lambda data: b"MZ" + bytes(99) + zipped({"dir/.env": data}), "dir/.env"),
    "tar": ("what.tar", lambda data: tarred({"dir/.env": data}), "dir/.env"),
    "old tar": ("what.tar", lambda data: tarred({"dir/.env": data}, form=tarfile.USTAR_FORMAT), "dir/.env"),
    "tar.gz": ("what.tgz", lambda data: gzip.compress(tarred({"package/.env": data})), "package/.env"),
    "tar.xz": ("what.tar.xz", lambda data: lzma.compress(tarred({"dir/.env": data})), "dir/.env"),
    "tar.bz2": ("what.tar.bz2", lambda data: bz2.compress(tarred({"dir/.env": data})), "dir/.env"),
    "tar.zst": ("what.tar.zst", lambda data: zstandard.compress(tarred({"dir/.env": data})), "dir/.env"),
    "SQLite": ("what.db", table, "notes"),
    "PDF": ("what.pdf", printed, "page 1"),
}
"""By kind: a name, what makes one around some text, and where in it the text is then."""

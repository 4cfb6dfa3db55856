"""What kind of container some bytes are, by what stands in them: a name can say anything."""

from enum import StrEnum
from typing import Final

_BLOCK: Final = 512  # bytes of a tar's header
_CHECKSUM: Final = slice(148, 156)  # in it
_OCTAL: Final = frozenset(b"01234567 \0")
_MEMBER: Final = b"PK\x03\x04"  # with which a zip begins
_DIRECTORY: Final = b"PK\x05\x06"  # the record at the end of a zip
_TAIL: Final = 66_000  # bytes at the end in which that record begins
_HEAD: Final = 1024  # bytes in which white space may precede a PDF


class Kind(StrEnum):
    """A kind of container."""

    GZIP = "gzip"
    BZIP2 = "bzip2"
    XZ = "xz"
    ZSTD = "zstd"
    ZIP = "zip"
    TAR = "tar"
    SQLITE = "sqlite"
    PDF = "pdf"
    FOREIGN = "foreign"  # one that we cannot open


_MAGIC: Final = (
    (b"\x1f\x8b\x08", Kind.GZIP),
    (b"BZh", Kind.BZIP2),
    (b"\xfd7zXZ\0", Kind.XZ),
    (b"\x28\xb5\x2f\xfd", Kind.ZSTD),
    (_MEMBER, Kind.ZIP),
    (_DIRECTORY, Kind.ZIP),
    (b"PK\x07\x08", Kind.ZIP),  # one of several volumes
    (b"SQLite format 3\0", Kind.SQLITE),
    (b"7z\xbc\xaf\x27\x1c", Kind.FOREIGN),
    (b"Rar!\x1a\x07", Kind.FOREIGN),
    (b"!<arch>\n/", None),  # a library, with a table of its symbols: what is in it is not packed
    (b"!<arch>\n__.SYMDEF", None),
    (b"!<arch>\n", Kind.FOREIGN),  # a .deb
)
_MAGICS: Final = tuple(magic for magic, _ in _MAGIC)
_PDF: Final = b"%PDF-"
_LEAST: Final = 20  # bytes of a container in which something could be
_BZIP2: Final = (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90")  # what follows the level: a block, or the end
_PROGRAMS: Final = (b"MZ", b"#!")  # that a zip may be glued to
PACKED: Final = frozenset({Kind.GZIP, Kind.BZIP2, Kind.XZ, Kind.ZSTD})  # one thing, made smaller


def sniff(data: bytes) -> Kind | None:
    """Return the kind of container that some bytes are, or None."""
    if len(data) < _LEAST:
        return None
    if data.startswith(_MAGICS):
        kind = next(kind for magic, kind in _MAGIC if data.startswith(magic))
        return kind if kind is not Kind.BZIP2 or data.startswith(_BZIP2, 4) else None
    if data.find(_PDF, 0, _HEAD) >= 0 and data[:_HEAD].lstrip().startswith(_PDF):
        return Kind.PDF
    if data.startswith(_PROGRAMS) and data.rfind(_DIRECTORY, -_TAIL) >= 0:
        return Kind.ZIP
    return Kind.TAR if _is_tar(data[:_BLOCK]) else None


def is_exhausted(data: bytes) -> bool:
    """Whether there is nothing in a container but what is taken out of it: around that is only packing."""
    return data.startswith(_MEMBER) or sniff(data) in PACKED


def _is_tar(block: bytes) -> bool:
    """Whether a block is a tar's header: it holds its own sum, in octal digits."""
    digits = block[_CHECKSUM]
    if len(block) < _BLOCK or not block[0] or not _OCTAL.issuperset(digits):
        return False
    told = digits.strip(b"\0 ").partition(b"\0")[0].strip()
    found = sum(block) - sum(digits) + len(digits) * 0x20
    return told.isdigit() and int(told, 8) == found

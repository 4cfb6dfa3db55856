"""A body as it arrives: decompressed by us, within a cap that holds on the wire and after."""

import zlib
from typing import Final

ENCODINGS: Final = "gzip, deflate"  # what we ask for
_GZIP: Final = 16 + zlib.MAX_WBITS
_MAGIC: Final = b"\x1f\x8b"
_HEADER: Final = 2  # bytes that tell deflate with zlib's header from deflate without


class Broken(ValueError):
    """The body is not what its Content-Encoding says; the text completes "a body that …"."""


class Body:
    """Collects chunks until they end or the cap is reached.

    ``encoding`` is the Content-Encoding; raises Broken for one that we did not ask for.
    """

    __slots__ = ("_cap", "_encoding", "_head", "_inflate", "_kept", "_pieces", "truncated", "wire")

    def __init__(self, encoding: str, cap: int) -> None:
        self._encoding = encoding.strip().lower().removeprefix("x-")
        if self._encoding not in ("", "identity", "gzip", "deflate"):
            message = f"is compressed in a way that we did not ask for (we take {ENCODINGS})"
            raise Broken(message)
        self._cap = cap
        self._pieces: list[bytes] = []
        self._kept = 0
        self._head = b""  # compressed bytes that are too few to begin with
        self._inflate: zlib._Decompress | None = None
        self.wire = 0
        self.truncated = False

    def take(self, chunk: bytes) -> bool:
        """Add a chunk as it came; return whether more is wanted. Raises Broken."""
        self.wire += len(chunk)
        if self._encoding in ("", "identity"):
            self._keep(chunk)
        else:
            self._decompress(chunk)
            self.truncated = self.truncated or self.wire > self._cap
        return not self.truncated

    def whole(self) -> bytes:
        """Return what was kept. Raises Broken if the compressed stream ended in its middle."""
        compressed = self._inflate is not None or self._head
        if compressed and not self.truncated and not (self._inflate and self._inflate.eof):
            message = "ends in the middle of its compressed data"
            raise Broken(message)
        return b"".join(self._pieces)

    def _keep(self, data: bytes) -> None:
        room = self._cap - self._kept
        if len(data) > room:
            data, self.truncated = data[:room], True
        self._pieces.append(data)
        self._kept += len(data)

    def _decompress(self, chunk: bytes) -> None:
        chunk, self._head = self._head + chunk, b""
        while chunk and not self.truncated:
            if len(chunk) < _HEADER and (self._inflate is None or self._inflate.eof):
                self._head = chunk
                return
            if self._inflate is None:
                self._inflate = zlib.decompressobj(_window(self._encoding, chunk))
            elif self._inflate.eof:
                if not chunk.startswith(_MAGIC):
                    return  # what follows the last member of a gzip file is padding
                self._inflate = zlib.decompressobj(_GZIP)
            chunk = self._step(self._inflate, chunk)

    def _step(self, inflate: "zlib._Decompress", chunk: bytes) -> bytes:
        """Decompress until one byte more than there is room for (it says that there is more); return what is left."""
        try:
            self._keep(inflate.decompress(chunk, self._cap - self._kept + 1))
        except zlib.error:
            message = "is not the compressed data that it says it is"
            raise Broken(message) from None
        return inflate.unused_data if inflate.eof else inflate.unconsumed_tail


def _window(encoding: str, head: bytes) -> int:
    """The format in zlib's terms: "deflate" means zlib's own, but servers send it bare as well."""
    if encoding == "gzip":
        return _GZIP
    is_zlib = head[0] & 0x0F == zlib.DEFLATED and int.from_bytes(head[:_HEADER], "big") % 31 == 0
    return zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS

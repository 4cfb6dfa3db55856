"""What a request came back with, and the text or the container in it."""

from dataclasses import dataclass, field

from leakwatch import charset
from leakwatch.containers.kinds import sniff
from leakwatch.fetch.quota import Quota
from leakwatch.model import Document, Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Validators:
    """What lets a server answer "not modified"."""

    etag: str = ""
    last_modified: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Page:
    """An answer with its body, decompressed and within the cap."""

    url: str  # where it was found, after redirects
    status: int
    body: bytes = b""
    content_type: str = ""  # the whole header
    validators: Validators = field(default_factory=Validators)
    not_modified: bool = False
    truncated: bool = False  # the body went on past the cap
    wire: int = 0  # bytes that came, still compressed
    redirects: int = 0
    following: str = ""  # the next page's address, where a Link header names one
    quota: Quota = field(default_factory=Quota)

    def document(self, reference: Reference) -> Document:
        """Return it as a document, with its bytes where those are a container."""
        raw = None if sniff(self.body) is None else self.body
        return Document(reference=reference, text=self.text(), truncated=self.truncated, raw=raw)

    @property
    def charset(self) -> str:
        """The charset that the body is in: by byte order mark, header or the page's own word; else UTF-8."""
        return charset.of(self.body, self.content_type)

    def text(self) -> str:
        """Decode the body. Bytes that are not of the charset become U+FFFD."""
        return charset.text(self.body, self.content_type)

"""The nouns: what flows from a poll to a notice.

All are frozen and keyword-only. A key in plaintext lives in `Plaintext` and nowhere else; whatever a stranger
wrote (URL, title, author, path, text) may hold one, so the types that carry it show none of it in their repr.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple, NoReturn, final

Checkpoint = Mapping[str, str | int | float | bool | None]
"""Where a source's next poll starts: small, JSON-able, opaque to all but the source's kind; stored sealed."""


def now() -> datetime:
    """Return the time, in UTC and aware of it."""
    return datetime.now(UTC)


@final
class Plaintext:
    """A key as it was found. It shows itself only to who calls `reveal()`, and refuses to be pickled or copied."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the key itself. Only digesting and masking have a reason to call this."""
        return self._value

    def __repr__(self) -> str:
        return "Plaintext(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plaintext) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        message = "a plaintext key does not leave memory"
        raise TypeError(message)


class Field(StrEnum):
    """The part of a document in which a candidate stood."""

    TEXT = "text"
    URL = "url"
    TITLE = "title"
    AUTHOR = "author"
    PATH = "path"
    ID = "id"


class Via(StrEnum):
    """How what a reference names is got, and what it is."""

    PAGE = ""  # a request: a document
    LISTING = "listing"  # a request: opened, it names others
    GIT = "git"  # a repository: opened, it names its objects
    BACKLOG = "backlog"  # a repository of which what is there already is left alone
    OBJECT = "object"  # an object of a repository: a document


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Reference:
    """A document that is known to exist: where it is, and what its listing said of it."""

    url: str  # where its text is fetched
    id: str  # what the source calls it; with `version` its identity within the source
    version: str = ""  # changes when the document does, where the source tells
    page: str = ""  # where a person looks at it, if that is not `url`
    title: str = ""
    author: str = ""
    path: str = ""  # file name or path, where there is one
    published_at: datetime | None = None
    commit: str = ""  # of an object: what brought it; of a repository: what to look for besides its refs
    size: int = 0  # bytes, where the source tells
    via: Via = Via.PAGE

    @property
    def shown_url(self) -> str:
        """The address that a person is given."""
        return self.page or self.url


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Document:
    """One text with its provenance. The text is never stored."""

    reference: Reference
    text: str
    truncated: bool = False  # the text was cut at the size cap: what follows was not seen
    raw: bytes | None = None  # the bytes, where they are a container: what is in it is scanned besides

    @property
    def size(self) -> int:
        """What it takes of memory, as characters and bytes."""
        return len(self.text) + len(self.raw or b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a poll, a fetch, a report or a back-scan hands to the pipeline."""

    source: str  # the source's name
    documents: tuple[Document, ...] = ()
    references: tuple[Reference, ...] = ()  # still to be fetched
    checkpoint: Checkpoint | None = None  # where the next poll starts; None leaves it as it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where in a document a candidate begins."""

    field: Field
    line: int  # from 1
    column: int  # from 1, in characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A key-shaped string: lives in memory from the scan to the lookup, and no longer."""

    detector: str  # id of the detector that names it best
    plaintext: Plaintext
    masked: str  # public prefix and last four characters: all that may be shown
    position: Position
    is_glued: bool = False  # to a letter or a digit before it or after it


class Registration(NamedTuple):
    """One key as its owner hands it in. A million come at once: a dataclass takes five times as long to make."""

    customer: str  # the owner's name, by which we know them
    email: str  # "": told on the other channels alone
    locale: str  # one that we know
    provider: str
    label: str
    key_id: str
    scheme: str
    digest: bytes  # as the scheme makes it: not yet keyed
    channels: tuple[str, ...] = ()  # besides the mail address


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredKey:
    """A customer's key as we know it: by digest alone."""

    id: int
    customer_id: int
    provider: str
    label: str  # the customer's or issuer's name for it
    key_id: str  # the provider's id of it, "" when not registered


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A candidate whose digest is a customer's. Holds no plaintext."""

    key: RegisteredKey
    reference: Reference
    detector: str
    masked: str
    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a key was seen, as it may be stored and shown: every string redacted."""

    source: str
    url: str
    title: str
    author: str
    path: str
    position: Position
    published_at: datetime | None
    first_seen_at: datetime
    last_seen_at: datetime
    gone_at: datetime | None = None  # when its host said that it is no longer there


class Answer(StrEnum):
    """What a customer says of an exposed key."""

    ACKNOWLEDGED = "acknowledged"  # they know and work on it: they are not reminded any more
    REVOKED = "revoked"
    FALSE_ALARM = "false_alarm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """One finding as a notice tells of it."""

    finding_id: int
    provider: str
    detector: str
    label: str
    key_id: str
    masked: str
    first_seen_at: datetime
    places: tuple[Place, ...]
    answer: Answer | None = None  # its owner's last word
    answered_at: datetime | None = None
    closed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide:
    """How one kind of key is called and revoked: what a detector knows for people.

    Name and steps are in English, and the msgids of their translations: `said` puts the rest in afterwards.
    """

    name: str  # "{provider} API key"
    provider: str
    page: str  # the provider's own page for revoking, "" where there is none
    menu: str = ""  # the way from there, in the page's own words
    steps: tuple[str, ...]

    def said(self, message: str) -> str:
        """Return a message of this guide, in whatever language, with the provider and the menu put in."""
        return message.replace("{provider}", self.provider).replace("{menu}", self.menu)


class NoticeKind(StrEnum):
    """What a notice is about."""

    EXPOSURE = "exposure"  # to a customer: your key is public
    DIGEST = "digest"  # to a customer: a key that you know of was seen in more places
    REMINDER = "reminder"  # to a customer: you have not answered
    TEST = "test"  # to a customer: do our notices reach you?
    FINDING = "finding"  # to the operator: a customer's key is public
    ALARM = "alarm"  # to the operator: something needs a person
    SUMMARY = "summary"  # to the operator: how the last day was
    EVENT = "event"  # to the issuer's software: a finding was opened or answered

    @property
    def to_customer(self) -> bool:
        """Whether a customer gets it, who can answer on a page; if not, it is the operator's."""
        return self in (NoticeKind.EXPOSURE, NoticeKind.DIGEST, NoticeKind.REMINDER, NoticeKind.TEST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a span of time was like, and how things are at its end."""

    since: datetime
    until: datetime
    found: int  # findings opened within the span
    places: int  # sightings within the span
    sent: int  # deliveries to customers that were accepted within the span
    answers: Mapping[Answer, int]  # given within the span
    bounced: int  # mails that came back within the span
    open: int  # findings that are not closed
    unanswered: int  # of these, those to which there is no answer
    stopped: int  # notices of these that their customers want no reminders of
    held: int  # notices that wait for the operator
    waiting: int  # deliveries on their way
    dead: int  # deliveries that were given up
    failing: tuple[tuple[str, str], ...]  # sources that cannot be read, and the reason
    doubtful: tuple[
        tuple[str, str], ...
    ]  # sources that can be read, but may have shown us less than all, and the reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A message that is owed: everything that a template needs, nothing that it must not show."""

    id: int
    kind: NoticeKind
    customer: str  # the customer's name; "" in an alarm
    locale: str
    created_at: datetime
    exposures: tuple[Exposure, ...] = ()
    alarm: str = ""  # reason word of an alarm, type of an event
    detail: str = ""  # an alarm's one paragraph
    summary: Summary | None = None  # of a summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A composed notice: the text and HTML say the same."""

    subject: str
    text: str
    html: str = field(repr=False)

"""What one poll leaves to the next, in the source's checkpoint: what it saw, and how far it came."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Final

from leakwatch.definitions import Since
from leakwatch.fetch.page import Validators
from leakwatch.fetch.source import Source
from leakwatch.model import Checkpoint, Document, Reference
from leakwatch.units import seconds

_MARK: Final = 8  # characters
_MOST_MARKS: Final = 500  # items of a listing that are remembered
_MOST_READ: Final = 5_000  # listings of an index that are remembered
_FEW: Final = 3  # items: a shorter listing says nothing about a gap
_READ_BY: Final = frozenset(
    {"kind", "listing", "index", "fields", "cut", "document", "hosts", "walk", "urls", "open", "search"}
)


@dataclass(slots=True, kw_only=True)
class Memory:
    """A checkpoint, opened."""

    basis: str  # by what definition it was made
    validators: Validators = field(default_factory=Validators)
    seen: tuple[str, ...] = ()  # marks of the items that the last listing had
    read: tuple[str, ...] = ()  # marks of the index's listings that were read, in their versions
    failed: tuple[str, ...] = ()  # marks of those that could not be had: they are asked for behind the others
    since: str = ""  # as far as the listing was asked for
    word: str = ""  # mark of the word that is searched for
    windows: str = ""  # what is left of its search
    last: int | None = None  # the number that was walked to
    left: int = 0  # what waited for this poll
    is_first: bool = True

    def checkpoint(self) -> Checkpoint:
        """Return it as it is stored."""
        return {
            "basis": self.basis,
            "etag": self.validators.etag,
            "last_modified": self.validators.last_modified,
            "seen": "".join(self.seen[:_MOST_MARKS]),
            "read": "".join(self.read[-_MOST_READ:]),
            "failed": "".join(self.failed[-_MOST_READ:]),
            "since": self.since,
            "word": self.word,
            "windows": self.windows,
            "last": self.last,
            "left": self.left,
        }

    def is_gap(self, marks: Collection[str]) -> bool:
        """Whether a listing shares nothing with the one before, though both say something."""
        return len(self.seen) >= _FEW and bool(marks) and not frozenset(self.seen) & frozenset(marks)


def opened(source: Source, checkpoint: Checkpoint | None) -> Memory:
    """Return what the last poll left; of one under another definition only how far it came."""
    basis = _basis(source)
    if checkpoint is None:
        return Memory(basis=basis)
    last = checkpoint.get("last")
    memory = Memory(
        basis=basis,
        since=str(checkpoint.get("since") or ""),
        last=int(last) if last is not None else None,
        is_first=False,
    )
    if checkpoint.get("basis") == basis:
        etag, modified = (str(checkpoint.get(name) or "") for name in ("etag", "last_modified"))
        memory.validators = Validators(etag=etag, last_modified=modified)
        memory.seen, memory.read = _marks(checkpoint, "seen"), _marks(checkpoint, "read")
        memory.failed = _marks(checkpoint, "failed")
        memory.word, memory.windows = (str(checkpoint.get(name) or "") for name in ("word", "windows"))
        memory.left = int(checkpoint.get("left") or 0)
    return memory


def since(asked: Since, before: str, found: Iterable[Document | Reference]) -> str:
    """Return how far a listing may be asked for next time: to the greatest value that was found, or as before."""
    references = [one.reference if isinstance(one, Document) else one for one in found]
    if asked.field != "published_at":
        values = [one.id if asked.field == "id" else one.version for one in references]
        return max([before, *values], key=_order)
    times = [one.published_at for one in references if one.published_at]
    if not times:
        return before
    newest = _written(max(times) - timedelta(seconds=asked.overlap or 0.0), asked.form)
    return max(before, newest, key=_order)


def start(asked: Since, now: datetime) -> str:
    """Return what the first poll says in place of a value."""
    if asked.field != "published_at" or not asked.first:
        return asked.first
    return _written(now - timedelta(seconds=seconds(asked.first)), asked.form)


def _written(at: datetime, form: str) -> str:
    match form:
        case "epoch":
            return str(int(at.timestamp()))
        case "epoch_ms":
            return str(int(at.timestamp() * 1000))
        case _:
            return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _order(value: str) -> tuple[int, int, str]:
    """Numbers by their size, and above all that is none."""
    if value.isascii() and value.isdigit():
        return (1, len(value.lstrip("0")), value.lstrip("0"))
    return (0, 0, value)


def _marks(checkpoint: Mapping[str, object], name: str) -> tuple[str, ...]:
    text = str(checkpoint.get(name) or "")
    return tuple(text[at : at + _MARK] for at in range(0, len(text), _MARK))


def _basis(source: Source) -> str:
    """What a listing is read by. When it changes, the same page has to be read again: no validator may prevent it."""
    definition = source.definition.model_dump_json(include=set(_READ_BY))
    said: Sequence[str] = (source.whence, source.listing_url, definition)
    return blake2b("\n".join(said).encode(), digest_size=8).hexdigest()

"""The tables, each with what it is for. `migrations/` brings a database to this state."""

import re
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

_UNSTORABLE: Final = re.compile(r"[\x00\ud800-\udfff]")

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Instant(TypeDecorator[datetime]):
    """A moment in UTC. SQLite forgets the zone, so it is put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _: Dialect) -> datetime | None:
        """Turn any zone into UTC. Raises ValueError where there is none."""
        if value is not None and value.tzinfo is None:
            message = "a moment without a zone"
            raise ValueError(message)
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _: Dialect) -> datetime | None:
        """Put UTC back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Quoted(TypeDecorator[str]):
    """Somebody else's words. What a database cannot hold (NUL, half a surrogate pair) becomes U+FFFD."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, _: Dialect) -> str | None:
        """Replace what cannot be stored: a title must not keep a finding from its owner."""
        return None if value is None else _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value)


Id: Final = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER PRIMARY KEY counts by itself in SQLite


def _key() -> Column[int]:
    return Column("id", Id, primary_key=True, autoincrement=True)


def _refers(to: str, *, nullable: bool = False, primary_key: bool = False, index: bool | None = None) -> Column[int]:
    name = to.split(".", maxsplit=1)[0] + "_id"
    cascade = ForeignKey(to, ondelete="CASCADE")
    return Column(name, Id, cascade, nullable=nullable, primary_key=primary_key, index=index)


setting = Table(
    "setting",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    comment="Facts about the installation: the fingerprint of the pepper, when an alarm was last told.",
)

customer = Table(
    "customer",
    metadata,
    _key(),
    Column("name", Text, nullable=False, unique=True),
    Column("locale", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("removed_at", Instant),
    comment="An owner of keys. Removed customers keep their row while findings point at it.",
)

channel = Table(
    "channel",
    metadata,
    _key(),
    _refers("customer.id", nullable=True),
    Column("url", Text, nullable=False),  # mailto:… or an Apprise URL; never logged
    Column("created_at", Instant, nullable=False),
    Column("retired_at", Instant),
    UniqueConstraint("customer_id", "url"),
    comment="One address of one recipient. Without a customer it is the operator's.",
)
Index(
    "uq_channel_operator_url",
    channel.c.url,
    unique=True,
    sqlite_where=channel.c.customer_id.is_(None),
    postgresql_where=channel.c.customer_id.is_(None),
)

registered_key = Table(
    "registered_key",
    metadata,
    _key(),
    _refers("customer.id"),
    Column("scheme", Text, nullable=False),  # in what form the customer sent it: sha256
    Column("digest", LargeBinary(32), nullable=False),  # HMAC-SHA256 of that digest under the pepper
    Column("provider", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("key_id", Text, nullable=False),  # the provider's own id of the key, or ""
    Column("created_at", Instant, nullable=False),
    Column("retired_at", Instant),
    UniqueConstraint("digest", "customer_id"),  # one digest may have several owners; led by digest for the lookup
    comment="A customer's key, by digest alone. Retired keys match no more.",
)

source = Table(
    "source",
    metadata,
    Column("name", Text, primary_key=True),
    Column("checkpoint", LargeBinary),  # sealed: a cursor may hold a key
    Column("next_poll_at", Instant, nullable=False),
    Column("polled_at", Instant),  # the last poll, whatever came of it
    Column("succeeded_at", Instant),  # the last poll that worked
    Column("failures", Integer, nullable=False, server_default=text("0")),  # polls failed in a row
    Column("reason", Text),  # of the last failure; NULL when the last poll worked
    Column("detail", Quoted),
    Column("alarmed_at", Instant),  # since when the operator knows of the failure
    Column("polls", BigInteger, nullable=False, server_default=text("0")),
    Column("documents", BigInteger, nullable=False, server_default=text("0")),  # scanned
    Column("bytes", BigInteger, nullable=False, server_default=text("0")),  # of listings
    Column("interval", Float),  # seconds between two polls, by how busy it is; NULL: not learnt yet
    Column("news_at", Instant),  # the last poll that found something new
    Column("news", BigInteger, nullable=False, server_default=text("0")),  # polls that did
    Column("lull", Float, nullable=False, server_default=text("0")),  # the longest time without, in seconds; it fades
    Column("latency", Float),  # seconds from publication to scan, smoothed
    Column("gaps", BigInteger, nullable=False, server_default=text("0")),  # polls that shared nothing with the last
    Column("gap_at", Instant),  # the last of them
    Column("left", Integer, nullable=False, server_default=text("0")),  # what the last poll left to the next
    Column("missed", BigInteger, nullable=False, server_default=text("0")),  # documents for which there was no room
    Column("missed_at", Instant),  # the last of them
    Column("quota", BigInteger),  # requests left, as far as the site says
    Column("canary_at", Instant),  # when its canary was last looked for
    Column("canary", Text),  # why it was not found; NULL: it was, or there is none
    Column("fetched", BigInteger, nullable=False, server_default=text("0")),  # listed documents that were had
    Column("gone", BigInteger, nullable=False, server_default=text("0")),  # that were not there, looked at twice
    Column("refused", BigInteger, nullable=False, server_default=text("0")),  # that the site kept from us, as often
    Column("missing", Integer, nullable=False, server_default=text("0")),  # of both, since one was had
    Column("missing_reason", Text),  # why the last of these was: gone, blocked
    Column("waiting", Integer, nullable=False, server_default=text("0")),  # jobs that keep it from being polled
    Column("lfs", BigInteger, nullable=False, server_default=text("0")),  # files that repositories point at, elsewhere
    Column("submodules", BigInteger, nullable=False, server_default=text("0")),  # that they point at
    Column("pushed_at", Instant),  # when the site last told of news by itself
    comment="A place we poll: its checkpoint, when it is due, and how it fares.",
)

source_error = Table(
    "source_error",
    metadata,
    Column("source", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("last_at", Instant, nullable=False),
    comment="How often a source's polls have failed, by reason.",
)

document = Table(
    "document",
    metadata,
    Column("identity", LargeBinary(16), primary_key=True),  # keyed hash of source, where it comes from, id and version
    Column("source", Text, nullable=False),
    Column("listed_at", Instant, nullable=False),
    comment="What has been listed before, so that it is fetched once. Says nothing of the document.",
    sqlite_with_rowid=False,
)

finding = Table(
    "finding",
    metadata,
    _key(),
    Column("key_id", Id, ForeignKey("registered_key.id", ondelete="CASCADE"), nullable=False, unique=True),
    Column("detector", Text, nullable=False),
    Column("masked", Text, nullable=False),  # public prefix and last four characters
    Column("first_seen_at", Instant, nullable=False),
    Column("last_seen_at", Instant, nullable=False),
    Column("closed_at", Instant),
    Column("answer", Text),  # its owner's last word: acknowledged, revoked, false_alarm
    Column("answered_at", Instant),
    comment="One customer key exposed.",
)

sighting = Table(
    "sighting",
    metadata,
    _key(),
    _refers("finding.id"),
    Column("document", LargeBinary(16), nullable=False),  # the document's identity
    Column("source", Text, nullable=False),
    Column("url", Quoted, nullable=False),  # this and what follows: redacted
    Column("title", Quoted, nullable=False),
    Column("author", Quoted, nullable=False),
    Column("path", Quoted, nullable=False),
    Column("field", Text, nullable=False),  # text, url, title, author, path, id
    Column("line", Integer, nullable=False),
    Column("column", Integer, nullable=False),
    Column("published_at", Instant),
    Column("first_seen_at", Instant, nullable=False),
    Column("last_seen_at", Instant, nullable=False),
    Column("looks", Integer, nullable=False, server_default=text("0")),  # times that its address was looked at again
    Column("looked_at", Instant),
    Column("look_at", Instant, index=True),  # when it is next; NULL: no more
    Column("gone_at", Instant),  # when nothing was there any more
    UniqueConstraint("finding_id", "document"),
    comment="One document in which an exposed key stands, and the first place in it.",
)

takedown = Table(
    "takedown",
    metadata,
    _key(),
    _refers("finding.id", index=True),
    Column("host", Text, nullable=False),
    Column("address", Text, nullable=False),  # mailto:…
    Column("message_id", Text, nullable=False),
    Column("sent_at", Instant, nullable=False),
    comment="A request to a host to take a finding's documents down, as its mail server accepted it.",
)

notice = Table(
    "notice",
    metadata,
    _key(),
    _refers("customer.id", nullable=True),  # NULL: to the operator
    Column("kind", Text, nullable=False),  # exposure, digest, reminder, test; finding, alarm, summary, event
    Column("alarm", Text),  # an alarm's reason word, an event's type
    Column("detail", Quoted),  # an alarm's one paragraph
    Column("created_at", Instant, nullable=False, index=True),
    Column("held", Text),  # why it is not sent: hold, observe, breaker, dropped; NULL: it may go
    Column("remind_at", Instant),  # when its customer is asked again; NULL: not, or not yet
    Column("reminders", Integer, nullable=False, server_default=text("0")),  # so far
    Column("reminders_ended", Text),  # why there are no more: answered, closed, stopped, exhausted
    comment="A message owed to one customer, or to the operator.",
)
Index(
    "ix_notice_remind_at",
    notice.c.remind_at,
    sqlite_where=notice.c.remind_at.is_not(None),
    postgresql_where=notice.c.remind_at.is_not(None),
)

notice_finding = Table(
    "notice_finding",
    metadata,
    _refers("notice.id", primary_key=True),
    _refers("finding.id", primary_key=True, index=True),
    Column("since", Instant),  # it tells of places seen from then on; NULL: of all
    comment="What a notice tells of: findings that arrived together share one.",
)

delivery = Table(
    "delivery",
    metadata,
    _key(),
    _refers("notice.id"),
    _refers("channel.id"),
    Column("message_id", Text, nullable=False, unique=True),  # stored before the first attempt
    Column("state", Text, nullable=False),  # held, pending, accepted, dead, withdrawn, dropped
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("code", Integer),  # of the last attempt: SMTP's, where there is one
    Column("reason", Text),
    Column("detail", Quoted),  # what the peer said, redacted
    Column("created_at", Instant, nullable=False),
    Column("accepted_at", Instant),
    UniqueConstraint("notice_id", "channel_id"),
    comment="One notice on one channel: the ledger of what was sent. The engine's job is its only lease.",
)
Index("ix_delivery_state", delivery.c.state)

attempt = Table(
    "attempt",
    metadata,
    _key(),
    _refers("delivery.id", index=True),
    Column("at", Instant, nullable=False),
    Column("reason", Text),  # NULL: accepted
    Column("code", Integer),
    Column("detail", Quoted),
    comment="One try of a delivery, and what the peer said.",
)

answer = Table(
    "answer",
    metadata,
    _key(),
    _refers("notice.id", index=True),  # whose link was followed
    Column("word", Text, nullable=False),  # acknowledged, revoked, false_alarm
    Column("remark", Quoted, nullable=False),  # redacted
    Column("at", Instant, nullable=False),
    comment="What a customer has said to a notice.",
)

answer_finding = Table(
    "answer_finding",
    metadata,
    _refers("answer.id", primary_key=True),
    _refers("finding.id", primary_key=True, index=True),
    comment="What an answer is about.",
)

untold = Table(
    "untold",
    metadata,
    _refers("finding.id", primary_key=True),
    Column("since", Instant, nullable=False),  # when the first place was seen that its owner has not heard of
    Column("due_at", Instant, nullable=False, index=True),
    comment="Known findings seen in new places, of which their owners hear in their next digest.",
)

bounce = Table(
    "bounce",
    metadata,
    _key(),
    _refers("delivery.id", index=True),
    Column("at", Instant, nullable=False),
    Column("action", Text, nullable=False),  # failed or delayed
    Column("status", Text, nullable=False),  # as in 5.1.1
    Column("detail", Quoted, nullable=False),  # what the mail server says that gave up, redacted
    comment="A report that a mail did not arrive. It proves itself by its address alone: it may be forged.",
)

job = Table(
    "job",
    metadata,
    _key(),
    Column("queue", Text, nullable=False),  # names the handler
    Column("payload", LargeBinary, nullable=False),  # sealed where it could hold a key
    Column("lane", Text, nullable=False),  # within a queue: the source or host whose concurrency is limited
    Column("dedupe_key", Text, unique=True),  # NULL once the job is dead
    Column("priority", Integer, nullable=False),  # lower goes first
    Column("state", Text, nullable=False),  # ready, running, dead
    Column("run_at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False),  # failures so far
    Column("size", Integer, nullable=False, server_default=text("1")),  # of a fetch: documents in it
    Column("picks", Integer, nullable=False),  # times claimed since the last settlement: more than one is a crash
    Column("owner", Text),  # the process that holds the lease
    Column("leased_until", Instant),
    Column("created_at", Instant, nullable=False),
    Column("died_at", Instant),
    Column("reason", Text),  # of the last failure
    Column("detail", Quoted),
    comment="Durable work of the embedded engine. A job that is done is deleted; one given up stays, dead.",
)
# All that a claim asks for: behind a backlog of lanes that are full, nothing else need be read.
Index("ix_job_claim", job.c.state, job.c.queue, job.c.priority, job.c.run_at, job.c.lane)
Index(
    "ix_job_leased_until",
    job.c.leased_until,
    sqlite_where=job.c.state == "running",
    postgresql_where=job.c.state == "running",
)

"""The first schema."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "customer",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("removed_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer")),
        sa.UniqueConstraint("name", name=op.f("uq_customer_name")),
        comment="An owner of keys. Removed customers keep their row while findings point at it.",
    )
    op.create_table(
        "document",
        sa.Column("identity", sa.LargeBinary(length=16), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("listed_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("identity", name=op.f("pk_document")),
        comment="What has been listed before, so that it is fetched once. Says nothing of the document.",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "job",
        sa.Column("id", ID, nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("dedupe_key", sa.Text()),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("run_at", INSTANT, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("picks", sa.Integer(), nullable=False),
        sa.Column("owner", sa.Text()),
        sa.Column("leased_until", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("died_at", INSTANT),
        sa.Column("reason", sa.Text()),
        sa.Column("detail", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sa.UniqueConstraint("dedupe_key", name=op.f("uq_job_dedupe_key")),
        comment="Durable work of the embedded engine. A job that is done is deleted; one given up stays, dead.",
    )
    op.create_index(
        "ix_job_leased_until",
        "job",
        ["leased_until"],
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_index("ix_job_claim", "job", ["state", "queue", "priority", "run_at", "lane"])

    op.create_table(
        "setting",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_setting")),
        comment="Facts about the installation: the fingerprint of the pepper, when an alarm was last told.",
    )
    op.create_table(
        "source",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("checkpoint", sa.LargeBinary()),
        sa.Column("next_poll_at", INSTANT, nullable=False),
        sa.Column("polled_at", INSTANT),
        sa.Column("succeeded_at", INSTANT),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("detail", sa.Text()),
        sa.Column("alarmed_at", INSTANT),
        sa.Column("polls", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("documents", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_source")),
        comment="A place we poll: its checkpoint, when it is due, and how it fares.",
    )
    op.create_table(
        "channel",
        sa.Column("id", ID, nullable=False),
        sa.Column("customer_id", ID),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("retired_at", INSTANT),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customer.id"], name=op.f("fk_channel_customer_id_customer"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channel")),
        sa.UniqueConstraint("customer_id", "url", name=op.f("uq_channel_customer_id_url")),
        comment="One address of one recipient. Without a customer it is the operator's.",
    )
    op.create_index(
        "uq_channel_operator_url",
        "channel",
        ["url"],
        unique=True,
        sqlite_where=sa.text("customer_id IS NULL"),
        postgresql_where=sa.text("customer_id IS NULL"),
    )

    op.create_table(
        "notice",
        sa.Column("id", ID, nullable=False),
        sa.Column("customer_id", ID),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("alarm", sa.Text()),
        sa.Column("detail", sa.Text()),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("held", sa.Text()),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customer.id"], name=op.f("fk_notice_customer_id_customer"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice")),
        comment="A message owed to one customer, or to the operator.",
    )
    op.create_index(op.f("ix_notice_created_at"), "notice", ["created_at"])

    op.create_table(
        "registered_key",
        sa.Column("id", ID, nullable=False),
        sa.Column("customer_id", ID, nullable=False),
        sa.Column("scheme", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("retired_at", INSTANT),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customer.id"],
            name=op.f("fk_registered_key_customer_id_customer"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registered_key")),
        sa.UniqueConstraint("digest", "customer_id", name=op.f("uq_registered_key_digest_customer_id")),
        comment="A customer's key, by digest alone. Retired keys match no more.",
    )
    op.create_table(
        "delivery",
        sa.Column("id", ID, nullable=False),
        sa.Column("notice_id", ID, nullable=False),
        sa.Column("channel_id", ID, nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("code", sa.Integer()),
        sa.Column("reason", sa.Text()),
        sa.Column("detail", sa.Text()),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("accepted_at", INSTANT),
        sa.ForeignKeyConstraint(
            ["channel_id"], ["channel.id"], name=op.f("fk_delivery_channel_id_channel"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["notice_id"], ["notice.id"], name=op.f("fk_delivery_notice_id_notice"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
        sa.UniqueConstraint("message_id", name=op.f("uq_delivery_message_id")),
        sa.UniqueConstraint("notice_id", "channel_id", name=op.f("uq_delivery_notice_id_channel_id")),
        comment="One notice on one channel: the ledger of what was sent. The engine's job is its only lease.",
    )
    op.create_index("ix_delivery_state", "delivery", ["state"])

    op.create_table(
        "finding",
        sa.Column("id", ID, nullable=False),
        sa.Column("key_id", ID, nullable=False),
        sa.Column("detector", sa.Text(), nullable=False),
        sa.Column("masked", sa.Text(), nullable=False),
        sa.Column("first_seen_at", INSTANT, nullable=False),
        sa.Column("last_seen_at", INSTANT, nullable=False),
        sa.Column("closed_at", INSTANT),
        sa.ForeignKeyConstraint(
            ["key_id"],
            ["registered_key.id"],
            name=op.f("fk_finding_key_id_registered_key"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_finding")),
        sa.UniqueConstraint("key_id", name=op.f("uq_finding_key_id")),
        comment="One customer key exposed.",
    )
    op.create_table(
        "attempt",
        sa.Column("id", ID, nullable=False),
        sa.Column("delivery_id", ID, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("code", sa.Integer()),
        sa.Column("detail", sa.Text()),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["delivery.id"], name=op.f("fk_attempt_delivery_id_delivery"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
        comment="One try of a delivery, and what the peer said.",
    )
    op.create_index(op.f("ix_attempt_delivery_id"), "attempt", ["delivery_id"])

    op.create_table(
        "notice_finding",
        sa.Column("notice_id", ID, nullable=False),
        sa.Column("finding_id", ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["finding_id"],
            ["finding.id"],
            name=op.f("fk_notice_finding_finding_id_finding"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["notice_id"], ["notice.id"], name=op.f("fk_notice_finding_notice_id_notice"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("notice_id", "finding_id", name=op.f("pk_notice_finding")),
        comment="What a notice tells of: findings that arrived together share one.",
    )
    op.create_index(op.f("ix_notice_finding_finding_id"), "notice_finding", ["finding_id"])

    op.create_table(
        "sighting",
        sa.Column("id", ID, nullable=False),
        sa.Column("finding_id", ID, nullable=False),
        sa.Column("document", sa.LargeBinary(length=16), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("column", sa.Integer(), nullable=False),
        sa.Column("published_at", INSTANT),
        sa.Column("first_seen_at", INSTANT, nullable=False),
        sa.Column("last_seen_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["finding_id"], ["finding.id"], name=op.f("fk_sighting_finding_id_finding"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sighting")),
        sa.UniqueConstraint("finding_id", "document", name=op.f("uq_sighting_finding_id_document")),
        comment="One document in which an exposed key stands, and the first place in it.",
    )

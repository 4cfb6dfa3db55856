"""How well each source is watched, and whether what was found is still there."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

INSTANT = sa.DateTime(timezone=True)


def _count(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, server_default=sa.text("0"))


def upgrade() -> None:
    for column in (
        _count("bytes", sa.BigInteger()),
        sa.Column("interval", sa.Float()),
        sa.Column("news_at", INSTANT),
        _count("news", sa.BigInteger()),
        _count("lull", sa.Float()),
        sa.Column("latency", sa.Float()),
        _count("gaps", sa.BigInteger()),
        sa.Column("gap_at", INSTANT),
        _count("left", sa.Integer()),
        sa.Column("quota", sa.BigInteger()),
        sa.Column("canary_at", INSTANT),
        sa.Column("canary", sa.Text()),
    ):
        op.add_column("source", column)
    op.create_table(
        "source_error",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("last_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("source", "reason", name=op.f("pk_source_error")),
        comment="How often a source's polls have failed, by reason.",
    )
    for column in (
        _count("looks", sa.Integer()),
        sa.Column("looked_at", INSTANT),
        sa.Column("look_at", INSTANT),
        sa.Column("gone_at", INSTANT),
    ):
        op.add_column("sighting", column)
    op.create_index(op.f("ix_sighting_look_at"), "sighting", ["look_at"])
    op.execute("UPDATE sighting SET look_at = last_seen_at")

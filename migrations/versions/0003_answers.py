"""What customers answer, when they are reminded, what comes back."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("finding", sa.Column("answer", sa.Text()))
    op.add_column("finding", sa.Column("answered_at", INSTANT))
    op.add_column("notice", sa.Column("remind_at", INSTANT))
    op.add_column("notice", sa.Column("reminders", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("notice", sa.Column("reminders_ended", sa.Text()))
    op.create_index(
        "ix_notice_remind_at",
        "notice",
        ["remind_at"],
        sqlite_where=sa.text("remind_at IS NOT NULL"),
        postgresql_where=sa.text("remind_at IS NOT NULL"),
    )
    op.add_column("notice_finding", sa.Column("since", INSTANT))
    _answers()
    _untold()
    _bounces()


def _answers() -> None:
    op.create_table(
        "answer",
        sa.Column("id", ID, nullable=False),
        sa.Column("notice_id", ID, nullable=False),
        sa.Column("word", sa.Text(), nullable=False),
        sa.Column("remark", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["notice_id"], ["notice.id"], name=op.f("fk_answer_notice_id_notice"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_answer")),
        comment="What a customer has said to a notice.",
    )
    op.create_index(op.f("ix_answer_notice_id"), "answer", ["notice_id"])
    op.create_table(
        "answer_finding",
        sa.Column("answer_id", ID, nullable=False),
        sa.Column("finding_id", ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["answer_id"], ["answer.id"], name=op.f("fk_answer_finding_answer_id_answer"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["finding_id"], ["finding.id"], name=op.f("fk_answer_finding_finding_id_finding"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("answer_id", "finding_id", name=op.f("pk_answer_finding")),
        comment="What an answer is about.",
    )
    op.create_index(op.f("ix_answer_finding_finding_id"), "answer_finding", ["finding_id"])


def _untold() -> None:
    op.create_table(
        "untold",
        sa.Column("finding_id", ID, nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["finding_id"], ["finding.id"], name=op.f("fk_untold_finding_id_finding"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("finding_id", name=op.f("pk_untold")),
        comment="Known findings seen in new places, of which their owners hear in their next digest.",
    )
    op.create_index(op.f("ix_untold_due_at"), "untold", ["due_at"])


def _bounces() -> None:
    op.create_table(
        "bounce",
        sa.Column("id", ID, nullable=False),
        sa.Column("delivery_id", ID, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["delivery.id"], name=op.f("fk_bounce_delivery_id_delivery"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bounce")),
        comment="A report that a mail did not arrive. It proves itself by its address alone: it may be forged.",
    )
    op.create_index(op.f("ix_bounce_delivery_id"), "bounce", ["delivery_id"])

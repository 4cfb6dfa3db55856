"""Whether the documents that a source lists can be had, and whether it is polled at all."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    for name in ("fetched", "gone", "refused"):
        op.add_column("source", sa.Column(name, sa.BigInteger(), nullable=False, server_default=sa.text("0")))
    for name in ("missing", "waiting"):
        op.add_column("source", sa.Column(name, sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.add_column("source", sa.Column("missing_reason", sa.Text()))

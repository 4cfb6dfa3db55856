"""What waits to be scanned, in documents, and what there was no room for."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    one, nothing = sa.text("1"), sa.text("0")
    op.add_column("job", sa.Column("size", sa.Integer(), nullable=False, server_default=one))
    op.add_column("source", sa.Column("missed", sa.BigInteger(), nullable=False, server_default=nothing))
    op.add_column("source", sa.Column("missed_at", sa.DateTime(timezone=True)))

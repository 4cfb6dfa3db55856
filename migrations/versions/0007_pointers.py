"""What repositories point at and do not hold."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    nothing = sa.text("0")
    op.add_column("source", sa.Column("lfs", sa.BigInteger(), nullable=False, server_default=nothing))
    op.add_column("source", sa.Column("submodules", sa.BigInteger(), nullable=False, server_default=nothing))

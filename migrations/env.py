"""Runs the migrations on the connection that `leakwatch.store.upgrading` hands over, in its transaction."""

from typing import Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import TypeDecorator

from leakwatch.store.tables import Instant, metadata


def _written(kind: str, item: object, _: AutogenContext) -> str | Literal[False]:
    """How a new migration writes our own column types: a migration does not change when our code does."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return "sa.DateTime(timezone=True)" if isinstance(item, Instant) else "sa.Text()"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a table by copying it
    render_item=_written,
    compare_server_default=True,
)
context.run_migrations()

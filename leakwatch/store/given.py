"""Many rows given to one statement: a table made of a few parameters, instead of a parameter for each value."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeGuard

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    LargeBinary,
    Table,
    Text,
    cast,
    column,
    func,
    literal,
    select,
    true,
)
from sqlalchemy.dialects import postgresql, sqlite

from leakwatch.store.database import Transaction

Values = Sequence[int] | Sequence[str] | Sequence[bytes]
"""A column of at least one value; those of bytes are all of one length."""

_TYPES: Final = {int: BigInteger(), str: Text(), bytes: LargeBinary()}


def table(tx: Transaction, columns: Mapping[str, Values]) -> FromClause:
    """Return a table of these columns, to select from or to join."""
    return _sqlite(columns) if tx.connection.dialect.name == "sqlite" else _postgres(columns)


def insert(
    tx: Transaction, into: Table, columns: Mapping[str, Values], **same: Any
) -> "sqlite.Insert | postgresql.Insert":
    """Return the INSERT of rows with these columns, and with `same` in every row: the caller says what of conflicts."""
    rows = table(tx, columns)
    constants = (literal(value, into.c[name].type).label(name) for name, value in same.items())
    # SQLite takes ON CONFLICT for a join's ON unless there is a WHERE between.
    query = select(*(rows.c[name] for name in columns), *constants).where(true())
    return tx.insert(into).from_select([*columns, *same], query)


def _postgres(columns: Mapping[str, Values]) -> FromClause:
    arrays = [literal(list(values), postgresql.ARRAY(_type(values))) for values in columns.values()]
    named = [column(name, _type(values)) for name, values in columns.items()]
    return func.unnest(*arrays).table_valued(*named, name="given").render_derived()


def _sqlite(columns: Mapping[str, Values]) -> FromClause:
    """SQLite reads JSON as a table; bytes, which JSON has not, are cut from one long value by the row's number."""
    plain = {name: values for name, values in columns.items() if not _is_bytes(values)}
    rows = list(zip(*plain.values(), strict=True)) if plain else [0] * len(next(iter(columns.values())))
    each = func.json_each(json.dumps(rows)).table_valued("key", "value", name="each")
    fields = {name: _field(each, place, values) for place, (name, values) in enumerate(plain.items())}
    fields |= {name: _cut(each, values) for name, values in columns.items() if _is_bytes(values)}
    return select(*(fields[name].label(name) for name in columns)).select_from(each).subquery("given")


def _field(each: FromClause, place: int, values: Values) -> ColumnElement[Any]:
    return func.json_extract(each.c.value, f"$[{place}]", type_=_type(values))


def _cut(each: FromClause, values: Sequence[bytes]) -> ColumnElement[Any]:
    length = len(values[0])
    return func.substr(
        literal(b"".join(values)), cast(each.c.key, BigInteger) * length + 1, length, type_=LargeBinary()
    )


def _is_bytes(values: Values) -> TypeGuard[Sequence[bytes]]:
    return isinstance(values[0], bytes)


def _type(values: Values) -> Any:
    return _TYPES[type(values[0])]

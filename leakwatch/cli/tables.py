"""What commands print: tables for a person, JSON for a program."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from leakwatch.cli.frame import visible

P = ParamSpec("P")
R = TypeVar("R")
Row = Mapping[str, Any]


def json_option(function: Callable[P, R]) -> Callable[P, R]:
    """Give a list its `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")(function)


def show(rows: Sequence[Row], *, as_json: bool, empty: str = "nothing to show") -> None:
    """Print rows as a table for a person, or as a JSON list for a program."""
    if as_json:
        click.echo(json.dumps([dict(row) for row in rows], indent=2, default=_plain, ensure_ascii=False))
        return
    if not rows:
        click.echo(empty, err=True)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0]:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(Text(_shown(value)) for value in row.values()))
    console().print(table)


def show_object(facts: Row) -> None:
    """Print one thing for a program."""
    click.echo(json.dumps(facts, indent=2, default=_plain, ensure_ascii=False))


def console() -> Console:
    """Return standard output: as wide as the terminal, and never cut when there is none."""
    piped = not sys.stdout.isatty()
    return Console(width=200 if piped else None, soft_wrap=piped, highlight=False)


def _shown(value: Any) -> str:
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}"
        case list() | tuple():
            return ", ".join(_shown(v) for v in value)
        case _:
            return visible(str(value))


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else str(value)

"""The table of the places that leakwatch knows how to watch: ``python -m leakwatch.definitions.places`` prints it."""

import sys
from pathlib import Path
from typing import Final

from leakwatch.definitions.files import available, load
from leakwatch.definitions.model import Definition

_HEAD: Final = ("`use`", "Place", "Kind", "Verified against")


def table() -> str:
    """Return the shipped definitions as a Markdown table: those that were run against the real thing first."""
    found = [load(path) for path in available(Path("no such folder"))]
    rows = [_HEAD, ("---",) * len(_HEAD), *map(_row, sorted(found, key=lambda d: (not d.verified, d.name)))]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _row(definition: Definition) -> tuple[str, ...]:
    off = "" if definition.enabled else " (off until you enable it)"
    verified = definition.verified.partition(":")[0] or "nothing yet: made from documents"
    return f"`{definition.name}`", f"{definition.title}{off}", definition.kind, verified


if __name__ == "__main__":
    sys.stdout.write(table())

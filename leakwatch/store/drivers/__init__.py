"""How a connection is opened, by the driver of each kind of database. Only the one that is used is imported."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast


def options(kind: str) -> Mapping[str, Any]:
    """Return what SQLAlchemy is told of a kind of database."""
    return cast(Mapping[str, Any], import_module(f"{__name__}.{kind}").OPTIONS)

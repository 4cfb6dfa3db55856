"""Where definitions lie, and how one is read with the configuration's changes laid over it."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from leakwatch.definitions.checks import Wrong
from leakwatch.definitions.model import Definition
from leakwatch.errors import DefinitionError
from leakwatch.toml import Problem, Problems, line_of, read

_PACKAGE: Final = Path(__file__).parent.parent


class OverrideError(DefinitionError):
    """The configuration's override does not fit the definition that it lies over."""

    def __init__(self, path: Path, wrong: Sequence[Wrong]) -> None:
        said = "; ".join(f"{'.'.join(map(str, where))}: {what}" for where, what in wrong)
        super().__init__(f"the override of {path.stem} does not fit it: {said}", mend=f"compare it with {path}")
        self.wrong = tuple(wrong)


def shipped() -> Path:
    """Return the folder of the definitions that come with leakwatch, installed or in a checkout."""
    inside = _PACKAGE / "sources"
    return inside if inside.is_dir() else _PACKAGE.parent / "sources"


def find(name: str, own: Path) -> Path:
    """Return the file that defines a name; the operator's own folder goes first. Raises DefinitionError."""
    for folder in (own, shipped()):
        path = folder / f"{name}.toml"
        if path.is_file():
            return path
    known = ", ".join(sorted({p.stem for p in available(own)}))
    message = f"no definition is named {name}"
    raise DefinitionError(message, mend=f"put {name}.toml into {own}, or use one of: {known}")


def available(own: Path) -> Iterator[Path]:
    """Yield every definition's file: the operator's own, then those that come with leakwatch."""
    for folder in (own, shipped()):
        if folder.is_dir():
            yield from sorted(folder.glob("*.toml"))


def load(path: Path, override: Mapping[str, Any] | None = None) -> Definition:
    """Read one definition, with the configuration's overrides laid over it.

    Raises Problems for the file, OverrideError for an override that does not fit it.
    """
    definition = read(path, Definition)
    if definition.name != path.stem:
        line = line_of(path.read_text(encoding="utf-8"), ("name",))
        what = f"the name is {definition.name} in a file called {path.name}"
        raise Problems([Problem(file=str(path), line=line, what=what, mend="give both the same name")])
    if not override:
        return definition
    merged = _merge(tomllib.loads(path.read_text(encoding="utf-8")), override)
    try:
        return Definition.model_validate(merged)
    except ValidationError as error:
        raise OverrideError(path, [(detail["loc"], detail["msg"]) for detail in error.errors()]) from None


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        deep = isinstance(value, Mapping) and isinstance(below.get(name), Mapping)
        merged[name] = _merge(below[name], value) if deep else value
    return merged

"""TOML files into typed models: every problem with its file, line and what to change.

The standard library reads TOML without positions, so `line_of` finds the line of a value again in the text. It
understands what people write (tables, arrays of tables, keys, dotted keys); where it cannot find the exact line it
gives the nearest enclosing one.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from leakwatch.errors import ConfigError

_HEADER: Final = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_ASSIGNMENT: Final = re.compile(
    r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_PART: Final = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_SYNTAX_LINE: Final = re.compile(r"\(at line (\d+), column \d+\)")

Path_ = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)


class Strict(BaseModel):
    """The base of every model read from TOML: unknown keys are errors, types are not guessed, nothing changes later."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, arbitrary_types_allowed=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a file."""

    file: str
    line: int  # from 1; 0 when it is about the whole file
    what: str
    mend: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.what}" + (f" ({self.mend})" if self.mend else "")


class Problems(ConfigError):
    """A file with at least one problem; the message lists every one."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(p) for p in problems))
        self.problems = tuple(problems)


def read(path: Path, model: type[Model]) -> Model:
    """Read a file into a model. Raises Problems, each with file and line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Problems([Problem(file=str(path), line=0, what=f"cannot be read: {why}")]) from error
    return parse(text, model, file=str(path))


def parse(text: str, model: type[Model], *, file: str) -> Model:
    """Read a text into a model. Raises Problems, each with file and line."""
    try:
        return model.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise Problems([_syntax(error, text, file)]) from None
    except ValidationError as error:
        raise Problems([_invalid(detail, model, text, file) for detail in error.errors()]) from None


def line_of(text: str, path: Path_) -> int:
    """Return the line (from 1) on which the value at a path stands, or of what encloses it; else 0."""
    found, best = 0, 0
    for number, where in _keys(text):
        shared = _shared(where, path)
        if shared > best or (shared == best == len(where) and not found):
            found, best = number, shared
    return found


def _keys(text: str) -> list[tuple[int, Path_]]:
    """Every table header and assignment with its line and full path."""
    table: Path_ = ()
    counts: dict[Path_, int] = {}
    keys: list[tuple[int, Path_]] = []
    quote = ""
    for number, line in enumerate(text.split("\n"), 1):
        if quote:
            quote = "" if quote in line else quote
            continue
        if header := _HEADER.match(line):
            table = _table(_parts(header[2]), array=header[1] == "[[", counts=counts)
            keys.append((number, table))
        elif assignment := _ASSIGNMENT.match(line):
            keys.append((number, table + _parts(assignment[1])))
            rest = line[assignment.end() :]
            quote = next((q for q in ('"""', "'''") if rest.count(q) == 1), "")
    return keys


def _table(names: Path_, *, array: bool, counts: dict[Path_, int]) -> Path_:
    path: Path_ = ()
    for name in names[:-1]:
        path += (name,)
        if path in counts:
            path += (counts[path],)
    path += names[-1:]
    if not array:
        return path
    counts[path] = counts.get(path, -1) + 1
    return (*path, counts[path])


def _parts(dotted: str) -> Path_:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def _shared(one: Path_, other: Path_) -> int:
    """How many leading steps two paths share; 0 unless `one` is a prefix of `other`."""
    return len(one) if other[: len(one)] == one else 0


def _syntax(error: tomllib.TOMLDecodeError, text: str, file: str) -> Problem:
    what = str(error)
    at = _SYNTAX_LINE.search(what)
    line = int(at[1]) if at else text.count("\n") + 1
    return Problem(file=file, line=line, what=f"is not TOML: {_SYNTAX_LINE.sub('', what).strip()}")


def _invalid(detail: Any, model: type[BaseModel], text: str, file: str) -> Problem:
    path: Path_ = tuple(detail["loc"])
    name = ".".join(str(p) for p in path)
    line = line_of(text, path)
    match detail["type"]:
        case "extra_forbidden":
            known = _fields(model, path[:-1])
            close = get_close_matches(str(path[-1]), known, n=1)
            mend = f"did you mean {close[0]}?" if close else f"known here: {', '.join(sorted(known))}"
            return Problem(file=file, line=line, what=f"unknown setting {name}", mend=mend)
        case "missing":
            return Problem(file=file, line=line, what=f"{name} is missing", mend=_example(model, path))
        case "bool_type":
            return Problem(file=file, line=line, what=f"{name}: write true or false")
        case _:
            said = detail["msg"].removeprefix("Value error, ")
            return Problem(file=file, line=line, what=f"{name}: {said[:1].lower()}{said[1:]}")


def _example(model: type[BaseModel], path: Path_) -> str:
    """The least that can stand at a path, made of its fields' examples; "" where they have none."""
    inside = _model_at(model, path[:-1])
    known = {field.alias or name: field for name, field in inside.model_fields.items()} if inside else {}
    field = known.get(str(path[-1]))
    if field is None:
        return ""
    if field.examples:
        return f'write {path[-1]} = "{field.examples[0]}"'
    table = _model_in(field.annotation)
    lines = [
        f'{part.alias or name} = "{part.examples[0]}"'
        for name, part in (table.model_fields.items() if table else ())
        if part.examples
    ]
    return f"write [{path[-1]}] and below it {', '.join(lines)}" if lines else ""


def _fields(model: type[BaseModel], path: Path_) -> list[str]:
    """The names that are known at a path of a model."""
    inside = _model_at(model, path)
    return [field.alias or name for name, field in inside.model_fields.items()] if inside else []


def _model_at(model: type[BaseModel], path: Path_) -> type[BaseModel] | None:
    """The model of the table at a path of a model."""
    current: Any = model
    for step in path:
        if isinstance(step, str) and isinstance(current, type) and issubclass(current, BaseModel):
            known = next((f for n, f in current.model_fields.items() if step in (n, f.alias)), None)
            current = None if known is None else _model_in(known.annotation)
    return current if isinstance(current, type) and issubclass(current, BaseModel) else None


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    arguments = getattr(annotation, "__args__", ())
    return next((m for m in map(_model_in, arguments) if m is not None), None)

"""Detectors: the format of one key type each, read from `detectors/*.toml`, one file per provider."""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from random import Random
from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from leakwatch.scan import expressions, synthetic
from leakwatch.scan.checks import CHECKS
from leakwatch.toml import Problem, Problems, Strict, line_of, read

Breadth = Literal["type", "family", "any"]
"""What a pattern takes: one key type, a family of them, or whatever carries the provider's marker."""

Confidence = Literal["doc", "peers", "inferred", "memory"]
"""Where a fact is from: the provider, other scanners' rules, a conclusion; or nobody has checked it."""

Strings = Annotated[tuple[str, ...], Field(strict=False)]  # TOML has lists

_ID: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_LEAST_HIDDEN: Final = 16  # characters of a key that its public prefix must leave


class Revocation(Strict):
    """How the owner ends a key, as a notice tells it."""

    page: str  # where in the provider's console
    steps: Annotated[Strings, Field(min_length=1)]  # whole sentences, in order
    confidence: Confidence  # of page and steps
    source: str  # where that is from; "" for memory


class _Format(Strict):
    """What a detector's definition and the detector have in common."""

    id: str
    name: str  # as shown to a person
    breadth: Breadth = "type"
    pattern: str  # the token alone, without look-around; alternatives longest first
    find: Annotated[Strings, Field(validate_default=True)] = ()  # shortest forms, each of one length
    reach: Annotated[int, Field(ge=0)] = (
        0  # a key begins, with its prefix, up to so many characters before what `find` found
    )
    prefix: str = ""  # a pattern: the start of a key that may be shown
    check: str = ""  # name of a structure check
    env_vars: Strings
    confidence: Confidence  # of the format
    sources: Strings
    examples: Annotated[Strings, Field(min_length=1)]  # templates of keys that the pattern takes whole
    counterexamples: Strings  # templates of strings in which this detector finds nothing


class Detector(_Format):
    """The format of one key type, with what its owner must know."""

    provider: str
    revocation: Revocation


class _Definition(_Format):
    """A detector as its file writes it, and what must be true of it."""

    revocation: str  # name of one of the file's revocations

    @field_validator("id")
    @classmethod
    def _is_a_slug(cls, value: str) -> str:
        if not _ID.fullmatch(value):
            raise ValueError("write an id in small letters, digits and hyphens")
        return value

    @field_validator("pattern", "prefix")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value.encode())
        except re.error as error:
            raise ValueError(f"it is not a regular expression: {error}") from None
        return value

    @field_validator("find")
    @classmethod
    def _can_be_found(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if not value and "pattern" in info.data:
            value = (expressions.shortest(info.data["pattern"]),)
        for expression in value:
            if why := expressions.refusal(expression):
                raise ValueError(why)
        return value

    @field_validator("check")
    @classmethod
    def _is_a_check(cls, value: str) -> str:
        if value and value not in CHECKS:
            raise ValueError(f"there is no check {value}; known are {', '.join(CHECKS)}")
        return value

    @field_validator("examples", "counterexamples")
    @classmethod
    def _can_be_filled(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for template in value:
            synthetic.fill(template, _random(template))
        return value

    @model_validator(mode="after")
    def _takes_its_examples(self) -> Self:
        for template in self.examples:
            key = synthetic.fill(template, _random(template))
            if not re.fullmatch(self.pattern, key):
                raise ValueError(f"the pattern does not take the whole of the example {template}")
            shown = re.match(self.prefix, key)
            if shown is None or len(key) - shown.end() < _LEAST_HIDDEN:
                raise ValueError(f"the prefix does not begin, or shows too much of, the example {template}")
        return self


class _File(Strict):
    """The detectors of one provider."""

    provider: str
    revocation: dict[str, Revocation]
    detector: list[_Definition]


@cache
def shipped() -> Sequence[Detector]:
    """Return the detectors that come with leakwatch."""
    with resources.as_file(resources.files("leakwatch.scan") / "detectors") as folder:
        return load(sorted(folder.glob("*.toml")))


def load(paths: Iterable[Path]) -> Sequence[Detector]:
    """Read files of detectors. Raises Problems, each with file and line."""
    problems: list[Problem] = []
    detectors: dict[str, Detector] = {}
    for path in paths:
        try:
            found = _read(path)
        except Problems as error:
            problems += error.problems
            continue
        for index, detector in enumerate(found):
            if detectors.setdefault(detector.id, detector) is not detector:
                problems.append(_problem(path, ("detector", index, "id"), f"the id {detector.id} is taken"))
    if problems:
        raise Problems(problems)
    return tuple(detectors.values())


def _read(path: Path) -> list[Detector]:
    file = read(path, _File)
    unknown = [
        _problem(path, ("detector", index, "revocation"), f"there is no revocation {definition.revocation}")
        for index, definition in enumerate(file.detector)
        if definition.revocation not in file.revocation
    ]
    if unknown:
        raise Problems(unknown)
    return [_detector(file, definition) for definition in file.detector]


def _detector(file: _File, definition: _Definition) -> Detector:
    return Detector(
        **definition.model_dump(exclude={"revocation"}),
        provider=file.provider,
        revocation=file.revocation[definition.revocation],
    )


def _problem(path: Path, where: tuple[str | int, ...], what: str) -> Problem:
    return Problem(file=str(path), line=line_of(path.read_text(encoding="utf-8"), where), what=what)


def _random(template: str) -> Random:
    """The chance that fills a template when it is validated: the same each time."""
    return Random(template)  # noqa: S311 - not for secrets: the keys are nobody's

"""Detectors: the format of one key type each, read from `detectors/*.toml`, one file per provider.

`advice.toml` holds what an owner does wherever a provider has nothing special to say.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from random import Random
from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from leakwatch import pem
from leakwatch.model import Guide
from leakwatch.scan import expressions, synthetic
from leakwatch.scan.checks import CHECKS
from leakwatch.toml import Problem, Problems, Strict, line_of, read

Breadth = Literal["type", "family", "any"]
"""What a pattern takes: one key type, a family of them, or whatever carries the provider's marker."""

Confidence = Literal["doc", "peers", "inferred", "memory"]
"""Where a fact is from: the provider, other scanners' rules, a conclusion; or nobody has checked it."""

Strings = Annotated[tuple[str, ...], Field(strict=False)]  # TOML has lists

Form = Literal["as-found", "pem"]
"""What of the characters in a text is the key: all of them, or of a private key in PEM its base64 alone."""

_ID: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_LEAST_HIDDEN: Final = 16  # characters of a key that its public prefix must leave
_MENU: Final = "menu"  # the advice that tells the way within a provider's pages


class Call(Strict):
    """One way to end a key by program, as the provider documents it. Nothing here calls it."""

    method: str  # of HTTP, or what else it is: CLI, SDK, RPC, UI
    address: str  # with the provider's own placeholders in it
    needs: str  # who may call it, and with what
    effect: str
    confidence: Confidence
    source: str = ""


class Revocation(Strict):
    """How the owner ends a key, as a notice tells it."""

    page: str = ""  # where in the provider's console; "" where there is none
    menu: str = ""  # the way from there, in the console's own words
    steps: Strings  # whole sentences, in order; {provider} and {menu} are put in when they are shown
    confidence: Confidence  # of page, menu and steps
    source: str = ""  # where that is from; "" for memory
    api: Annotated[tuple[Call, ...], Field(strict=False)] = ()


class _Way(Revocation):
    """A revocation as its file writes it."""

    advice: str = "key"  # name of the steps in advice.toml that are meant where there are none of its own
    steps: Strings = ()


class _Format(Strict):
    """What a detector's definition and the detector have in common."""

    id: str
    breadth: Breadth = "type"
    bare: bool = False  # no literal marks it: nothing is looked for but its names, and it names what is met otherwise
    pattern: str  # the token alone, without look-around; alternatives longest first
    find: Annotated[Strings, Field(validate_default=True)] = ()  # shortest forms, each of one length
    reach: Annotated[int, Field(ge=0)] = (
        0  # a key begins, with its prefix, up to so many characters before what `find` found
    )
    prefix: str = ""  # a pattern: the start of a key that may be shown
    form: Form = "as-found"
    canonical: str = ""  # what customers digest, where that is not simply the key as the provider shows it
    check: str = ""  # name of a structure check
    group: str = ""  # formats that look alike share it: only what stands around such a key tells whose it is
    context: Strings = ()  # words that stand near such a key; they name and rank, and never drop
    env_vars: Strings
    pair: str = ""  # what it means something beside
    note: str = ""  # what else a person should know of it
    confidence: Confidence  # of the format
    sources: Strings
    examples: Annotated[Strings, Field(min_length=1)]  # templates of keys that the pattern takes whole
    counterexamples: Strings  # templates of strings in which this detector finds nothing


class Detector(_Format):
    """The format of one key type, with what its owner must know."""

    provider: str
    wording: str  # the name as translators have it: {provider} stands in it
    revocation: Revocation

    @property
    def guide(self) -> Guide:
        """What a notice tells of such a key."""
        how = self.revocation
        return Guide(name=self.wording, provider=self.provider, page=how.page, menu=how.menu, steps=how.steps)

    @property
    def name(self) -> str:
        """The name as it is shown to a person who reads English."""
        return self.guide.said(self.wording)

    def key(self, text: str) -> str:
        """Return the key in what the pattern took: what is looked up, and what a customer digests."""
        return text if self.form == "as-found" else pem.body(text) or text


class _Definition(_Format):
    """A detector as its file writes it, and what must be true of it."""

    name: str  # as shown to a person; {provider} is put in
    revocation: str  # name of one of the file's revocations

    @field_validator("id", "group")
    @classmethod
    def _is_a_slug(cls, value: str, info: ValidationInfo) -> str:
        if (value or info.field_name == "id") and not _ID.fullmatch(value):
            raise ValueError("write it in small letters, digits and hyphens")
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
        if info.data.get("bare"):
            if value:
                raise ValueError("nothing is looked for where `bare` is set: leave `find` out")
            return ()
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
    def _can_be_named(self) -> Self:
        if self.bare and not self.group:
            raise ValueError("a bare format needs a group: others look like it")
        if self.group and not (self.context or self.env_vars):
            raise ValueError("a format that shares a group needs context or env_vars: nothing else can name it")
        return self

    @model_validator(mode="after")
    def _takes_its_examples(self) -> Self:
        for template in self.examples:
            key = synthetic.fill(template, _random(template))
            if not re.fullmatch(self.pattern.encode(), key.encode()):
                raise ValueError(f"the pattern does not take the whole of the example {template}")
            shown = re.match(self.prefix.encode(), key.encode())
            if shown is None or len(key) - shown.end() < _LEAST_HIDDEN:
                raise ValueError(f"the prefix does not begin, or shows too much of, the example {template}")
        return self


class _File(Strict):
    """The detectors of one provider."""

    provider: str
    revocation: dict[str, _Way]
    detector: list[_Definition]


class _Steps(Strict):
    """Sentences that many providers share."""

    steps: Strings


class _Advice(Strict):
    """advice.toml."""

    revocation: dict[str, _Steps]


@cache
def shipped() -> Sequence[Detector]:
    """Return the detectors that come with leakwatch."""
    with resources.as_file(resources.files("leakwatch.scan") / "detectors") as folder:
        return load(sorted(folder.glob("*.toml")))


def load(paths: Iterable[Path]) -> Sequence[Detector]:
    """Read files of detectors. Raises Problems, each with file and line."""
    problems: list[Problem] = []
    detectors: dict[str, Detector] = {}
    places: dict[str, tuple[Path, int]] = {}
    for path in paths:
        try:
            found = _read(path)
        except Problems as error:
            problems += error.problems
            continue
        for index, detector in enumerate(found):
            if detectors.setdefault(detector.id, detector) is not detector:
                problems.append(_problem(path, ("detector", index, "id"), f"the id {detector.id} is taken"))
            places.setdefault(detector.id, (path, index))
    why = expressions.untaken(list(dict.fromkeys(find for detector in detectors.values() for find in detector.find)))
    for detector in detectors.values() if why else ():
        path, index = places[detector.id]
        refused = [f"detector.{index}.find: {why[find]}" for find in detector.find if find in why]
        problems += [_problem(path, ("detector", index, "find"), what) for what in refused]
    if problems:
        raise Problems(problems)
    return tuple(detectors.values())


@cache
def _advice() -> dict[str, tuple[str, ...]]:
    with resources.as_file(resources.files("leakwatch.scan") / "advice.toml") as path:
        return {name: advice.steps for name, advice in read(path, _Advice).revocation.items()}


def _read(path: Path) -> list[Detector]:
    file = read(path, _File)
    unknown = [
        _problem(path, ("detector", index, "revocation"), f"there is no revocation {definition.revocation}")
        for index, definition in enumerate(file.detector)
        if definition.revocation not in file.revocation
    ]
    unknown += [
        _problem(path, ("revocation", name, "advice"), f"there is no advice {way.advice}")
        for name, way in file.revocation.items()
        if way.advice not in _advice()
    ]
    if unknown:
        raise Problems(unknown)
    return [_detector(file, definition) for definition in file.detector]


def _detector(file: _File, definition: _Definition) -> Detector:
    return Detector(
        **definition.model_dump(exclude={"name", "revocation"}),
        provider=file.provider,
        wording=definition.name,
        revocation=_revocation(file.revocation[definition.revocation]),
    )


def _revocation(way: _Way) -> Revocation:
    steps = way.steps or _advice()[way.advice]
    if way.menu:
        steps = (*_advice()[_MENU], *steps)
    return Revocation(**way.model_dump(exclude={"advice", "steps"}), steps=steps)


def _problem(path: Path, where: tuple[str | int, ...], what: str) -> Problem:
    return Problem(file=str(path), line=line_of(path.read_text(encoding="utf-8"), where), what=what)


def _random(template: str) -> Random:
    """The chance that fills a template when it is validated: the same each time."""
    return Random(template)  # noqa: S311 - not for secrets: the keys are nobody's

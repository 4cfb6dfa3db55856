"""What a survey found, as text for a person, as JSON, and as SARIF for the tools that read that."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.metadata import version
from itertools import groupby
from typing import Any, Final
from urllib.parse import quote

from leakwatch.model import Field
from leakwatch.scan import Detector, shipped
from leakwatch.survey.inspector import Hit
from leakwatch.survey.likelihood import Likelihood
from leakwatch.survey.unread import Problems

_SARIF: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS: Final = {
    Likelihood.REGISTERED: "error",
    Likelihood.LIKELY: "error",
    Likelihood.POSSIBLE: "warning",
    Likelihood.UNLIKELY: "note",
}
_WORDS: Final = {  # what is left alone on purpose
    "curtailed": "places that were read, but not in all ways, where many keys could be",
    "history": "folders of version control",
    "lfs": "files that LFS keeps elsewhere",
    "link": "links",
    "special": "pipes, sockets and devices",
    "submodule": "submodules",
}
_NO_CHARACTER: Final = re.compile("[\ud800-\udfff]")  # but a byte of a name that is not UTF-8
_ORDER: Final = {likelihood: rank for rank, likelihood in enumerate(Likelihood)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A hit, and whose keys it is."""

    hit: Hit
    owners: tuple[tuple[str, str], ...] = ()  # customer and label

    @property
    def likelihood(self) -> Likelihood:
        """What a customer has registered is a key, whatever it looks like."""
        return Likelihood.REGISTERED if self.owners else self.hit.likelihood

    @property
    def order(self) -> tuple[int, str, int, int]:
        """Where it stands in a list: customers' keys first, then by likelihood and place."""
        return _ORDER[self.likelihood], self.hit.path, self.hit.line, self.hit.column


@dataclass(slots=True, kw_only=True)
class Survey:
    """All that a survey has to say."""

    leaks: list[Leak] = field(default_factory=list)  # those that are shown
    hidden: int = 0  # unlikely ones that are not
    is_matched: bool = False  # whether it was asked what belongs to a customer
    files: int = 0
    size: int = 0  # bytes
    seconds: float = 0.0
    left: Counter[str] = field(default_factory=Counter)  # what was left alone on purpose
    elsewhere: Sequence[str] = ()  # submodules' addresses, that nobody followed
    problems: Problems = field(default_factory=Counter)  # what was to be looked at, and was not


def text(survey: Survey) -> Iterator[str]:
    """Yield the lines for a person: each likelihood under its heading, each file's places together."""
    names = _names()
    for likelihood, leaks in groupby(survey.leaks, lambda leak: leak.likelihood):
        yield f"{likelihood.upper()}"
        for (path, commit), here in groupby(leaks, lambda leak: (leak.hit.path, leak.hit.commit)):
            yield f"  {path}" + (f"  (since {commit[:12]})" if commit else "")
            for leak in here:
                yield f"    {_where(leak.hit):10} {leak.hit.masked}  {_name(leak.hit, names)}{_more(leak)}"
        yield ""
    yield from _summary(survey)


def as_json(survey: Survey) -> Iterator[str]:
    """Yield one JSON document."""
    yield from _dumped(
        {
            "version": version("leakwatch"),
            "summary": {
                "files": survey.files,
                "bytes": survey.size,
                "seconds": round(survey.seconds, 3),
                "found": len(survey.leaks),
                "hidden": survey.hidden,
                "matched": survey.is_matched,
                "left": _left(survey),
                "elsewhere": [*survey.elsewhere],
                "problems": [
                    {"path": _unicode(path), "why": why, "count": n} for (path, why), n in survey.problems.items()
                ],
            },
            "findings": [_record(leak) for leak in survey.leaks],
        }
    )


def sarif(survey: Survey) -> Iterator[str]:
    """Yield one SARIF 2.1.0 document."""
    detectors = {detector.id: detector for detector in shipped()}
    rules = sorted({leak.hit.detector for leak in survey.leaks})
    driver = {
        "name": "leakwatch",
        "version": version("leakwatch"),
        "rules": [_rule(name, detectors.get(name)) for name in rules],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {"executionSuccessful": not survey.problems, "toolExecutionNotifications": _notifications(survey)}
        ],
        "results": [_result(leak, rules.index(leak.hit.detector)) for leak in survey.leaks],
    }
    yield from _dumped({"$schema": _SARIF, "version": "2.1.0", "runs": [run]})


FORMATS: Final[Mapping[str, Callable[[Survey], Iterator[str]]]] = {"text": text, "json": as_json, "sarif": sarif}


def _dumped(document: Any) -> list[str]:
    """The lines of a JSON document, in ASCII: a name in it commands no terminal."""
    return json.dumps(document, indent=2).splitlines()


def _unicode(path: str) -> str:
    """A path as JSON's readers take it: what is no character in it becomes U+FFFD."""
    return _NO_CHARACTER.sub("\ufffd", path)


def _left(survey: Survey) -> dict[str, int]:
    return {name: count for name, count in sorted(survey.left.items()) if count}


def _notifications(survey: Survey) -> list[dict[str, Any]]:
    """What was not looked at: unwillingly by its place, and on purpose."""
    missed = [
        {
            "level": "warning",
            "message": {"text": f"{_unicode(path)}: {why}"},
            "locations": [{"physicalLocation": _artifact(path)}],
        }
        for path, why in survey.problems
    ]
    left = [{"level": "note", "message": {"text": f"left alone: {_told(survey)}"}}] if any(_left(survey)) else []
    return missed + left


def _names() -> dict[str, str]:
    return {detector.id: detector.guide.said(detector.name) for detector in shipped()}


def _name(hit: Hit, names: Mapping[str, str]) -> str:
    return names.get(hit.detector, f"key of the form {hit.detector}")


def _where(hit: Hit) -> str:
    return f"{hit.line}:{hit.column}" if hit.field is Field.TEXT else "its name"


def _more(leak: Leak) -> str:
    owners = "; ".join(f"{customer}, “{label}”" for customer, label in leak.owners)
    why = "" if leak.owners else leak.hit.why
    return "".join(f"  ({part})" for part in (owners, why) if part)


def _summary(survey: Survey) -> Iterator[str]:
    counts = Counter(leak.likelihood for leak in survey.leaks)
    found = ", ".join(f"{counts[likelihood]} {likelihood}" for likelihood in Likelihood if counts[likelihood])
    hidden = f"; {survey.hidden} unlikely not shown, see --all" if survey.hidden else ""
    files = "1 file" if survey.files == 1 else f"{survey.files:,} files"
    yield f"{files}, {survey.size / 1e6:,.1f} MB in {survey.seconds:.1f} s: {found or 'nothing found'}{hidden}"
    if left := _told(survey):
        yield f"left alone: {left}"
    yield from (f"not followed: {address}" for address in survey.elsewhere)


def _told(survey: Survey) -> str:
    return ", ".join(f"{_WORDS[name]}: {count:,}" for name, count in _left(survey).items())


def _record(leak: Leak) -> dict[str, Any]:
    hit = leak.hit
    return {
        "path": _unicode(hit.path),
        "field": hit.field,
        "line": hit.line,
        "column": hit.column,
        "commit": hit.commit,
        "detector": hit.detector,
        "masked": hit.masked,
        "likelihood": leak.likelihood,
        "why": "" if leak.owners else hit.why,
        "owners": [{"customer": customer, "label": label} for customer, label in leak.owners],
    }


def _rule(name: str, detector: Detector | None) -> dict[str, Any]:
    if detector is None:
        return {"id": name, "shortDescription": {"text": f"A key of the form {name}, which several providers use."}}
    guide = detector.guide
    rule = {
        "id": name,
        "shortDescription": {"text": guide.said(detector.name)},
        "help": {"text": "\n".join(guide.said(step) for step in detector.revocation.steps)},
    }
    return rule | ({"helpUri": detector.revocation.page} if detector.revocation.page else {})


def _result(leak: Leak, rule: int) -> dict[str, Any]:
    hit = leak.hit
    outer = hit.path.partition("!/")[0]
    place = _artifact(outer)
    if hit.field is Field.TEXT and outer == hit.path:
        place["region"] = {"startLine": hit.line, "startColumn": hit.column}
    inner = "" if outer == hit.path else f" in {_unicode(hit.path)}, line {hit.line}"
    inner += f", since {hit.commit}" if hit.commit else ""
    owners = "".join(f"; registered by {customer} as “{label}”" for customer, label in leak.owners)
    return {
        "ruleId": hit.detector,
        "ruleIndex": rule,
        "level": _LEVELS[leak.likelihood],
        "rank": 100.0 - 25.0 * _ORDER[leak.likelihood],
        "message": {"text": f"{hit.masked}{inner}{owners}{f': {hit.why}' if hit.why and not leak.owners else ''}"},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"leakwatch/v1": _fingerprint(hit)},
    }


def _artifact(path: str) -> dict[str, Any]:
    """Where a file is, byte by byte: not every name is Unicode."""
    return {"artifactLocation": {"uri": quote(path, errors="surrogateescape")}}


def _fingerprint(hit: Hit) -> str:
    """What a finding is known by when its line moves: made of nothing but what is shown, so it tells nothing more."""
    return sha256("\0".join((hit.detector, _unicode(hit.path), hit.masked)).encode()).hexdigest()


def shown(leaks: Sequence[Leak], *, everything: bool) -> tuple[list[Leak], int]:
    """Return what is shown, in order, and how many are hidden."""
    kept = [leak for leak in leaks if everything or leak.likelihood is not Likelihood.UNLIKELY]
    return sorted(kept, key=lambda leak: leak.order), len(leaks) - len(kept)

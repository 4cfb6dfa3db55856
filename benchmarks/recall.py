"""Which keys are found: of every format, in every surroundings, under every disguise; each miss is named."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from hashlib import sha256
from random import Random
from typing import Final

from benchmarks.measuring import Result, Row
from benchmarks.surroundings import DISGUISES, surroundings
from leakwatch.core import DigestSieve
from leakwatch.model import Document, Reference
from leakwatch.pepper import Pepper
from leakwatch.scan import Detector, Scanner, shipped
from leakwatch.scan.synthetic import fill

SURROUNDINGS: Final = tuple(surroundings())
_LETTERS: Final = "siliconflow"  # whose keys are small letters alone
_WHY: Final = "What is missed is what `docs/formats.md` says that is not seen."
_DRAWN: Final = 3  # surroundings for each disguise

Text = tuple[str, str]
"""A text with a key in it, behind the name for what surrounds or hides the key."""


@cache
def _pepper() -> Pepper:
    return Pepper(b"a pepper for the yardsticks alone: nobody's")


@lru_cache(maxsize=4)
def _sieve(key: str) -> DigestSieve:
    """A sieve that knows one key."""
    sieve = DigestSieve(_pepper())
    sieve.fill([_pepper().hmac(sha256(key.encode()).digest())])
    return sieve


def variable(detector: Detector) -> str:
    """Return what such a key is likely assigned to: where nothing is said of it, any name will do."""
    return next(iter((*detector.env_vars, *detector.context)), "KEY")


def surrounded(detector: Detector, key: str, around: Sequence[Text] = SURROUNDINGS) -> Iterator[Text]:
    """Yield a key in each of some surroundings."""
    for name, text in around:
        yield name, text.replace("NAME", variable(detector)).replace("KEY", key)


def disguised(key: str) -> Iterator[Text]:
    """Yield a key in each disguise."""
    for name, disguise in DISGUISES.items():
        yield name, disguise(key.encode()).decode("latin-1" if name.startswith("UTF") else "utf-8")


def disguised_and_surrounded(key: str, random: Random) -> Iterator[Text]:
    """Yield a key in each disguise that is one word, in a few surroundings drawn for it."""
    for name, text in disguised(key):
        if text.isprintable() and not set(text) & set("\"'<> "):
            for where, around in random.sample(SURROUNDINGS, _DRAWN):
                yield f"{name} in {where}", around.replace("NAME", "DATA").replace("KEY", text)


def is_found(scanner: Scanner, text: str, key: str) -> bool:
    """Whether exactly the key is among the candidates, where it is registered."""
    scan = scanner.scan(Document(reference=Reference(url="", id=""), text=text), _sieve(key))
    return any(candidate.plaintext.reveal() == key for candidate in scan.candidates)


def known(detector: Detector, key: str, name: str) -> str:
    """Return why a key is not found in a text of that name, as `docs/formats.md` says; "" where it must be."""
    if detector.bare and "/" in key and name.endswith("url, path"):
        return "a path parts at each slash"
    if detector.id == _LETTERS and name.startswith("broken"):
        return "what is joined must look like no words"
    return ""


@dataclass
class _Tally:
    """What came of one provider's keys."""

    tried: int = 0
    missed: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # names of texts, by format and why
    count: int = 0


async def recall() -> Result:
    """Try every example of every format everywhere."""
    scanner = Scanner(shipped())
    tallies: dict[str, _Tally] = defaultdict(_Tally)
    for detector in shipped():
        for number, template in enumerate(detector.examples):
            random = Random(f"{detector.id} {number}")
            text = fill(template, random)
            key = detector.key(text)
            tally = tallies[detector.provider]
            for name, hidden in (
                *surrounded(detector, text),
                *disguised(text),
                *disguised_and_surrounded(text, random),
            ):
                tally.tried += 1
                if not is_found(scanner, hidden, key):
                    tally.count += 1
                    tally.missed[f"`{detector.id}`: {known(detector, key, name) or 'unknown'}"].add(name)
    return _result(tallies)


def _result(tallies: dict[str, _Tally]) -> Result:
    whole = [name for name, tally in tallies.items() if not tally.count]
    tried, missed = (sum(values) for values in zip(*((t.tried, t.count) for t in tallies.values()), strict=True))
    rows = [
        Row(what="all", value=missed, unit="missed", note=f"of {tried:,} texts"),
        Row(what=f"{len(whole)} providers", value=0, unit="missed", note=", ".join(sorted(whole))),
    ]
    for name, tally in sorted(tallies.items()):
        if tally.count:
            why = "; ".join(f"{why} ({', '.join(sorted(names))})" for why, names in tally.missed.items())
            rows.append(Row(what=name, value=tally.count, unit="missed", note=f"of {tally.tried:,} texts. {why}"))
    return Result(
        name="recall",
        title="Which keys are found",
        how=f"A synthetic key of each form of {len(shipped())} formats of {len(tallies)} providers, registered, in "
        f"each of {len(SURROUNDINGS)} surroundings and under each of {len(DISGUISES)} disguises, and those disguises "
        f"that are one word in {_DRAWN} surroundings each, drawn for it. Found is the exact key, or it is missed.",
        reference="",
        bar="all of them, but what is documented as not seen",
        rows=tuple(rows),
        falls_short=_WHY if missed else "",
    )

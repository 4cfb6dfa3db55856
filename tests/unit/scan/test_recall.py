"""Recall: every format's keys in hundreds of surroundings and under every disguise; each miss is named here."""

from collections.abc import Iterator
from random import Random

import pytest

from benchmarks.surroundings import DISGUISES, surroundings
from leakwatch.model import Document, Reference
from leakwatch.scan import Detector, Scanner, shipped
from tests.unit.core.making import sieve_of
from tests.unit.scan.making import made, variable

SCANNER = Scanner(shipped())
SURROUNDINGS = tuple(surroundings())
CUT = ("quoted", "HTML", "zero", "soft", "plus", "strings", "dot", "two", "ampersand", "continued", "broken")
LETTERS = {"huggingface-user", "huggingface-organization", "siliconflow"}  # their keys have no digits


def is_missed(detector: Detector, key: str, name: str) -> bool:
    """What is not found, and documented so: docs/formats.md."""
    return (
        ("/" in key and name.endswith("url, path"))  # a path parts at each slash
        or (detector.id in LETTERS and name.startswith("broken"))  # lines that are joined must look like no words
        or (len(key) > 1000 and name.startswith(CUT))  # a private key in a JSON file is not cut like that
        or (len(key) < 16 and detector.bare)
    )


def missed(detector: Detector, texts: Iterator[tuple[str, str]], key: str) -> list[str]:
    sieve = sieve_of(key)
    return [
        name
        for name, text in texts
        if all(
            candidate.plaintext.reveal() != key
            for candidate in SCANNER.scan(Document(reference=Reference(url="", id=""), text=text), sieve).candidates
        )
        and not is_missed(detector, key, name)
    ]


def disguised(key: str) -> Iterator[tuple[str, str]]:
    for name, disguise in DISGUISES.items():
        yield name, disguise(key.encode()).decode("latin-1" if name.startswith("UTF") else "utf-8")


@pytest.mark.parametrize("detector", shipped(), ids=lambda detector: detector.id)
def test_a_key_is_found_wherever_it_stands(detector: Detector) -> None:
    """In a hundred surroundings, drawn for each format; `make bench` tries every format in all."""
    key, random = made(detector, 1), Random(detector.id)
    around = random.sample(SURROUNDINGS, 100)
    texts = ((n, t.replace("NAME", variable(detector)).replace("KEY", key)) for n, t in around)
    assert missed(detector, texts, detector.key(key)) == []


@pytest.mark.parametrize("detector", shipped(), ids=lambda detector: detector.id)
def test_a_key_is_found_under_any_disguise(detector: Detector) -> None:
    key = made(detector, 2)
    assert missed(detector, disguised(key), detector.key(key)) == []


@pytest.mark.parametrize("detector", shipped(), ids=lambda detector: detector.id)
def test_a_disguised_key_is_found_wherever_it_stands(detector: Detector) -> None:
    """Each format in each disguise that is one word, in a few surroundings drawn for it."""
    key, random = made(detector, 3), Random(detector.id)
    words = [(name, text) for name, text in disguised(key) if text.isprintable() and not set(text) & set("\"'<> ")]
    texts = (
        (f"{name} in {where}", around.replace("NAME", "DATA").replace("KEY", text))
        for name, text in words
        for where, around in random.sample(SURROUNDINGS, 3)
    )
    assert missed(detector, texts, detector.key(key)) == []


def test_there_are_hundreds_of_surroundings() -> None:
    assert len(SURROUNDINGS) > 300
    assert len(dict(SURROUNDINGS)) == len(SURROUNDINGS)

"""Recall: every format's keys in hundreds of surroundings and under every disguise; what is missed is named."""

from collections.abc import Iterator
from random import Random

import pytest

from benchmarks.recall import SURROUNDINGS, Text, disguised, disguised_and_surrounded, is_found, known, surrounded
from leakwatch.scan import Detector, Scanner, shipped
from tests.unit.scan.making import made

SCANNER = Scanner(shipped())


def missed(detector: Detector, texts: Iterator[Text], key: str) -> list[str]:
    return [name for name, text in texts if not is_found(SCANNER, text, key) and not known(detector, key, name)]


@pytest.mark.parametrize("detector", shipped(), ids=lambda detector: detector.id)
def test_a_key_is_found_wherever_it_stands(detector: Detector) -> None:
    key = made(detector, 1)
    assert missed(detector, surrounded(detector, key), detector.key(key)) == []


@pytest.mark.parametrize("detector", shipped(), ids=lambda detector: detector.id)
def test_a_key_is_found_under_any_disguise(detector: Detector) -> None:
    key = made(detector, 2)
    assert missed(detector, disguised(key), detector.key(key)) == []


@pytest.mark.parametrize("detector", shipped(), ids=lambda detector: detector.id)
def test_a_disguised_key_is_found_wherever_it_stands(detector: Detector) -> None:
    """Each format in each disguise that is one word, in a few surroundings drawn for it."""
    key = made(detector, 3)
    assert missed(detector, disguised_and_surrounded(key, Random(detector.id)), detector.key(key)) == []


def test_there_are_hundreds_of_surroundings() -> None:
    assert len(SURROUNDINGS) > 300
    assert len(dict(SURROUNDINGS)) == len(SURROUNDINGS)

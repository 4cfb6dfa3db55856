import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakwatch.scan import synthetic
from leakwatch.scan.detectors import Detector, shipped

UNHURRIED = settings(deadline=None)  # the first of a process takes longer than the others


@UNHURRIED
@given(st.sampled_from(shipped()), st.integers())
def test_a_synthetic_key_is_one_that_its_detector_takes_whole(detector: Detector, seed: int) -> None:
    key = synthetic.synthesize(detector, Random(seed))
    assert re.fullmatch(detector.pattern, key)
    assert key == synthetic.synthesize(detector, Random(seed))


def test_another_seed_makes_another_key() -> None:
    detector = shipped()[0]
    assert synthetic.synthesize(detector, Random(1)) != synthetic.synthesize(detector, Random(2))


@pytest.mark.parametrize("alphabet", synthetic.ALPHABETS)
def test_a_placeholder_is_filled_from_its_alphabet(alphabet: str) -> None:
    filled = synthetic.fill(f"<{{{alphabet}:50}}>", Random(1))
    assert len(filled) == 52
    assert set(filled[1:-1]) <= set(synthetic.ALPHABETS[alphabet])


def test_a_word_is_one_of_those_given() -> None:
    assert {synthetic.fill("{one:A|B}", Random(seed)) for seed in range(20)} == {"A", "B"}


@pytest.mark.parametrize("template", ["{alnum:x}", "{nothing:3}", "{alnum}", "{bedrock:medium}", "}", "{"])
def test_a_placeholder_that_does_not_exist_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"placeholder|write"):
        synthetic.fill(template, Random(1))

from random import Random

from leakwatch.scan.detectors import shipped
from leakwatch.scan.trial import failures


def test_every_shipped_detector_passes_its_own_examples_and_counterexamples() -> None:
    assert not [failure for seed in range(5) for failure in failures(shipped(), Random(seed))]


def test_a_counterexample_that_is_found_and_an_example_that_another_detector_names_better_fail() -> None:
    groq = next(detector for detector in shipped() if detector.id == "groq")
    catch_all = groq.model_copy(update={"id": "any", "breadth": "any"})
    careless = groq.model_copy(update={"counterexamples": groq.examples})
    template = groq.examples[0]
    assert failures([careless, catch_all], Random(1)) == [
        f"groq finds something in its counterexample {template}",
        f"any does not find its example {template}",
    ]

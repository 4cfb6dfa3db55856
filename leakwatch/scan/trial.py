"""The trial of detectors by their own examples and counterexamples: what `leakwatch detectors test` runs."""

from collections.abc import Sequence
from random import Random

from leakwatch.model import Document, Reference
from leakwatch.scan import synthetic
from leakwatch.scan.detectors import Detector
from leakwatch.scan.scanner import Scanner


def failures(detectors: Sequence[Detector], random: Random) -> list[str]:
    """Return a sentence for each example that is not found and each counterexample that is, without a key."""
    scanner = Scanner(detectors)
    failed: list[str] = []
    for detector in detectors:
        for template in detector.examples:
            key = synthetic.fill(template, random)
            if _names(scanner, key).get(key) != detector.id:
                failed.append(f"{detector.id} does not find its example {template}")
        for template in detector.counterexamples:
            names = _names(scanner, synthetic.fill(template, random))
            if detector.id in names.values():
                failed.append(f"{detector.id} finds something in its counterexample {template}")
    return failed


def _names(scanner: Scanner, text: str) -> dict[str, str]:
    """What a scanner finds in a text: each string and the detector that names it."""
    scan = scanner.scan(Document(reference=Reference(url="", id=""), text=text))
    return {candidate.plaintext.reveal(): candidate.detector for candidate in scan.candidates}

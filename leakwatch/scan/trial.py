"""The trial of detectors by their own examples and counterexamples: what `leakwatch detectors test` runs."""

from collections.abc import Iterator, Mapping, Sequence
from random import Random

from leakwatch.model import Document, Reference
from leakwatch.scan import synthetic
from leakwatch.scan.detectors import Detector
from leakwatch.scan.formats import Format
from leakwatch.scan.naming import Names
from leakwatch.scan.scanner import Scanner


def failures(detectors: Sequence[Detector], random: Random) -> list[str]:
    """Return a sentence for each example that is not found and each counterexample that is, without a key."""
    trial = _Trial(detectors)
    return [failure for detector in detectors for failure in _failures(trial, detector, random)]


def _failures(trial: "_Trial", detector: Detector, random: Random) -> Iterator[str]:
    for template in detector.examples:
        text = synthetic.fill(template, random)
        if trial.names(detector, text).get(detector.key(text)) != detector.id:
            yield f"{detector.id} does not find its example {template}"
    for template in detector.counterexamples:
        if detector.id in trial.names(detector, synthetic.fill(template, random)).values():
            yield f"{detector.id} finds something in its counterexample {template}"


class _Trial:
    """Shows texts as an owner writes a key down: behind the name of its variable."""

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self._scanner = None if all(detector.bare for detector in detectors) else Scanner(detectors)
        self._names = Names(map(Format, detectors))

    def names(self, detector: Detector, text: str) -> Mapping[str, str]:
        """Return what is found where a key of a detector would stand: each string and what it is called.

        A bare format is not looked for: there the whole text is named, as whoever meets it would name it.
        """
        variable = next(iter((*detector.env_vars, *detector.context)), "KEY")
        before = f'{variable}="'
        if detector.bare or self._scanner is None:
            data = f'{before}{text}"'.encode()
            named = self._names.of(data, len(before.encode()), len(data) - 1)
            return {text: named.name} if named else {}
        scan = self._scanner.scan(Document(reference=Reference(url="", id=""), text=f'{before}{text}"'))
        return {candidate.plaintext.reveal(): candidate.detector for candidate in scan.candidates}

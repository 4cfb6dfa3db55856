"""Which formats the scanner looks for, and keys of them."""

from random import Random

from leakwatch.scan import synthetic
from leakwatch.scan.detectors import Detector, shipped

MARKED = [detector for detector in shipped() if not detector.bare]
BARE = [detector for detector in shipped() if detector.bare]


def named(identifier: str) -> Detector:
    return next(detector for detector in shipped() if detector.id == identifier)


def made(detector: Detector, seed: int) -> str:
    """A synthetic key as it stands in a text."""
    return synthetic.synthesize(detector, Random(seed))

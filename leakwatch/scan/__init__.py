"""From a text to the keys that may stand in it: detectors, the scanner, redaction.

Nothing here reads a file other than detectors, opens a connection or knows a customer. To add a format,
write it in `detectors/`; to undo another disguise, add its decoder to `disguises` and its hint to `hints`.
"""

from leakwatch.scan.detectors import Detector, Revocation, load, shipped
from leakwatch.scan.redaction import mask
from leakwatch.scan.scanner import Scan, Scanner, Sieve
from leakwatch.scan.synthetic import synthesize
from leakwatch.scan.trial import failures

__all__ = ["Detector", "Revocation", "Scan", "Scanner", "Sieve", "failures", "load", "mask", "shipped", "synthesize"]

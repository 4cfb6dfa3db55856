"""From a text to the keys that may stand in it: detectors, the scanner, redaction.

Nothing here reads a file other than detectors, opens a connection or knows a customer. To add a format,
write it in `detectors/`; to widen what is looked at (decoders, bare tokens), give `scanner` another finder
of places.
"""

from leakwatch.scan.detectors import Detector, Revocation, load, shipped
from leakwatch.scan.redaction import mask
from leakwatch.scan.scanner import Scan, Scanner
from leakwatch.scan.synthetic import synthesize
from leakwatch.scan.tokens import Sieve
from leakwatch.scan.trial import failures

__all__ = ["Detector", "Revocation", "Scan", "Scanner", "Sieve", "failures", "load", "mask", "shipped", "synthesize"]

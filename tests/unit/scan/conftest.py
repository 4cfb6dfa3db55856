"""What the tests of the scanner share: one scanner of all shipped detectors, and documents around a text."""

from collections.abc import Callable

import pytest

from leakwatch.model import Document, Reference
from leakwatch.scan.detectors import shipped
from leakwatch.scan.scanner import Scanner


@pytest.fixture(scope="session")
def scanner() -> Scanner:
    return Scanner(shipped())


@pytest.fixture(scope="session")
def keys_in(scanner: Scanner) -> Callable[[str], list[str]]:
    """The strings that the scanner finds in a text, in order."""

    def find(text: str) -> list[str]:
        scan = scanner.scan(Document(reference=Reference(url="", id=""), text=text))
        assert not scan.skipped
        return [candidate.plaintext.reveal() for candidate in scan.candidates]

    return find

"""What holds for all formats together: what customers digest is what is found, and looking for all costs little."""

import sysconfig
from collections import Counter
from pathlib import Path
from random import Random

import hyperscan
import pytest

from leakwatch.cli.detectors import table
from leakwatch.match.schemes import digest_text
from leakwatch.model import Document, Reference
from leakwatch.scan import expressions, synthetic
from leakwatch.scan.detectors import Detector, shipped
from leakwatch.scan.scanner import Scanner
from tests.unit.scan.making import MARKED

ROOT = Path(__file__).parents[3]
SCANNER = Scanner(shipped())
FINDS = list(dict.fromkeys(find for detector in MARKED for find in detector.find))
NOISE = 50  # callbacks per MB of source text that one expression may have


@pytest.mark.parametrize("detector", MARKED, ids=lambda detector: detector.id)
def test_what_a_customer_digests_is_what_is_found(detector: Detector) -> None:
    for template in detector.examples:
        shown = synthetic.fill(template, Random(6))  # as the provider shows it
        scan = SCANNER.scan(Document(reference=Reference(url="", id=""), text=f"<{shown}>\n"))
        assert digest_text(shown) in {digest_text(candidate.plaintext.reveal()) for candidate in scan.candidates}


def test_no_expression_floods_a_text_in_which_no_key_stands() -> None:
    """Each callback costs as much as some hundred bytes: a marker that is a word would cost more than it finds."""
    database, hits, size = expressions.compiled(FINDS), Counter[str](), 0
    scratch = hyperscan.Scratch(database)
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        data = path.read_bytes()
        size += len(data)
        database.scan(data, match_event_handler=lambda number, *_: hits.update([FINDS[number]]), scratch=scratch)
    assert size > 1_000_000
    assert [(find, count) for find, count in hits.items() if count > NOISE * size / 1e6] == []


def test_the_database_of_all_formats_is_small() -> None:
    assert len(hyperscan.dumpb(expressions.compiled(FINDS))) < 500_000


def test_many_formats_share_what_is_looked_for() -> None:
    assert len(FINDS) < sum(len(detector.find) for detector in MARKED)


def test_the_table_of_formats_is_what_the_detectors_say() -> None:
    """`leakwatch detectors list --markdown` makes it again."""
    written = (ROOT / "docs/formats.md").read_text(encoding="utf-8")
    assert written.splitlines()[-len(shipped()) - 2 :] == list(table(shipped()))


def test_the_documents_count_formats_and_providers_right() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    formats, providers = len(shipped()), len({detector.provider for detector in shipped()})
    assert f"{formats} formats of keys of {providers} providers" in readme

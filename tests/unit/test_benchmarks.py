"""The page of benchmarks is what was measured."""

import json

from benchmarks.report import PAGE, RESULTS, page


def test_the_page_is_made_of_the_results() -> None:
    assert PAGE.read_text() == page(json.loads(RESULTS.read_text()))

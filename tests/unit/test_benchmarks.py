"""The page of benchmarks is what was measured."""

import json

from benchmarks.report import PAGE, README, RESULTS, page, shown


def test_the_page_is_made_of_the_results() -> None:
    assert PAGE.read_text() == page(json.loads(RESULTS.read_text()))


def test_the_readmes_table_is_what_was_measured() -> None:
    readme = README.read_text()
    assert shown(readme, json.loads(RESULTS.read_text())) == readme
    assert readme.count("| kingfisher, its own rules |") == 1

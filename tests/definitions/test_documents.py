"""What the documents say of the definitions is what the definitions are."""

import json
from pathlib import Path

from leakwatch.definitions import places, schema

ROOT = Path(__file__).parents[2]


def test_the_readmes_table_is_the_definitions() -> None:
    readme = (ROOT / "README.md").read_text()
    command = "<!-- places: .venv/bin/python -m leakwatch.definitions.places -->\n"
    shown = readme.partition(command)[2].partition("<!-- /places -->")[0]
    assert shown == places.table()


def test_the_schema_for_editors_is_current() -> None:
    kept = (ROOT / "docs" / "definition.schema.json").read_text()
    assert kept == schema.text(), "run: .venv/bin/python -m leakwatch.definitions.schema > docs/definition.schema.json"


def test_the_schema_knows_every_setting_by_the_name_that_a_file_uses() -> None:
    properties = json.loads(schema.text())["properties"]
    assert {"name", "kind", "listing", "sample", "token", "index", "walk"} <= properties.keys()
    assert properties["every"]["type"] == "string"

import json

import pytest

from leakwatch.errors import BadContent, Blocked
from leakwatch.fetch.json import read
from leakwatch.fetch.listing import Facts
from tests.unit.fetch.sites import source

JSON = """
name = "site"
title = "A site"
kind = "json"
[listing]
url = "{base_url}/api"
items = "pastes"
[fields]
id = "id"
url = "links.raw"
title = "title"
text = "body"
"""


def facts(text: str, toml: str = JSON) -> list[Facts]:
    return list(read(source("https://paste.example", toml), text))


def test_each_item_has_the_facts_that_expressions_find() -> None:
    body = {"pastes": [{"id": 7, "links": {"raw": "/7"}, "title": " é ", "body": {"a": ["ü", None]}}, {"id": ""}, 3]}

    assert facts(json.dumps(body)) == [
        {"id": "7", "url": "/7", "title": " é ", "text": '{"a": ["ü", null]}'},
        {},
        {},
    ]


def test_an_objects_entries_can_be_the_items() -> None:
    toml = JSON.replace('items = "pastes"', 'items = "items(@)"').replace('id = "id"', 'id = "[0]"')

    assert facts('{"a": {}, "b": {}}', toml) == [{"id": "a"}, {"id": "b"}]


def test_zero_and_false_are_facts() -> None:
    assert facts('{"pastes": [{"id": 0, "title": false}]}') == [{"id": "0", "title": "false"}]


def test_an_empty_list_has_no_items() -> None:
    assert facts('{"pastes": []}') == []


@pytest.mark.parametrize("body", ["{}", "null", '{"pastes": null}', '{"pastes": {"1": 2}}', "[]"])
def test_a_listing_without_its_list_is_bad_content(body: str) -> None:
    with pytest.raises(BadContent, match=r"listing\.items \(pastes\) gave no list"):
        facts(body)


@pytest.mark.parametrize(
    ("body", "looks"),
    [
        ("<html></html>", "HTML"),
        ("", "an empty page"),
        ('{"pastes": [', ""),
        ("[" * 200_000, ""),
        ('{"pastes": [{"id": ' + "9" * 100_000 + "}]}", ""),
    ],
    ids=["html", "empty", "cut", "deep", "long number"],
)
def test_what_is_no_json_is_bad_content_and_described(body: str, looks: str) -> None:
    with pytest.raises(BadContent, match="is not JSON") as caught:
        facts(body)
    assert looks in str(caught.value)
    assert "login" in caught.value.mend


@pytest.mark.parametrize(
    ("body", "looks"),
    [
        ("<!doctype html><html><form><input type=password></form></html>", "a page with a login form"),
        ("<html>Just a moment...</html>", "a bot check"),
        ("<html>Please enable JavaScript</html>", "a page that needs JavaScript"),
    ],
)
def test_a_gatekeepers_page_is_blocked(body: str, looks: str) -> None:
    with pytest.raises(Blocked, match=f"instead of the listing there is {looks}") as caught:
        facts(body)
    assert "feed or API" in caught.value.mend


def test_an_expression_that_does_not_fit_is_named_without_the_value() -> None:
    toml = JSON.replace('id = "id"', 'id = "sort(id)"')

    with pytest.raises(BadContent, match=r"fields\.id \(sort\(id\)\) cannot be applied") as caught:
        facts('{"pastes": [{"id": "sk-s3cret"}]}', toml)
    assert "s3cret" not in str(caught.value)


def test_a_deep_value_is_a_fact() -> None:
    deep = "[" * 200 + "]" * 200
    assert facts('{"pastes": [{"id": 1, "body": ' + deep + "}]}") == [{"id": "1", "text": deep}]

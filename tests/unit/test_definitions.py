"""Definitions: what is wrong with one is said with its line, before anything is fetched."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.definitions import (
    Definition,
    OverrideError,
    available,
    fill,
    find,
    load,
    shipped,
    split_attribute,
)
from leakwatch.errors import DefinitionError
from leakwatch.toml import Problems, parse

GOOD = """\
name = "site"
title = "A site"
kind = "html"
hosts = ["raw.example"]

[headers]
X-Site = "1"

[listing]
url = "{base_url}/recent"
items = "li"

[fields]
id = "a@href"
url = "a@href"

[document]
page = "{url}"

[[sample]]
origin = "constructed"
source = "this test"
body = ""
expect = []
"""


def problems(toml: str) -> dict[int, str]:
    with pytest.raises(Problems) as caught:
        parse(toml, Definition, file="site.toml")
    return {one.line: str(one) for one in caught.value.problems}


@pytest.mark.parametrize(
    ("good", "bad", "line", "says"),
    [
        ('"html"', '"gopher"', 3, "kind"),
        ('"html"', '"json"', 14, "fields.id: is not JMESPath"),
        ('items = "li"\n', "", 9, "listing.items: is missing"),
        ('items = "li"', 'items = "li["', 11, "listing.items: is not a CSS selector"),
        ('id = "a@href"', 'id = "a::nonsense("', 14, "fields.id: is not a CSS selector"),
        ('id = "a@href"\nurl = "a@href"', 'title = "a"', 13, "id or url is missing"),
        ('url = "a@href"', "", 17, "document: url is missing"),
        ('page = "{url}"', 'page = "{urll}"', 18, "{urll} is not known here: use author, base_url, commit, id"),
        ("{base_url}/recent", "{base_url}/{id}", 10, "{id} is not known here: use base_url"),
        ("raw.example", "https://raw.example/", 4, "write a host as"),
        ("raw.example", "raw.example:99999", 4, "ort out of range"),
        ('X-Site = "1"', 'Host = "other.example"', 7, "leakwatch's own"),
        ('X-Site = "1"', '"X Site" = "1"', 7, "letters, digits and -"),
        ('X-Site = "1"', 'X-Site = "1\\r\\nX: y"', 7, "one line"),
        ('origin = "constructed"', 'origin = "invented"', 21, "origin"),
        ('name = "site"', 'name = "site"\nevery = 5', 2, "every"),
        ('name = "site"', 'name = "site"\nbase_url = "paste.example"', 2, "https://host/path"),
        ('name = "site"', 'name = "site"\nconcurency = 5', 2, "did you mean concurrency"),
        ('items = "li"', 'items = "li"\nsince = { ask = "{base_url}/" }', 12, "ask and answer belong together"),
        ("[document]", '[cut]\nid = "(a"\n[document]', 18, "cut.id: is not a regular expression"),
        ("[document]", '[cut]\nid = "(?=a)(b)"\n[document]', 18, "cut.id: is not a regular expression of RE2's: inval"),
        ("[document]", '[cut]\nid = "a"\n[document]', 18, "cut.id: needs one group"),
        ("[document]", '[cut]\nid = "(a)(b)"\n[document]', 18, "cut.id: needs one group"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(good: str, bad: str, line: int, says: str) -> None:
    assert good in GOOD
    found = problems(GOOD.replace(good, bad, 1))

    assert says in found.get(line, ""), found


@pytest.mark.parametrize(
    ("opening", "says"),
    [
        ('[document]\nopens = "listing"', "open: and document.opens"),
        ('[open]\nitems = "@"\n[document]', "open: and document.opens"),
        ('[open]\n[document]\nopens = "listing"', "open.items: is missing"),
        ('[open]\nitems = "a["\n[document]\nopens = "listing"', "open.items: is not JMESPath"),
        (
            '[open]\nitems = "@"\ndocument = { opens = "listing" }\n[document]\nopens = "listing"',
            "open.document.opens: is no listing again",
        ),
        (
            '[open]\nitems = "@"\ndocument = { url = "{index}" }\n[document]\nopens = "listing"',
            "{index} is not known here: use author, base_url, commit, id, parent",
        ),
        ('[document]\nfile = "{title}"', "{title} is not known here: use base_url, commit, id, path, repository"),
        ('[document]\ncommit = "{title}"', "{title} is not known here: use base_url, commit, id, path, repository"),
    ],
)
def test_what_is_wrong_with_what_is_opened_is_said(opening: str, says: str) -> None:
    assert says in "\n".join(problems(GOOD.replace("[document]", opening, 1)).values())


@pytest.mark.parametrize(
    ("search", "says"),
    [
        ("words = []", "search.words"),
        ('words = ["a"]', "search: {word} does not stand in listing.url"),
        ('words = ["a"]\nwindow = "time"\nfirst = "1d"', "{from} does not stand in listing.url"),
        ('words = ["a"]\nwindow = "number"\nfirst = "0"', "search.first: and last are numbers"),
        ('words = ["a"]\nwindow = "number"\nfirst = "0"\nlast = "1000000000000000000"', "search.first: and last are"),
        ('words = ["a"]\nrate = "9/m"', "search.rate: is each token's"),
        ('words = ["a"]\nwindow = "time"\nfirst = "soon"', "search.first: write a duration as"),
        ('words = ["a"]\n[index]\nurl = "{base_url}/{index}"\nid = "a"', "search: goes with a json or html listing"),
        ('words = ["a"]\n[listing.pages]\nby = "link"', 'listing.pages.by: is "number" where a site is searched'),
    ],
)
def test_what_is_wrong_with_a_search_is_said(search: str, says: str) -> None:
    url = "{base_url}/{word}{from}{to}" if "from" not in says and "word" not in says else "{base_url}/recent"
    url = "{base_url}/{word}" if "from" in says else url
    toml = GOOD.replace("{base_url}/recent", url).replace("[document]", f"[search]\n{search}\n[document]", 1)
    assert says in "\n".join(problems(toml).values())


CATCHUP = """
[catchup]
url = "{base_url}/all"
items = "projects"
id = "name"
serial = "serial"
newest = '"serial": ([0-9]+)'
document = { url = "{base_url}/{id}" }
[document]"""


@pytest.mark.parametrize(
    ("good", "bad", "says"),
    [
        ("([0-9]+)", "[0-9]+", "catchup.newest: needs one group"),
        ('"serial": ([0-9]+)', "", "catchup.newest: needs one group"),
        ("([0-9]+)", "(", "catchup.newest: is not a regular expression"),
        ('url = "{base_url}/{id}"', "", "catchup.document: url is missing"),
        ('/{id}" }', '/{id}", opens = "listing" }', "catchup.document.opens: needs [open]"),
        ('/{id}" }', '/{title}" }', "{title} is not known here: use base_url, id, version"),
        ("{base_url}/all", "{since}", "{since} is not known here: use base_url"),
        ('serial = "serial"\n', "", "catchup.serial is missing"),
        ("[catchup]", '[index]\nurl = "x"\nid = "a"\nitems = "a"\n[catchup]', "catchup: is for a plain listing"),
    ],
)
def test_what_is_wrong_with_a_list_for_after_gaps_is_said(good: str, bad: str, says: str) -> None:
    assert parse(GOOD.replace("[document]", CATCHUP, 1), Definition, file="site.toml").catchup
    assert good in CATCHUP
    assert says in "\n".join(problems(GOOD.replace("[document]", CATCHUP.replace(good, bad, 1), 1)).values())


PUSH = """
[push]
header = "X-Secret"
items = "@"
fields = { id = "id", version = "v" }
[document]"""


@pytest.mark.parametrize(
    ("good", "bad", "says"),
    [
        (', version = "v"', "", "push.fields: version is missing"),
        ('id = "id", ', "", "push.fields: id or url is missing"),
        ('version = "v"', 'version = "v["', "push.fields.version: is not JMESPath"),
        ('items = "@"', 'items = "@["', "push.items: is not JMESPath"),
        ('id = "id"', 'id = "id", text = "t"', "push.fields.text: is not taken from a push"),
        ('items = "@"', 'items = "@"\nprefix = "sha256="', "push.prefix: is for check"),
        ('items = "@"', 'items = "@"\ncut = { id = "x" }', "push.cut.id: needs one group"),
        ('"X-Secret"', '"a b"', "push.header"),
    ],
)
def test_what_is_wrong_with_a_push_is_said(good: str, bad: str, says: str) -> None:
    assert parse(GOOD.replace("[document]", PUSH, 1), Definition, file="site.toml").push
    assert good in PUSH
    assert says in "\n".join(problems(GOOD.replace("[document]", PUSH.replace(good, bad, 1), 1)).values())


def test_what_lists_nothing_takes_no_pushes() -> None:
    folder = 'name = "f"\ntitle = "F"\nkind = "folder"\n' + PUSH.removesuffix("[document]")
    assert "push: is for a site that lists" in "\n".join(problems(folder + GOOD[GOOD.index("[[sample]]") :]).values())


def test_everything_that_is_wrong_is_said_at_once() -> None:
    toml = GOOD.replace('"li"', '"li["').replace('id = "a@href"', 'id = "a["').replace("{url}", "{no}")
    assert set(problems(toml)) == {11, 14, 18}


def test_a_definition_without_samples_is_refused() -> None:
    assert "sample is missing" in "\n".join(problems(GOOD.partition("[[sample]]")[0]).values())


def test_a_good_definition_is_read() -> None:
    definition = parse(GOOD, Definition, file="site.toml")

    assert definition.fields.named() == {"id": "a@href", "url": "a@href"}
    assert (definition.rate, definition.concurrency, definition.max_bytes) == (None, None, None)


def test_the_name_is_the_files(tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    path.write_text(GOOD)

    with pytest.raises(Problems, match=r"other\.toml:1: the name is site") as caught:
        load(path)
    assert "same name" in str(caught.value)


def test_an_override_that_does_not_fit_says_where(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(GOOD)

    for override, where in (({"listing": {"items": "li["}}, ("listing", "items")), ({"evry": "5m"}, ("evry",))):
        with pytest.raises(OverrideError, match=f"the override of site does not fit it: {'.'.join(where)}") as caught:
            load(path, override)
        assert [one for one, _ in caught.value.wrong] == [where]


def test_an_override_is_laid_over_table_by_table(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(GOOD)

    definition = load(path, {"fields": {"title": "b"}, "every": "5m", "hosts": []})
    assert definition.fields.named() == {"id": "a@href", "url": "a@href", "title": "b"}
    assert (definition.every, definition.hosts) == (300.0, [])


def test_an_unknown_name_is_told_with_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(GOOD)

    with pytest.raises(DefinitionError, match="no definition is named bepast") as caught:
        find("bepast", tmp_path)
    assert {"bepasty", "cgit-index", "mine"} <= set(caught.value.mend.partition("use one of: ")[2].split(", "))


def test_the_operators_folder_goes_first_and_need_not_exist(tmp_path: Path) -> None:
    assert find("bepasty", tmp_path / "none") == shipped() / "bepasty.toml"
    (tmp_path / "bepasty.toml").write_text(GOOD)
    assert find("bepasty", tmp_path) == tmp_path / "bepasty.toml"
    assert next(available(tmp_path)) == tmp_path / "bepasty.toml"


@pytest.mark.parametrize(
    ("selector", "parts"),
    [
        ("a", ("a", "")),
        ("a@href", ("a", "href")),
        ("td > a @data-id", ("td > a", "data-id")),
        (".", (".", "")),
        ("@href", ("", "href")),
        (".@xml:id", (".", "xml:id")),
        ('a[href*="@x"]', ('a[href*="@x"]', "")),
        ('a[href*="@"]@href', ('a[href*="@"]', "href")),
    ],
)
def test_a_selector_and_its_attribute(selector: str, parts: tuple[str, str]) -> None:
    assert split_attribute(selector) == parts


def test_a_template_is_filled() -> None:
    assert fill("{base_url}/{id}?{none}", {"base_url": "https://a", "id": "1"}) == "https://a/1?"


@given(st.text())
def test_a_value_is_never_a_template(value: str) -> None:
    assert fill("<{id}>", {"id": value, "title": "no"}) == f"<{value}>"

"""Sources: a definition, and what the configuration says of this place."""

from pathlib import Path

import pytest
from yarl import URL

from leakwatch.config import Config, load
from leakwatch.fetch import Source, resolve
from leakwatch.toml import Problems
from leakwatch.units import Rate
from tests.unit.fetch.sites import HTML, SAMPLE, source
from tests.unit.fetch.test_apps import key, pem

CONFIG = """\
[database]
url = "sqlite:////var/lib/leakwatch/leakwatch.db"
[http]
user_agent = "leakwatch test (test@issuer.example)"
rate = "3/s"
concurrency = 7
max_bytes = "1 MB"
[email]
from = "Security <security@issuer.example>"
smtp = "smtps://mail.issuer.example:465"
"""


def configured(folder: Path, sources: str, **definitions: str) -> Config:
    (folder / "sources").mkdir(exist_ok=True)
    for name, toml in definitions.items():
        (folder / "sources" / f"{name}.toml").write_text(toml + SAMPLE)
    (folder / "leakwatch.toml").write_text(CONFIG + sources)
    return load(folder / "leakwatch.toml")


def only(folder: Path, table: str, toml: str = HTML) -> Source:
    (one,) = resolve(configured(folder, f'[[source]]\nuse = "site"\n{table}', site=toml))
    return one


def test_what_nobody_says_is_the_configurations_word(tmp_path: Path) -> None:
    one = only(tmp_path, 'base_url = "https://paste.example"')

    assert (one.name, one.base_url, one.every) == ("site", "https://paste.example", 60.0)
    assert (one.rate, one.concurrency, one.max_bytes) == (Rate(3, 1.0), 7, 1_000_000)
    assert (one.observe, one.backlog) == (False, "scan")
    assert one.listing_url == "https://paste.example/recent"


def test_the_definitions_word_goes_before_it(tmp_path: Path) -> None:
    toml = (
        f'base_url = "https://paste.example"\nevery = "5m"\nrate = "1/m"\nconcurrency = 1\nmax_bytes = "5 kB"\n{HTML}'
    )
    one = only(tmp_path, "", toml)

    assert one.base_url == "https://paste.example"
    assert (one.every, one.rate, one.concurrency, one.max_bytes) == (300.0, Rate(1, 60.0), 1, 5000)


def test_the_sources_own_word_goes_before_all(tmp_path: Path) -> None:
    toml = (
        f'base_url = "https://paste.example"\nevery = "5m"\nrate = "1/m"\nconcurrency = 1\nmax_bytes = "5 kB"\n{HTML}'
    )
    table = """
    name = "mine"
    base_url = "https://other.example"
    every = "1h"
    rate = "2/s"
    concurrency = 3
    max_bytes = "7 kB"
    observe = true
    backlog = "skip"
    """
    one = only(tmp_path, table, toml)

    assert (one.name, one.base_url, one.every) == ("mine", "https://other.example", 3600.0)
    assert (one.rate, one.concurrency, one.max_bytes) == (Rate(2, 1.0), 3, 7000)
    assert (one.observe, one.backlog) == (True, "skip")


def test_an_app_stands_beside_tokens_by_its_number_or_its_client_id(tmp_path: Path) -> None:
    (tmp_path / "app.pem").write_text(pem(key(0)))
    table = '[[source]]\nuse = "github-events"\napps = [{ id = 12, installation = 34, key_file = "app.pem" }, '
    table += '{ id = "Iv23.x", installation = 35, key_file = "app.pem" }]'
    [one] = resolve(configured(tmp_path, table))
    assert [(app.id, app.installation) for app in one.apps] == [("12", "34"), ("Iv23.x", "35")]
    assert one.app_url(one.apps[1]) == "https://api.github.com/app/installations/35/access_tokens"
    assert "PRIVATE" not in repr(one)


def test_an_override_changes_what_it_names_and_nothing_beside_it(tmp_path: Path) -> None:
    table = """
    base_url = "https://paste.example"
    override = { listing = { may_be_empty = true }, fields = { title = "b" }, headers = { X-Site = "1" } }
    """
    definition = only(tmp_path, table).definition

    assert definition.listing.may_be_empty
    assert definition.listing.items == "li"
    assert (definition.fields.title, definition.fields.id) == ("b", "a@href")
    assert definition.headers == {"X-Site": "1"}


def test_a_source_that_is_not_enabled_is_not_there(tmp_path: Path) -> None:
    config = configured(tmp_path, '[[source]]\nuse = "no-such-definition"\nenabled = false\n')
    assert resolve(config) == []


def test_the_operators_definition_goes_before_the_shipped_one(tmp_path: Path) -> None:
    own = HTML.replace('"site"', '"bepasty"').replace("A site", "Ours")
    (one,) = resolve(configured(tmp_path, '[[source]]\nuse = "bepasty"\nbase_url = "https://a.example"', bepasty=own))
    assert one.definition.title == "Ours"


def test_every_source_that_cannot_be_watched_is_named_with_its_line(tmp_path: Path) -> None:
    sources = """\
[[source]]
use = "site"
name = "nowhere"

[[source]]
name = "unknown"
use = "no-such-definition"

[[source]]
name = "misfit"
use = "site"
base_url = "https://paste.example"
[source.override.listing]
items = "li["
url = "{nonsense}"

[[source]]
use = "broken"
[[source]]
name = "broken-too"
use = "broken"
"""
    broken = HTML.replace('"site"', '"broken"').replace('kind = "html"', 'kind = "gopher"')
    with pytest.raises(Problems) as caught:
        resolve(configured(tmp_path, sources, site=HTML, broken=broken))

    start = CONFIG.count("\n")
    places = [(Path(one.file).name, one.line) for one in caught.value.problems]
    assert places == [
        ("leakwatch.toml", start + 2),
        ("leakwatch.toml", start + 7),
        ("leakwatch.toml", start + 14),
        ("leakwatch.toml", start + 15),
        ("broken.toml", 4),
    ]
    said = [str(one) for one in caught.value.problems]
    assert "base_url is missing" in said[0]
    assert "bepasty" in said[1]  # what there is instead
    assert "override.listing.items: is not a CSS selector" in said[2]
    assert "{nonsense} is not known here" in said[3]


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://paste.example/1", True),
        ("http://paste.example/1", True),
        ("https://PASTE.example:443/1", True),
        ("https://paste.example:8443/1", True),
        ("https://raw.example/1", True),
        ("http://raw.example:8080/1", False),
        ("http://cdn.example:8080/1", True),
        ("https://paste.example.evil.example/1", False),
        ("https://paste.example@evil.example/1", False),
        ("ftp://paste.example/1", False),
        ("https://paste.example:22/1", False),
        ("/1", False),
    ],
)
def test_only_the_sources_own_hosts_are_allowed(url: str, allowed: bool) -> None:
    one = source("https://paste.example:8443", f'hosts = ["Raw.example", "cdn.example:8080"]\n{HTML}')
    assert one.allows(URL(url)) == allowed


@pytest.mark.parametrize(
    ("document", "shown", "text"),
    [
        ("", "https://site.example/p/7", "https://site.example/p/7"),
        ('page = "{base_url}/{id}"', "https://site.example/7", "https://site.example/7"),
        (
            'url = "{base_url}/raw/{id}"\npage = "{base_url}/{id}"',
            "https://site.example/a%20b",
            "https://site.example/raw/a%20b",
        ),
        ('url = "{url}/+inline"\npage = "{url}"', "https://site.example/p/7", "https://site.example/p/7/+inline"),
        (
            'url = "{base_url}/{id}/{id}"\npage = "{base_url}/{id}-{id}"',
            "https://site.example/7-7",
            "https://site.example/7/7",
        ),
        ('url = "{base_url}/raw/{id}"\npage = "{base_url}/{id}"', "https://site.example/7/more", ""),
        ('url = "{base_url}/raw/{id}"\npage = "{base_url}/{title}"', "https://site.example/words", ""),
        ('url = "{base_url}/api/{id}"\npage = "{base_url}/{id}"\nopens = "git"', "https://site.example/7", ""),
    ],
)
def test_where_a_text_is_can_be_told_from_where_it_is_shown(document: str, shown: str, text: str) -> None:
    toml = HTML + (f"[document]\n{document}\n" if document else "")
    assert source("https://site.example", toml).text_url(shown) == text


@pytest.mark.parametrize("field", ["text", "page"])
def test_where_a_listing_holds_a_text_or_a_page_of_its_own_nothing_says_where_the_text_is(field: str) -> None:
    assert source("https://site.example", f'{HTML}{field} = "p"\n').text_url("https://site.example/7") == ""


def test_a_base_url_keeps_its_final_slash_where_it_is_the_whole_address() -> None:
    feed = HTML.replace('url = "{base_url}/recent"', 'url = "{base_url}"')

    assert source("https://blog.example/feed/", feed).listing_url == "https://blog.example/feed/"
    assert source("https://paste.example/").listing_url == "https://paste.example/recent"

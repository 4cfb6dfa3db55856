"""`leakwatch sources`, as its operator uses it: nothing stored, no secret shown, and a definition within minutes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from leakwatch.definitions import load
from leakwatch.demo import DEFINITION, Mailbox, PasteSite
from tests.installation import Installation, customers, mails, text_of, until
from tests.integration.git.host import serving as serving_repositories
from tests.unit.containers.making import zipped
from tests.unit.fetch.sites import site as serving

ROBOTS = "User-agent: *\nCrawl-delay: 2\nDisallow: /private\n"
API = """\
name = "api"
title = "An API"
kind = "json"
verified = ""
terms = "theirs"
abuse = "mailto:abuse@{host}"
takedown = "Say it politely."
parameters = { board = "" }
[token]
header = "Authorization"
form = "Bearer {token}"
[listing]
url = "{base_url}/{board}"
items = "items"
[fields]
id = "id"
url = "url"
[[sample]]
origin = "constructed"
source = "this test"
body = '{"items": [{"id": "1", "url": "/raw/1"}]}'
expect = [{ id = "1" }]
"""


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with Mailbox().serving() as mailbox:
        yield mailbox


@pytest.fixture
async def site() -> AsyncIterator[PasteSite]:
    async with PasteSite().serving() as site:
        yield site


@pytest.fixture
def installation(tmp_path: Path, mailbox: Mailbox) -> Installation:
    return Installation(tmp_path, mailbox)


async def test_a_dry_run_says_what_would_be_sent_and_shows_no_token(installation: Installation) -> None:
    installation.define("api", API)
    (installation.folder / "token").write_text("made-up-secret\n")
    installation.sources = (
        '[[source]]\nuse = "api"\nbase_url = "http://127.0.0.1:1"\nparameters = { board = "g" }\ntoken_file = "token"\n'
        'proxy = "socks5h://127.0.0.1:9050"\nquiet = "22:00-06:00"\nslowest = "10m"\n'
    )
    installation.configure()
    said = await installation.run("sources", "test", "api", "--dry-run")
    assert said.status == 0, said.err
    assert "GET http://127.0.0.1:1/g" in said.out
    assert "Authorization: Bearer •••" in said.out
    assert "made-up-secret" not in said.out + said.err
    assert "through: socks5h://127.0.0.1:9050; robots.txt: obeyed" in said.out
    assert "every 60 to 600 s, never 22:00-06:00 UTC; at most 1/s, 2 at once" in said.out


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("", "parameters.board is missing"),
        ('parameters = { board = "g" }', "An API wants a token"),
        ('parameters = { bord = "g" }', "has no parameter bord"),
        ('parameters = { board = "g" }\ntoken_file = "none"', "cannot be read"),
        ('parameters = { board = "g" }\nproxy = "socks5://u:p@h:1"', "a password does not stand"),
        ('parameters = { board = "g" }\nproxy_password_file = "none"', "cannot be read"),
        ('parameters = { board = "g" }\nproxy_password_file = "sources/api.toml"', "a proxy password without a user"),
        ('parameters = { board = "g" }\npush_secret_file = "none"', "An API takes no pushes"),
        ('parameters = { board = "g" }\nproxy = "ftp://h:1"', "write a proxy as"),
        ('parameters = { board = "g" }\nquiet = "25:00-06:00"', "22:00-06:00"),
    ],
)
async def test_what_a_source_leaves_open_is_told_with_its_line(
    installation: Installation, more: str, says: str
) -> None:
    installation.define("api", API)
    installation.sources = f'[[source]]\nuse = "api"\nbase_url = "http://127.0.0.1:1"\n{more}'
    installation.configure()
    said = await installation.run("sources", "test", "api")
    assert said.status == 2
    assert says in said.err
    assert "leakwatch.toml:" in said.err


async def test_a_test_shows_each_step_and_scans(installation: Installation) -> None:
    [owner] = customers(1, seed=71)

    async def handle(request: web.Request) -> web.Response:
        if request.path == "/robots.txt":
            return web.Response(text=ROBOTS.replace("2", "0.01"))
        if request.path == "/recent":
            return web.Response(text='<li><a href="/raw/1">one</a></li>', content_type="text/html")
        return web.Response(body=zipped({"dir/.env": f"T = {owner.key}".encode()}))

    installation.define("demo-paste", DEFINITION)
    async with serving(handle) as url:
        installation.sources = f'[[source]]\nuse = "demo-paste"\nbase_url = "{url}"'
        installation.configure()
        record = installation.folder / "recorded.toml"
        said = await installation.run("sources", "test", "demo-paste", "--record", str(record))
    assert said.status == 0, said.err
    assert "robots.txt: allows the listing, and wants 0.01 s between two requests" in said.out
    assert f"scanned {url}/raw/1: " in said.out
    assert "1 like" in said.out
    assert owner.key not in said.out + said.err
    assert 'origin = "recorded"' in record.read_text()
    assert 'title = "one"' in record.read_text()


async def test_documents_that_may_be_listed_and_not_read_are_no_success(installation: Installation) -> None:
    async def handle(request: web.Request) -> web.Response:
        if request.path == "/robots.txt":
            return web.Response(text="User-agent: *\nDisallow: /raw/")
        return web.Response(text='<ul><li><a href="/raw/1">one</a></li></ul>', content_type="text/html")

    installation.define("demo-paste", DEFINITION)
    async with serving(handle) as url:
        installation.sources = f'[[source]]\nuse = "demo-paste"\nbase_url = "{url}"'
        installation.configure()
        said = await installation.run("sources", "test", "demo-paste")
    assert said.status == 1
    assert said.out.rstrip().endswith("1 documents, but 1 of the 1 that were tried could not be read")


async def test_a_site_that_has_changed_is_shown_beside_what_the_definition_reads(installation: Installation) -> None:
    async def handle(request: web.Request) -> web.Response:
        page = "<html><article>a new look</article></html>" if request.path == "/recent" else ""
        return web.Response(text=page, content_type="text/html")

    installation.define("demo-paste", DEFINITION)
    async with serving(handle) as url:
        installation.sources = f'[[source]]\nuse = "demo-paste"\nbase_url = "{url}"'
        installation.configure()
        said = await installation.run("sources", "test", "demo-paste")
    assert said.status == 1
    assert "the definition reads (constructed: the demo's own site):" in said.out
    assert '<ul><li><a href="/raw/1">notes</a></li></ul>' in said.out
    assert "and what came is:" in said.out
    assert "<article>a new look</article>" in said.out


async def test_a_definition_that_is_off_is_listed_as_off_until_it_is_enabled(installation: Installation) -> None:
    installation.sources = '[[source]]\nuse = "telegram"\nparameters = { channel = "example" }'
    await installation.install([])
    listed = await installation.run("sources", "list", "--json")
    [row] = listed.rows
    assert (row["name"], row["state"]) == ("telegram", "off")
    assert "enabled = true" in row["detail"]
    installation.sources += "\nenabled = true"
    installation.configure()
    assert [row["state"] for row in (await installation.run("sources", "list", "--json")).rows] == ["new"]
    shown = await installation.run("sources", "show", "telegram")
    assert "lawful reason" in shown.out


async def test_what_is_off_stands_below_what_needs_a_person_and_says_how_to_change_that(
    installation: Installation,
) -> None:
    off = '[[source]]\nuse = "telegram"\nname = "channel"\nparameters = { channel = "example" }\n'
    on = '[[source]]\nuse = "hackernews"\n'
    installation.sources = off + on
    await installation.install([])
    listed = await installation.run("sources", "list")
    assert listed.out.index("hackernews") < listed.out.index("channel")
    wide = await installation.run("sources", "list", "--wide")
    assert "`leakwatch sources show channel`" in wide.out
    assert "failures" in wide.out
    tried = await installation.run("sources", "test", "channel")
    assert (tried.status, "source channel is off" in tried.err) == (2, True)
    shown = await installation.run("sources", "show", "channel")
    assert "no: read its terms" in shown.out
    assert "channel (say which)" in shown.out
    for name, words in (
        ("discourse", "between"),
        ("gitlab-snippets", "token_file"),
        ("4chan", "board"),
        ("hackernews", "nothing yet: made from documents"),
        ("url-list", "GET"),
        ("pypi", "after a gap GET"),
        ("gitea", "POST /hooks/NAME with a signature of the body"),
    ):
        said = await installation.run("sources", "show", name)
        assert words in said.out, said.out
    untold = await installation.run("sources", "test", "discourse")
    assert (untold.status, "nothing is configured of it yet" in untold.err) == (2, True)


async def test_a_site_without_a_definition_is_added_from_nothing(
    installation: Installation, site: PasteSite, mailbox: Mailbox
) -> None:
    """What the documentation promises: look, save, configure, watch."""
    [owner] = customers(1, seed=72)
    for number in range(5):
        site.publish(f"paste number {number}", "harmless")
    await installation.install([owner])
    drafted = await installation.run("sources", "new", f"{site.url}/recent", "--name", "newplace")
    assert drafted.status == 0, drafted.err
    saved = await installation.run("sources", "new", f"{site.url}/recent", "--name", "newplace", "--save")
    assert "leakwatch sources test newplace" in saved.err
    assert (installation.folder / "sources" / "newplace.toml").read_text() == drafted.out
    again = await installation.run("sources", "new", f"{site.url}/recent", "--name", "newplace", "--save")
    assert (again.status, "is there already" in again.err) == (2, True)
    untold = await installation.run("sources", "test", "newplace", "--find", "harmless")
    assert untold.status == 0, untold.out
    assert untold.out.count("with the words") == 3
    assert untold.out.count("THE SAME TEXT as") == 2
    missed = await installation.run("sources", "test", "newplace", "--find", "nobody wrote this")
    assert (missed.status, missed.out.count("WITHOUT the words")) == (1, 3)
    assert load(installation.folder / "sources" / "newplace.toml").samples[0].origin == "recorded"
    installation.sources = '[[source]]\nuse = "newplace"\nevery = "1s"\nrate = "50/s"'
    installation.configure()
    tested = await installation.run("sources", "test", "newplace")
    assert tested.status == 0, tested.out
    async with installation.daemon():
        site.publish("a leak", f"T = {owner.key}")
        await until(lambda: bool(mails(mailbox, owner.address)), "the customer has mail")
        shown = await installation.run("findings", "show", "1", "--json")
        assert [row["still"] for row in shown.rows] == ["not looked at"]


async def test_a_request_to_take_down_is_printed_and_sent(
    installation: Installation, site: PasteSite, mailbox: Mailbox
) -> None:
    [owner] = customers(1, seed=73)
    installation.define("demo-paste", DEFINITION)
    installation.sources = (
        f'[[source]]\nuse = "demo-paste"\nbase_url = "{site.url}"\nabuse = "mailto:abuse@host.example"'
    )
    await installation.install([owner])
    site.publish("a leak", f"T = {owner.key}")
    async with installation.daemon():
        await until(lambda: bool(mails(mailbox, owner.address)), "the customer has mail")
    printed = await installation.run("findings", "takedown", "1")
    assert "To: abuse@host.example" in printed.out
    assert f"{site.url}/raw/0" in printed.out
    assert owner.key not in printed.out
    assert mails(mailbox, "abuse@host.example") == []
    sent = await installation.run("findings", "takedown", "1", "--send")
    assert sent.status == 0, sent.err
    assert "sent to abuse@host.example" in sent.err
    [mail] = mails(mailbox, "abuse@host.example")
    assert f"{site.url}/raw/0" in text_of(mail)
    assert owner.key not in mail.as_string()
    known = await installation.run("findings", "takedown", "1", "--send")
    assert (known.status, "--again sends it once more" in known.err) == (0, True)
    assert len(mails(mailbox, "abuse@host.example")) == 1
    shown = await installation.run("findings", "show", "1")
    assert "mailto:abuse@host.example" in shown.out
    again = await installation.run("findings", "takedown", "1", "--send", "--again")
    assert again.status == 0, again.err
    assert len(mails(mailbox, "abuse@host.example")) == 2
    missing = await installation.run("findings", "takedown", "99")
    assert missing.status == 2


async def test_a_file_in_a_watched_folder_is_found_at_once(
    installation: Installation, mailbox: Mailbox, tmp_path_factory: pytest.TempPathFactory
) -> None:
    [owner] = customers(1, seed=74)
    incoming = tmp_path_factory.mktemp("incoming")
    installation.sources = f'[[source]]\nuse = "folder"\nbase_url = "{incoming.as_uri()}"\nevery = "1d"'
    await installation.install([owner])
    async with installation.daemon():
        await asyncio.sleep(1)
        (incoming / "a.zip").write_bytes(zipped({"dir/.env": f"T={owner.key}\n".encode()}))
        await until(lambda: bool(mails(mailbox, owner.address)), "the customer has mail")
    assert "a.zip!/dir/.env" in text_of(mails(mailbox, owner.address)[0]).replace("[.]", ".")


async def test_a_repository_is_tried_down_to_its_files_and_what_waits_and_was_missed_is_listed(
    installation: Installation, tmp_path: Path
) -> None:
    (tmp_path / "host").mkdir()
    async with serving_repositories(tmp_path / "host") as host:
        tools = host.create("tools")
        tools.commit({"a.env": "nothing"})
        tools.push()
        installation.sources = (
            f'[git]\nfolder = "{tmp_path}/mirrors"\n[[source]]\nuse = "git"\nbase_url = "{tools.url}"\n'
        )
        await installation.install([])
        dry = await installation.run("sources", "test", "git", "--dry-run")
        tried = await installation.run("sources", "test", "git")
        listed = await installation.run("sources", "list", "--json")
    assert dry.out.startswith(f"git ls-remote {tools.url}")
    assert tried.status == 0, tried.out
    assert f"scanned git+{tools.url}: 7 characters, nothing key-shaped" in tried.out
    [row] = listed.rows
    assert (row["waiting"], row["missed"], row["state"]) == (0, None, "new")  # nothing has polled it

"""Repositories through the whole flow: what a poll names is opened, what is in it is scanned, and the place is told."""

import base64
import gzip
import json
from random import Random
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from leakwatch import frontier
from leakwatch.fetch_jobs import FETCH
from leakwatch.model import Place, Reference, Via
from leakwatch.store import findings
from tests.installation import Customer, customers
from tests.integration.flow.conftest import Flow
from tests.integration.flow.test_watch import alarms, dead, poll_once, state
from tests.integration.git.host import AUTHOR, Host
from tests.integration.git.test_git import TOML
from tests.unit.containers.making import zipped
from tests.unit.fetch.sites import site, source

FORGE = """
name = "site"
title = "A forge"
kind = "json"
[listing]
url = "{base_url}/projects"
items = "@"
may_be_empty = true
[fields]
id = "id"
version = "pushed"
url = "clone"
title = "name"
[document]
opens = "git"
file = "{repository}/blob/{commit}/{path}"
"""


async def places(flow: Flow) -> list[Place]:
    async with flow.database.reading() as tx:
        found = await findings.exposures(tx, [one.id for one in await findings.findings(tx)])
        return [place for one in found for place in one.places]


@pytest.mark.usefixtures("running")
async def test_a_key_in_a_repository_is_found_where_it_stands_and_so_is_one_that_was_taken_away(
    flow: Flow, host: Host
) -> None:
    [now, before] = customers(2, seed=71)
    await flow.register(now, before)
    tools = host.create("tools")
    gone = tools.commit({"old.env": f"\nA={before.key}\n"}, "oops")
    tools.git("rm", "--quiet", "old.env")
    there = tools.commit({"src/settings.py": f"import os\n\nKEY = '{now.key}'\n"}, "Add settings")
    tools.push()
    await flow.add(source(tools.url, TOML))
    await poll_once(flow, flow.watched["site"])

    found = {place.path: place for place in await places(flow)}
    page = tools.url.removesuffix(".git")
    assert {p.path: (p.url, p.author, p.position.line) for p in found.values()} == {
        "src/settings.py": (f"{page}/blob/{there}/src/settings.py", AUTHOR, 3),
        "old.env": (f"{page}/blob/{gone}/old.env", AUTHOR, 2),
    }
    assert found["old.env"].title == f"{gone[:12]} oops"
    assert await dead(flow) == []


@pytest.mark.usefixtures("running")
async def test_no_disguise_hides_a_key_in_a_history(flow: Flow, host: Host) -> None:
    """All that is looked at in a document of any other source is looked at in an object of git's."""
    owners = customers(5, seed=97)
    chance = Random(97)
    bare = [Customer(f"bare{n}", "".join(chance.choices("0123456789abcdef", k=32)), "") for n in range(2)]
    await flow.register(*owners, *bare)
    encoded, wide, packed, compressed, split = (owner.key for owner in owners)
    half = len(split) // 2
    tools = host.create("tools")
    tools.commit(
        {
            "encoded.txt": base64.b64encode(f"KEY={encoded}".encode()),
            "wide.txt": f"KEY={wide}\n".encode("utf-16"),
            "packed.zip": zipped({"inner/.env": f"KEY={packed}".encode()}),
            "blob.bin": b"\0\xff\x7fELF" + gzip.compress(f"KEY={compressed}\n".encode()) + bare[0].key.encode() + b"\0",
            "gone.gz": gzip.compress(f"KEY={compressed}\n".encode()),
            "split.py": f'KEY = "{split[:half]}" \\\n    "{split[half:]}"\n',
            "plain.txt": f"nothing says that it is one: {bare[1].key}\n",
        }
    )
    tools.commit({"rest.txt": "x"})
    tools.git("rm", "--quiet", "encoded.txt", "wide.txt", "packed.zip", "blob.bin", "gone.gz", "split.py", "plain.txt")
    tools.commit({"rest.txt": "y"}, "all of it taken away")
    tools.push()
    await flow.add(source(tools.url, TOML))
    await poll_once(flow, flow.watched["site"])
    assert {place.path for place in await places(flow)} == {
        *("encoded.txt", "wide.txt", "packed.zip!/inner/.env", "blob.bin", "gone.gz!/gone", "split.py", "plain.txt")
    }


@pytest.mark.usefixtures("running")
async def test_a_key_in_a_commits_message_is_found(flow: Flow, host: Host) -> None:
    [owner] = customers(1, seed=72)
    await flow.register(owner)
    tools = host.create("tools")
    commit = tools.commit({"a": "nothing"}, f"Use {owner.key} for now")
    tools.push()
    await flow.add(source(tools.url, TOML))
    await poll_once(flow, flow.watched["site"])
    [place] = await places(flow)
    assert place.url == f"{tools.url.removesuffix('.git')}/commit/{commit}"


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_an_archive_in_a_repository_is_opened_and_its_page_named(flow: Flow, host: Host) -> None:
    [owner] = customers(1, seed=75)
    await flow.register(owner)
    tools = host.create("tools")
    commit = tools.commit({"old/backup.zip": zipped({"dir/.env": f"A=b\nKEY={owner.key}\n".encode()})}, "Back up")
    tools.push()
    await flow.add(source(tools.url, TOML))
    await poll_once(flow, flow.watched["site"])
    [place] = await places(flow)
    assert (place.path, place.position.line) == ("old/backup.zip!/dir/.env", 2)
    assert place.url == f"{tools.url.removesuffix('.git')}/blob/{commit}/old/backup.zip"
    assert place.title == f"{commit[:12]} Back up"


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_a_commit_says_of_a_place_is_stored_redacted(flow: Flow, host: Host) -> None:
    owner, other = customers(2, seed=76)
    await flow.register(owner)
    tools = host.create("tools")
    tools.commit({f"{other.key}.env": owner.key}, f"Use {other.key}")
    tools.push()
    await flow.add(source(tools.url, TOML))
    await poll_once(flow, flow.watched["site"])
    [place] = await places(flow)
    assert place.author == AUTHOR
    assert other.key[8:-8] not in repr(place)


@pytest.mark.usefixtures("running")
async def test_repositories_that_a_forge_lists_are_opened_once_for_each_push(flow: Flow, host: Host) -> None:
    [first, second] = customers(2, seed=73)
    await flow.register(first, second)
    tools = host.create("tools")
    tools.commit({"a.env": first.key})
    tools.push()
    listed: list[dict[str, Any]] = [{"id": 1, "pushed": "1", "clone": tools.url, "name": "ada/tools"}]

    async def projects(_request: web.Request) -> web.StreamResponse:
        return web.json_response(listed)

    async with site(projects) as url:
        await flow.add(source(url, f'hosts = ["{host.url.removeprefix("http://")}"]\n{FORGE}'))
        await poll_once(flow, flow.watched["site"])
        assert len(await places(flow)) == 1
        asked = len(host.requests)
        await poll_once(flow, flow.watched["site"])
        assert len(host.requests) == asked
        tools.commit({"b.env": second.key})
        tools.push()
        listed[0]["pushed"] = "2"
        await poll_once(flow, flow.watched["site"])
        assert {place.path for place in await places(flow)} == {"a.env", "b.env"}


@pytest.mark.usefixtures("running")
async def test_a_repositorys_backlog_that_is_skipped_is_skipped_and_what_comes_later_is_not(
    flow: Flow, host: Host
) -> None:
    owners = customers(2, seed=74)
    await flow.register(*owners)
    tools = host.create("tools")
    tools.commit({"old.env": owners[0].key})
    tools.push()
    await flow.add(source(tools.url, TOML, backlog="skip"))
    await poll_once(flow, flow.watched["site"])
    tools.commit({"new.env": owners[1].key})
    tools.push()
    await poll_once(flow, flow.watched["site"])
    assert [place.path for place in await places(flow)] == ["new.env"]


@pytest.mark.usefixtures("running")
async def test_what_a_frontier_has_no_room_for_is_counted_told_and_not_remembered(flow: Flow, host: Host) -> None:
    tools = host.create("tools")
    tools.commit({f"{n}.txt": f"text {n}" for n in range(20)} | {"a.env": "likely"})
    tools.push()
    await flow.add(source(tools.url, f"frontier = 10\n{TOML}"))
    await poll_once(flow, flow.watched["site"])
    at = await state(flow, "site")
    assert (at.documents, at.missed) == (8, 14)  # 22 objects: the likely one, and eight tenths of the rest's room
    assert await alarms(flow) == ["missed"]
    async with flow.database.reading() as tx:
        assert (await flow.engine.waiting(tx, FETCH)).get("site", 0) == 0


async def test_jobs_go_by_how_likely_a_key_is_and_count_for_their_documents(flow: Flow, host: Host) -> None:
    at = source(f"{host.url}/x.git", TOML)
    await flow.add(at)
    names = [".env", *(f"{n}.go" for n in range(60)), "logo.png"]
    objects = [Reference(url="git+u", id=name, path=name, via=Via.OBJECT) for name in names]
    jobs = flow.watch._jobs.several(at, [*objects, Reference(url="u", id="x", via=Via.GIT)])
    assert sorted((job.priority, job.size) for job in jobs) == [
        (frontier.LIKELY, 1),
        (frontier.USUAL, 10),
        (frontier.USUAL, 50),
        (frontier.OPENING, 1),
        (frontier.UNLIKELY, 1),
    ]
    async with flow.database.transaction() as tx:
        await flow.engine.enqueue(tx, jobs)
        assert await flow.engine.waiting(tx, FETCH) == {"site": 63}


async def test_what_was_missed_is_told_once_for_each_cause_with_what_helps(flow: Flow, host: Host) -> None:
    at = source(f"{host.url}/x.git", TOML)
    await flow.add(at)
    with capture_logs() as logs:
        for _ in range(2):
            async with flow.database.transaction() as tx:
                await flow.frontier.missed(tx, at, frontier.Missed(full=1, large=2, withheld=4))
    told = [line["detail"] for line in logs if line["event"] == "alarm"]
    full, large, withheld = told
    assert (": 1 documents" in full, "more tokens" in full, "max_bytes" in full) == (True, True, False)
    assert (": 2 documents" in large, "raise max_bytes" in large) == (True, True)
    assert (": 4 documents" in withheld, "shows no more" in withheld) == (True, True)
    assert (await state(flow, "site")).missed == 14


@pytest.mark.usefixtures("running")
async def test_one_page_costs_few_requests_the_likely_first_and_what_it_leaves_out_is_counted(flow: Flow) -> None:
    toml = FORGE.replace('"git"', '"listing"').replace('file = "{repository}/blob/{commit}/{path}"', "")
    toml += '[open]\nitems = "@"\nmost = 2\nwithheld = "length(@)>=`5` && `7`"\n'
    toml += '[open.fields]\nid = "name"\nurl = "name"\npath = "name"\n'
    asked: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.path)
        names = [{"name": f"/{name}"} for name in ("a.go", "b.png", "c.env", "d.go", "e.go")]
        listed = [{"id": "1", "pushed": "1", "clone": "/changes", "name": "tools"}]
        bodies = {"/projects": json.dumps(listed), "/changes": json.dumps(names)}
        return web.Response(text=bodies.get(request.path, "nothing"))

    async with site(handler) as url:
        await flow.add(source(url, toml))
        await poll_once(flow, flow.watched["site"])
    assert sorted(asked) == ["/a.go", "/c.env", "/changes", "/projects"]
    assert ((await state(flow, "site")).missed, await alarms(flow)) == (3 + 7, ["missed", "missed"])


def test_what_is_likely_goes_first_and_always_has_room() -> None:
    likely, usual, unlikely = (Reference(url="u", id=name, path=name) for name in (".env", "a.py", "logo.png"))
    repository = Reference(url="u", id="x", via=Via.GIT)
    order = sorted([unlikely, repository, usual, likely], key=frontier.priority)
    assert order == [likely, usual, repository, unlikely]
    full = frontier.admit([unlikely, usual, likely], waiting=85, most=100)
    assert (full.taken, full.missed) == ((likely,), 2)
    assert frontier.admit([likely], waiting=100, most=100).missed == 1
    assert frontier.admit([unlikely, likely], waiting=10**9, most=None).taken == (likely, unlikely)


@pytest.mark.parametrize(
    ("name", "priority"),
    [
        ("deploy/.env.production", frontier.LIKELY),
        ("notebooks/Try OpenAI.ipynb", frontier.LIKELY),
        ("src/config.py", frontier.LIKELY),
        ("ada/langchain-demo", frontier.LIKELY),
        ("src/main.go", frontier.USUAL),
        ("environment.go", frontier.USUAL),
        ("node_modules/x/index.js", frontier.UNLIKELY),
        ("package-lock.json", frontier.UNLIKELY),
        ("static/app.min.js", frontier.UNLIKELY),
    ],
)
def test_names_say_how_likely_a_key_is(name: str, priority: int) -> None:
    assert frontier.priority(Reference(url="u", id="1", path=name)) == priority


def test_what_waits_is_packed_with_all_that_is_known_of_it() -> None:
    from leakwatch.fetch_jobs import _packed, _unpacked

    one = Reference(url="u", id="1", via=Via.GIT, commit="a b", path="p")
    assert _unpacked(json.loads(json.dumps(_packed(one)))) == one


@pytest.mark.usefixtures("running")
async def test_what_a_repository_points_at_is_counted_where_the_operator_looks(
    flow: Flow, host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    tools = host.create("tools")
    lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"
    modules = '[submodule "m"]\n\tpath = m\n\turl = https://ada@git.example.com/m.git\n'
    tools.commit({".gitmodules": modules, "weights.bin": lfs, "more.bin": f"{lfs}x 1\n"})
    tools.push()
    await flow.add(source(tools.url, TOML))
    await poll_once(flow, flow.watched["site"])
    found = await state(flow, "site")
    assert (found.lfs, found.submodules) == (2, 1)
    assert "https://git.example.com/m.git" in capsys.readouterr().out

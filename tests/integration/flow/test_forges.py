"""The shipped definitions of forges, read by the whole flow: the API by its documents, git for real."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from leakwatch.definitions import find, load
from leakwatch.fetch import Source
from leakwatch.fetch.apps import App
from leakwatch.store import notices
from leakwatch.units import Rate
from tests.installation import customers
from tests.integration.flow.conftest import Flow
from tests.integration.flow.test_repositories import places
from tests.integration.flow.test_watch import dead, poll_once, state
from tests.integration.git.host import Host, Repository
from tests.unit.containers.making import zipped
from tests.unit.fetch.test_apps import key, pem

AT = "2026-11-23T22:44:36Z"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
GIT = {"url": "{base_url}/{title}.git"}  # where in these tests the host of the API serves the repositories, too


def shipped(name: str, url: str, *, parameters: dict[str, str] | None = None, **override: Any) -> Source:
    definition = load(find(name, Path("none")), override)
    return Source(
        name="site",
        definition=definition,
        base_url=url,
        every=60.0,
        rate=Rate(100_000, 1.0),
        concurrency=4,
        max_bytes=1_000_000,
        robots="ignore",
        parameters={**definition.parameters, **(parameters or {})},
        token="made up",
    )


def gitlab(host: Host, tools: Repository) -> Source:
    host.answers["/api/v4/projects"] = [
        {
            "id": 4,
            "path_with_namespace": "ada/tools",
            "http_url_to_repo": tools.url,
            "web_url": f"{host.url}/ada/tools",
            "last_activity_at": AT,
        }
    ]
    return shipped("gitlab-projects", host.url)


def gitlab_events(host: Host, tools: Repository) -> Source:
    head = tools.git("rev-parse", "HEAD")
    push = {"action": "pushed", "commit_title": "x", "commit_from": None, "commit_to": head}
    host.answers["/api/v4/projects/4/events"] = [
        {"id": 48, "created_at": AT, "author_username": "ada", "push_data": push}
    ]
    return shipped("gitlab-events", host.url, parameters={"project": "4", "place": "ada/tools"})


def gitea(host: Host, tools: Repository) -> Source:
    one = {"id": 7, "full_name": "ada/tools", "clone_url": tools.url, "html_url": f"{host.url}/ada/tools"}
    host.answers["/api/v1/repos/search"] = {"ok": True, "data": [{**one, "updated_at": AT, "owner": {"login": "ada"}}]}
    return shipped("gitea", host.url)


def hub(host: Host, kind: str) -> Source:
    host.answers[f"/api/{kind}"] = [{"id": "ada/tools", "author": "ada", "sha": "1" * 40, "lastModified": AT}]
    return shipped(f"huggingface-{kind}", host.url)


def models(host: Host, _tools: Repository) -> Source:
    return hub(host, "models")


def datasets(host: Host, _tools: Repository) -> Source:
    return hub(host, "datasets")


def spaces(host: Host, _tools: Repository) -> Source:
    return hub(host, "spaces")


def owner(host: Host, tools: Repository) -> Source:
    one = {"id": 1, "full_name": "ada/tools", "clone_url": tools.url, "html_url": f"{host.url}/ada/tools"}
    host.answers["/users/ada/repos"] = [{**one, "pushed_at": AT, "owner": {"login": "ada"}}]
    return shipped("github-owner", host.url, parameters={"owner": "ada"})


def new(host: Host, tools: Repository) -> Source:
    event = {"id": "1", "type": "PublicEvent", "actor": {"login": "ada"}, "repo": {"name": "ada/tools"}}
    host.answers["/events"] = [{**event, "payload": {}, "created_at": AT}]
    return shipped("github-new", host.url, document=GIT)


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("listed", "name", "page"),
    [
        (gitlab, "ada/tools", "{at}/-/blob/{commit}/app/.env"),
        (gitlab_events, "ada/tools", "{at}/-/blob/{commit}/app/.env"),
        (gitea, "ada/tools", "{at}/src/commit/{commit}/app/.env"),
        (models, "ada/tools", "{at}/blob/{commit}/app/.env"),
        (datasets, "datasets/ada/tools", "{at}/blob/{commit}/app/.env"),
        (spaces, "spaces/ada/tools", "{at}/blob/{commit}/app/.env"),
        (owner, "ada/tools", "{at}/blob/{commit}/app/.env"),
        (new, "ada/tools", "{at}/blob/{commit}/app/.env"),
    ],
)
async def test_a_key_in_a_listed_repository_is_found_and_its_page_named(
    flow: Flow, host: Host, listed: Any, name: str, page: str
) -> None:
    [customer] = customers(1, seed=81)
    await flow.register(customer)
    tools = host.create(name)
    commit = tools.commit({"app/.env": f"KEY={customer.key}\n"})
    tools.push()
    await flow.add(listed(host, tools))
    await poll_once(flow, flow.watched["site"])
    [place] = await places(flow)
    assert place.url == page.format(at=f"{host.url}/{name}", commit=commit)
    assert (place.position.line, place.path) == (1, "app/.env")
    assert await dead(flow) == []


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_push_is_read_by_what_it_changed_and_a_comment_as_it_stands(flow: Flow, host: Host) -> None:
    owners = customers(4, seed=82)
    await flow.register(*owners)
    before, head = "1" * 40, "2" * 40
    event = {"actor": {"login": "ada"}, "repo": {"name": "ada/tools"}, "created_at": AT}
    host.answers["/events"] = [
        {**event, "id": "1", "type": "PushEvent", "payload": {"before": before, "head": head}},
        {
            **event,
            "id": "2",
            "type": "IssueCommentEvent",
            "payload": {
                "comment": {"body": f"my key: {owners[0].key}", "html_url": "https://github.com/ada/tools/issues/7"}
            },
        },
    ]
    commit = {"sha": head, "html_url": "https://github.com/c", "commit": {"message": f"use {owners[1].key}"}}
    patch = f"@@ -0,0 +1,2 @@\n+# settings\n+KEY={owners[2].key}"
    file = {
        "sha": "3" * 40,
        "filename": "a.env",
        "patch": patch,
        "blob_url": "https://github.com/ada/tools/blob/2/a.env",
    }
    large = {
        "sha": "4" * 40,
        "filename": "b.ipynb",
        "changes": 40_000,
        "blob_url": "https://github.com/b",
        "status": "added",
    }
    large["contents_url"] = f"{host.url}/repos/ada/tools/contents/b.ipynb?ref={head}"
    host.answers["/repos/ada/tools/contents/b.ipynb"] = f"{{}}\n{owners[3].key}"
    host.answers[f"/repos/ada/tools/compare/{before}...{head}"] = {"commits": [commit], "files": [file, large]}
    await flow.add(shipped("github-events", host.url))
    await poll_once(flow, flow.watched["site"])
    assert {place.url for place in await places(flow)} == {
        "https://github.com/ada/tools/issues/7",
        "https://github.com/c",
        "https://github.com/ada/tools/blob/2/a.env",
        "https://github.com/b",
    }
    [raw] = [r for r in host.requests if "/contents/" in r.path]
    assert (raw.query["ref"], raw.headers["Accept"]) == (head, "application/vnd.github.raw+json")
    assert all(r.headers["Authorization"] == "Bearer made up" for r in host.requests)


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_new_branch_costs_what_its_commits_do_and_no_clone(flow: Flow, host: Host) -> None:
    [customer] = customers(1, seed=87)
    await flow.register(customer)
    tools = host.create("ada/tools")
    tools.commit({"a.txt": "nothing"})
    tools.push()
    made = {"ref_type": "branch", "ref": "feature/#7", "master_branch": "main"}
    event = {"type": "CreateEvent", "actor": {"login": "ada"}, "repo": {"name": "ada/tools"}, "created_at": AT}
    page = "https://github.com/ada/tools/blob/2/a.env"
    file = {"sha": "3" * 40, "filename": "a.env", "patch": f"+KEY={customer.key}", "blob_url": page}
    host.answers["/repos/ada/tools/compare/main...feature/#7"] = {"commits": [], "files": [file]}
    host.answers["/events"] = [{**event, "id": "1", "payload": made}]
    for name in ("github-events", "github-new"):
        await flow.add(shipped(name, host.url, **({"document": GIT} if name == "github-new" else {})))
        await poll_once(flow, flow.watched["site"])
    assert [place.url for place in await places(flow)] == [page]
    asked = [r.raw_path for r in host.requests if r.path != "/events"]
    assert asked == ["/repos/ada/tools/compare/main...feature/%237"]
    host.answers["/events"] = [{**event, "id": "2", "payload": {**made, "ref": "main"}}]
    await poll_once(flow, flow.watched["site"])
    assert any(r.path.startswith("/ada/tools.git/") for r in host.requests)


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_operator_is_told_of_an_app_that_is_not_accepted_while_tokens_do_its_work(
    flow: Flow, host: Host
) -> None:
    host.answers["/events"] = []
    lost = App(id="12", installation="34", key=pem(key(0)))
    source = replace(shipped("github-new", host.url), token="one", apps=(lost,))
    await flow.add(source)
    await flow.watch._session.prove(source)
    for _ in range(2):
        await poll_once(flow, source)
    async with flow.database.reading() as tx:
        [told] = [n for n in await notices.notices(tx) if n.alarm == "token"]  # once
    assert "GitHub App 12 (installation 34)" in (told.detail or "")


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_file_that_is_searched_for_is_fetched_as_it_is_and_a_message_is_read_as_it_stands(
    flow: Flow, host: Host
) -> None:
    owners = customers(2, seed=85)
    await flow.register(*owners)
    repository = {"name": "tools", "full_name": "ada/tools", "owner": {"login": "ada"}}
    page = f"https://github.com/ada/tools/blob/{'3' * 40}/app/.env"
    file = {"name": ".env", "path": "app/.env", "sha": "4" * 40, "html_url": page, "repository": repository}
    message = {"message": f"use {owners[1].key}", "committer": {"date": AT}, "author": {"name": "Ada"}}
    commit = {"sha": "5" * 40, "html_url": "https://github.com/ada/tools/commit/5", "commit": message}
    host.answers["/search/code"] = {"total_count": 1, "incomplete_results": False, "items": [file]}
    found = {"total_count": 1, "incomplete_results": False, "items": [{**commit, "repository": repository}]}
    host.answers["/search/commits"] = found
    host.answers["/repos/ada/tools/contents/app/.env"] = f"KEY={owners[0].key}"
    for name in ("github-code-search", "github-commit-search"):
        await flow.add(shipped(name, host.url, search={"rate": "1000/s"}))
        await poll_once(flow, flow.watched["site"])
    assert {(place.url, place.title, place.path) for place in await places(flow)} == {
        (page, "tools", "app/.env"),
        ("https://github.com/ada/tools/commit/5", "ada/tools", ""),
    }
    [raw] = [r for r in host.requests if r.path.startswith("/repos")]
    assert raw.headers["Accept"] == "application/vnd.github.raw+json"
    for kind, window in (("code", r"in:file size:0\.\.393216"), ("commits", rf"committer-date:{TIME}\.\.{TIME}")):
        words = load(find(f"github-{kind.removesuffix('s')}-search", Path("none"))).search
        assert words is not None
        asked = [r.query["q"] for r in host.requests if r.path == f"/search/{kind}"]
        assert [re.sub(rf" {window}$", "", one) for one in asked] == [f'"{word}"' for word in words.words]


def runs(host: Host) -> Source:
    return shipped("github-actions", host.url, parameters={"owner": "ada", "repository": "tools"})


def all_runs(host: Host) -> Source:
    host.answers["/users/ada/repos"] = [{"full_name": "ada/tools"}, {"full_name": "ada/idle"}]
    host.answers["/repos/ada/idle/actions/runs"] = {"total_count": 0, "workflow_runs": []}
    return shipped("github-actions-owner", host.url, parameters={"owner": "ada"})


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("listed", [runs, all_runs])
async def test_a_key_in_the_log_of_a_run_is_found_in_its_archive(flow: Flow, host: Host, listed: Any) -> None:
    [owner] = customers(1, seed=86)
    await flow.register(owner)
    page = "https://github.com/ada/tools/actions/runs/7"
    run = {"id": 7, "run_attempt": 1, "html_url": page, "display_title": "Build", "updated_at": AT}
    host.answers["/repos/ada/tools/actions/runs"] = {"total_count": 1, "workflow_runs": [run]}
    log = f"2026-11-23T22:44:36Z KEY={owner.key}\n"
    host.answers["/repos/ada/tools/actions/runs/7/logs"] = zipped({"build/2_Run.txt": log.encode()})
    await flow.add(listed(host))
    await poll_once(flow, flow.watched["site"])
    [place] = await places(flow)
    assert (place.url, place.title) == (page, "Build")
    assert place.path.endswith("!/build/2_Run.txt")


def release(host: Host, assets: list[dict[str, Any]]) -> Source:
    event = {"id": "1", "type": "ReleaseEvent", "actor": {"login": "ada"}, "repo": {"name": "ada/tools"}}
    published = {"html_url": "https://github.com/ada/tools/releases/v1", "assets": assets}
    host.answers["/events"] = [{**event, "payload": {"action": "published", "release": published}, "created_at": AT}]
    return shipped("github-releases", host.url)


def releases(host: Host, assets: list[dict[str, Any]]) -> Source:
    host.answers["/users/ada/repos"] = [{"full_name": "ada/tools"}]
    published = {"html_url": "https://github.com/ada/tools/releases/v1", "assets": assets, "author": {"login": "ada"}}
    host.answers["/repos/ada/tools/releases"] = [published]
    return shipped("github-releases-owner", host.url, parameters={"owner": "ada"})


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("listed", [release, releases])
async def test_a_file_of_a_release_is_fetched_and_opened_and_one_that_is_too_large_once_it_may_be(
    flow: Flow, host: Host, listed: Any
) -> None:
    [customer] = customers(1, seed=88)
    await flow.register(customer)
    small, large = ({"id": n, "name": f"{n}.zip", "updated_at": AT, "size": size} for n, size in ((1, 900), (2, 10**9)))
    host.answers["/repos/ada/tools/releases/assets/1"] = zipped({"app/.env": f"KEY={customer.key}\n".encode()})
    await flow.add(listed(host, [small, large]))
    for _ in range(2):
        await poll_once(flow, flow.watched["site"])
    [place] = await places(flow)
    assert (place.url, place.path) == ("https://github.com/ada/tools/releases/v1", "1.zip!/app/.env")
    [asked] = [r for r in host.requests if "/assets/" in r.path]
    assert asked.headers["Accept"] == "application/octet-stream"
    [letter] = await dead(flow)
    assert (letter.reason, (await state(flow, "site")).missed) == ("too_large", 0)
    host.answers["/repos/ada/tools/releases/assets/2"] = zipped({"b.env": f"KEY={customer.key}\n".encode()})
    flow.watched["site"] = replace(flow.watched["site"], max_bytes=2 * 10**9)
    async with flow.database.transaction() as tx:
        await flow.engine.revive(tx, [letter.id])
    await poll_once(flow, flow.watched["site"])
    assert {place.path for place in await places(flow)} == {"1.zip!/app/.env", "2.zip!/b.env"}
    assert await dead(flow) == []


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_every_file_of_a_gist_is_a_document(flow: Flow, host: Host) -> None:
    [customer] = customers(1, seed=83)
    await flow.register(customer)
    files = {n: {"filename": n, "raw_url": f"{host.url}/raw/{n}"} for n in ("a.txt", "b.env")}
    host.answers |= {"/raw/a.txt": "nothing", "/raw/b.env": customer.key}
    gist = {"id": "f" * 32, "html_url": "https://gist.github.com/f", "files": files, "updated_at": AT}
    host.answers["/gists/public"] = [{**gist, "description": "mine", "owner": {"login": "ada"}}]
    await flow.add(shipped("github-gists", host.url))
    await poll_once(flow, flow.watched["site"])
    [place] = await places(flow)
    assert (place.url, place.path, place.author) == ("https://gist.github.com/f", "b.env", "ada")
    assert (await state(flow, "site")).documents == 2


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_gist_that_is_changed_is_read_again_and_only_what_is_as_new_is_asked_for(
    flow: Flow, host: Host
) -> None:
    [customer] = customers(1, seed=89)
    await flow.register(customer)
    gist = {"id": "f" * 32, "html_url": "https://gist.github.com/f", "owner": {"login": "ada"}, "description": "mine"}
    for at, text in ((AT, "nothing"), ("2026-11-23T23:00:00Z", customer.key)):
        host.answers[f"/raw/{at}"] = text
        files = {"b.env": {"filename": "b.env", "raw_url": f"{host.url}/raw/{at}"}}
        host.answers["/gists/public"] = [{**gist, "files": files, "updated_at": at}]
        if at == AT:
            await flow.add(shipped("github-gists", host.url))
        await poll_once(flow, flow.watched["site"])
    [place] = await places(flow)
    assert (place.url, place.path) == ("https://gist.github.com/f", "b.env")
    [first, *_, last] = [r.query["since"] for r in host.requests if r.path == "/gists/public"]
    assert (bool(re.fullmatch(TIME, first)), last) == (True, "2026-11-23T22:44:06Z")  # half a minute before the newest


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_snippet_is_read_as_it_is_and_its_page_named(flow: Flow, host: Host) -> None:
    [customer] = customers(1, seed=90)
    await flow.register(customer)
    page = "https://gitlab.example/-/snippets/8"
    snippet = {"id": 8, "title": "Settings", "file_name": "app/.env", "author": {"username": "ada"}, "web_url": page}
    host.answers["/api/v4/snippets/public"] = [{**snippet, "created_at": AT, "updated_at": AT}]
    host.answers["/api/v4/snippets/8/raw"] = f"# settings\nKEY={customer.key}\n"
    await flow.add(shipped("gitlab-snippets", host.url))
    await poll_once(flow, flow.watched["site"])
    [place] = await places(flow)
    assert (place.url, place.title, place.author, place.path) == (page, "Settings", "ada", "app/.env")
    assert place.position.line == 2
    assert all(r.headers["PRIVATE-TOKEN"] == "made up" for r in host.requests)
    assert await dead(flow) == []

"""The shipped definitions of forges and registries, read by the whole flow: the API by its documents, git for real."""

import gzip
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
from tests.unit.containers.making import tarred, zipped
from tests.unit.fetch.test_apps import key, pem

AT = "2026-11-23T22:44:36Z"
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


def models(host: Host, tools: Repository) -> Source:
    host.answers["/api/models"] = [{"id": "ada/tools", "author": "ada", "sha": "1" * 40, "lastModified": AT}]
    return shipped("huggingface-models", host.url)


def owner(host: Host, tools: Repository) -> Source:
    one = {"id": 1, "full_name": "ada/tools", "clone_url": tools.url, "html_url": f"{host.url}/ada/tools"}
    host.answers["/users/ada/repos"] = [{**one, "pushed_at": AT, "owner": {"login": "ada"}}]
    return shipped("github-owner", host.url, parameters={"owner": "ada"})


def new(host: Host, tools: Repository) -> Source:
    event = {"id": "1", "type": "PublicEvent", "actor": {"login": "ada"}, "repo": {"name": "ada/tools"}}
    host.answers["/events"] = [{**event, "payload": {}, "created_at": AT}]
    return shipped("github-new", host.url, document=GIT)


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("listed", "page"),
    [
        (gitlab, "{at}/-/blob/{commit}/app/.env"),
        (gitlab_events, "{at}/-/blob/{commit}/app/.env"),
        (gitea, "{at}/src/commit/{commit}/app/.env"),
        (models, "{at}/blob/{commit}/app/.env"),
        (owner, "{at}/blob/{commit}/app/.env"),
        (new, "{at}/blob/{commit}/app/.env"),
    ],
)
async def test_a_key_in_a_listed_repository_is_found_and_its_page_named(
    flow: Flow, host: Host, listed: Any, page: str
) -> None:
    [customer] = customers(1, seed=81)
    await flow.register(customer)
    tools = host.create("ada/tools")
    commit = tools.commit({"app/.env": f"KEY={customer.key}\n"})
    tools.push()
    await flow.add(listed(host, tools))
    await poll_once(flow, flow.watched["site"])
    [place] = await places(flow)
    assert place.url == page.format(at=f"{host.url}/ada/tools", commit=commit)
    assert (place.position.line, place.path) == (1, "app/.env")
    assert await dead(flow) == []


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
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
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
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
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
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
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_file_that_is_searched_for_is_fetched_as_it_is_and_a_message_is_read_as_it_stands(
    flow: Flow, host: Host
) -> None:
    owners = customers(2, seed=85)
    await flow.register(*owners)
    repository = {"name": "tools", "full_name": "ada/tools", "owner": {"login": "ada"}}
    page = f"https://github.com/ada/tools/blob/{'3' * 40}/app/.env"
    file = {"name": ".env", "path": "app/.env", "sha": "4" * 40, "html_url": page, "repository": repository}
    message = {"message": f"use {owners[1].key}", "committer": {"date": AT}}
    commit = {"sha": "5" * 40, "html_url": "https://github.com/ada/tools/commit/5", "commit": message}
    host.answers["/search/code"] = {"total_count": 1, "incomplete_results": False, "items": [file]}
    found = {"total_count": 1, "incomplete_results": False, "items": [{**commit, "repository": repository}]}
    host.answers["/search/commits"] = found
    host.answers["/repos/ada/tools/contents/app/.env"] = f"KEY={owners[0].key}"
    for name in ("github-code-search", "github-commit-search"):
        await flow.add(shipped(name, host.url, search={"rate": "1000/s"}))
        await poll_once(flow, flow.watched["site"])
    assert {place.url for place in await places(flow)} == {page, "https://github.com/ada/tools/commit/5"}
    [raw] = [r for r in host.requests if r.path.startswith("/repos")]
    assert raw.headers["Accept"] == "application/vnd.github.raw+json"
    words = load(find("github-code-search", Path("none"))).search
    assert words is not None
    asked = [r.query["q"] for r in host.requests if r.path == "/search/code"]
    assert asked == [f'"{word}" in:file size:0..393216' for word in words.words]


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_key_in_the_log_of_a_run_is_found_in_its_archive(flow: Flow, host: Host) -> None:
    [owner] = customers(1, seed=86)
    await flow.register(owner)
    page = "https://github.com/ada/tools/actions/runs/7"
    run = {"id": 7, "run_attempt": 1, "html_url": page, "display_title": "Build", "updated_at": AT}
    host.answers["/repos/ada/tools/actions/runs"] = {"total_count": 1, "workflow_runs": [run]}
    log = f"2026-11-23T22:44:36Z KEY={owner.key}\n"
    host.answers["/repos/ada/tools/actions/runs/7/logs"] = zipped({"build/2_Run.txt": log.encode()})
    await flow.add(shipped("github-actions", host.url, parameters={"owner": "ada", "repository": "tools"}))
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
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
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
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
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


def npm(host: Host) -> tuple[Source, str]:
    name = "@ada/tools"
    host.answers["/registry/"] = {"db_name": "registry", "update_seq": 41}
    host.answers["/registry/_changes"] = {"results": [{"seq": 42, "id": name, "changes": []}], "last_seq": 42}
    versions = {v: {"name": name, "version": v, "dist": {"tarball": f"{host.url}/{v}.tgz"}} for v in ("1.0.0", "2.0.0")}
    time = {"1.0.0": "2025-01-01T00:00:00Z", "2.0.0": AT}
    host.answers[f"/{name}"] = {"name": name, "versions": versions, "time": time}
    return shipped("npm", host.url, parameters={"registry": host.url}), "/2.0.0.tgz"


def pypi(host: Host) -> tuple[Source, str]:
    link = "https://pypi.org/project/tools/2.0/"
    host.answers["/rss/updates.xml"] = (
        f"<rss><channel><item><title>tools 2.0</title><link>{link}</link></item></channel></rss>"
    )
    file = {"filename": "tools-2.0.tar.gz", "url": f"{host.url}/tools-2.0.tar.gz", "upload_time_iso_8601": AT}
    host.answers["/pypi/tools/2.0/json"] = {"info": {}, "urls": [file]}
    return shipped("pypi", host.url), "/tools-2.0.tar.gz"


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("registry", [npm, pypi])
async def test_a_new_version_of_a_package_is_fetched_and_no_old_one(flow: Flow, host: Host, registry: Any) -> None:
    [customer] = customers(1, seed=84)
    await flow.register(customer)
    source, tarball = registry(host)
    host.answers[tarball] = gzip.compress(tarred({"package/.env": f"KEY={customer.key}\n".encode()}))
    await flow.add(source)
    await poll_once(flow, source)
    [place] = await places(flow)
    assert (place.path, place.position.line) == (f"{tarball[1:]}!/package/.env", 1)
    assert (await state(flow, "site")).documents == 1
    asked = [request.path_qs for request in host.requests]
    await poll_once(flow, source)
    again = [request.path_qs for request in host.requests[len(asked) :]]
    assert len(again) == 1  # the feed alone
    if registry is npm:
        assert again == ["/registry/_changes?since=42&limit=1000"]
        assert "/registry/_changes?since=41&limit=1000" in asked


def released(host: Host, serial: int, *recent: str) -> None:
    """The feed shows these releases, and the list of all projects has each with its serial, up to this one."""
    items = (f"<item><title>{n}</title><link>https://pypi.org/project/{n}/2.0/</link></item>" for n in recent)
    host.answers["/rss/updates.xml"] = f"<rss><channel>{''.join(items)}</channel></rss>"
    first = serial - len(PROJECTS) + 1
    projects = [{"_last-serial": first + at, "name": name} for at, name in enumerate(PROJECTS)]
    host.answers["/simple/"] = {"meta": {"_last-serial": serial, "api-version": "1.1"}, "projects": projects}


PROJECTS = ["p0", "p1", "p2", "swallowed", "p3", "p4", "p5"]


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_what_a_feeds_gap_swallowed_is_fetched_from_the_list_of_all_and_nothing_twice(
    flow: Flow, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    [customer] = customers(1, seed=85)
    await flow.register(customer)
    clock = 1_800_000_000
    monkeypatch.setattr("leakwatch.fetch.catchup.time", lambda: clock)
    for name in PROJECTS:
        file = {"filename": f"{name}-2.0.tar.gz", "url": f"{host.url}/{name}-2.0.tar.gz", "upload_time_iso_8601": AT}
        old = {**file, "filename": f"{name}-1.0.tar.gz", "upload_time_iso_8601": "2025-01-01T00:00:00Z"}
        host.answers[f"/pypi/{name}/2.0/json"] = {"info": {}, "urls": [file]}
        host.answers[f"/pypi/{name}/json"] = {"info": {}, "releases": {"1.0": [old], "2.0": [file]}, "urls": [file]}
        host.answers[f"/{name}-2.0.tar.gz"] = gzip.compress(tarred({"package/a.txt": name.encode()}))
    host.answers["/swallowed-2.0.tar.gz"] = gzip.compress(tarred({"package/.env": f"K={customer.key}\n".encode()}))
    source = shipped("pypi", host.url)
    await flow.add(source)
    released(host, 3, "p2", "p1", "p0")
    await poll_once(flow, source)
    clock += 3600
    released(host, 7, "p5", "p4", "p3")
    await poll_once(flow, source)
    await poll_once(flow, source)
    [place] = await places(flow)
    assert place.path == "swallowed-2.0.tar.gz!/package/.env"
    fetched = [request.path for request in host.requests if request.path.endswith("-2.0.tar.gz")]
    assert sorted(fetched) == sorted(f"/{name}-2.0.tar.gz" for name in PROJECTS)
    assert [request.path for request in host.requests].count("/simple/") == 2
    assert not any("1.0" in request.path for request in host.requests)
    assert (await state(flow, "site")).gaps == 1

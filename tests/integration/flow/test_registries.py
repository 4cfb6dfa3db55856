"""The shipped definitions of registries of packages, read by the whole flow: the API by its documents."""

import gzip
from typing import Any

import pytest

from leakwatch.fetch import Source
from tests.installation import customers
from tests.integration.flow.conftest import Flow
from tests.integration.flow.test_forges import AT, shipped
from tests.integration.flow.test_repositories import places
from tests.integration.flow.test_watch import poll_once, state
from tests.integration.git.host import Host
from tests.unit.containers.making import tarred


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
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
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
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
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

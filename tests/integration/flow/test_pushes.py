"""What sites tell of their own accord, over a real socket: let in by a secret, fetched at once, harmless again."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from leakwatch import pushes as pushes_module
from leakwatch.errors import DatabaseDown
from leakwatch.fetch import Source
from leakwatch.fetch_jobs import FETCH
from leakwatch.metrics import REGISTRY
from leakwatch.model import now
from leakwatch.pepper import Pepper
from leakwatch.pushes import MOST, Pushes, read
from leakwatch.watch import poll_job
from leakwatch.web import Hooks, Web
from leakwatch.web import hooks as hooks_module
from tests.installation import customers, until_async
from tests.integration.flow.conftest import Flow
from tests.integration.flow.test_forges import shipped
from tests.integration.flow.test_repositories import places
from tests.integration.flow.test_watch import alarms, state
from tests.integration.git.host import Host, Repository

SECRET = "of the hub, 2026"
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@dataclass
class Door:
    """The web server with its hooks, and who knocks."""

    flow: Flow
    url: str
    client: aiohttp.ClientSession
    pushes: Pushes

    async def knock(self, body: bytes, name: str = "site", **headers: str) -> int:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        async with self.client.post(f"{self.url}/hooks/{name}", data=body, headers=named) as answer:
            said = await answer.text()
            assert said == f"{answer.reason}\n"  # nothing is told but the status
            return answer.status

    async def tell(self, what: Any) -> int:
        return await self.knock(json.dumps(what).encode(), X_Webhook_Secret=SECRET)

    async def waiting(self) -> int:
        async with self.flow.database.reading() as tx:
            return (await self.flow.engine.waiting(tx, FETCH)).get("site", 0)


@pytest.fixture
async def door(flow: Flow) -> AsyncIterator[Door]:
    pushes = Pushes(
        watched=flow.watched,
        engine=flow.engine,
        pipeline=flow.pipeline,
        pepper=Pepper(b"p" * 32),
        frontier=flow.frontier,
        noticed=flow.watch.noticed,
    )
    web = Web("127.0.0.1:0", {}, CollectorRegistry(), hooks=Hooks(pushes, ()))
    await web.start()
    host, port = web.address
    async with aiohttp.ClientSession() as client:
        yield Door(flow, f"http://{host}:{port}", client, pushes)
    await web.stop()


def hub(host: Host) -> Source:
    return replace(shipped("huggingface-models", host.url), push_secrets=(SECRET,))


def told(tools: Repository, **more: Any) -> dict[str, Any]:
    """What the Hub says of a push; git's own back-end wants a `.git` at the end of a name."""
    head = tools.git("rev-parse", "HEAD")
    repo = {"type": "model", "name": tools.bare.name, "private": False, "headSha": head, **more}
    return {"event": {"action": "update", "scope": "repo.content"}, "repo": repo, "updatedRefs": []}


async def settled(flow: Flow) -> None:
    while True:
        async with flow.database.reading() as tx:
            if not (await flow.engine.waiting(tx, FETCH)).get("site", 0):
                return
        await asyncio.sleep(0.02)


@pytest.mark.usefixtures("running")
async def test_what_is_told_is_fetched_at_once_without_a_poll_and_once(flow: Flow, host: Host, door: Door) -> None:
    [customer] = customers(1, seed=91)
    await flow.register(customer)
    tools = host.create("tools")
    tools.commit({"app.env": f"KEY={customer.key}\n"})
    tools.push()
    await flow.add(hub(host))
    assert await door.tell(told(tools)) == 202
    await settled(flow)
    [place] = await places(flow)
    assert place.path == "app.env"
    assert (await state(flow, "site")).polls == 0
    asked = len(host.requests)
    for _ in range(3):
        assert await door.tell(told(tools)) == 202
    await settled(flow)
    assert len(host.requests) == asked  # it is known: nobody is asked again


async def test_without_the_secret_nobody_gets_in_or_learns_what_there_is(flow: Flow, host: Host, door: Door) -> None:
    tools = host.create("tools")
    tools.commit({"a": "b"})
    body = json.dumps(told(tools)).encode()
    await flow.add(hub(host))
    assert await door.knock(body) == 403
    for wrong in ("of the hub, 2027", SECRET[:-1], f"{SECRET}x", "\u00e9" * 8, "x" * 4000):
        assert await door.knock(body, X_Webhook_Secret=wrong) == 403
    assert await door.knock(body, "another", X_Webhook_Secret=SECRET) == 403
    assert await door.knock(b"x" * (2 * MOST), X_Webhook_Secret="wrong") == 403
    assert await door.waiting() == 0
    flow.watched["site"] = shipped("huggingface-models", host.url)  # one without a secret takes nothing
    for shown in ("", SECRET):
        assert await door.knock(body, X_Webhook_Secret=shown) == 403
    flow.watched["site"] = replace(
        shipped("gitlab-snippets", host.url), push_secrets=(SECRET,)
    )  # nor one whose kind has no push
    assert await door.knock(body, X_Webhook_Secret=SECRET) == 403
    async with door.client.get(f"{door.url}/hooks/site") as answer:
        assert answer.status == 405


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"<html>", 422),
        (b"[" * 100_000, 422),
        (b"\xff\xfe\x00", 422),
        (b"[]", 202),
        (b'{"repo": {"type": "dataset", "name": "x", "headSha": "1"}}', 202),
        (b" " * (MOST + 1), 413),
    ],
)
async def test_what_is_no_push_of_that_kind_is_refused_or_has_the_source_polled(
    flow: Flow, host: Host, door: Door, body: bytes, status: int
) -> None:
    await flow.add(hub(host))
    assert await door.knock(body, X_Webhook_Secret=SECRET) == status
    assert await door.waiting() == 0

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 4096):
            yield body[at : at + 4096]

    headers = {"X-Webhook-Secret": SECRET}
    async with door.client.post(f"{door.url}/hooks/site", data=chunks(), headers=headers) as answer:
        assert answer.status == status  # of a body that does not say how long it is


@pytest.mark.parametrize("body", [b"payload=%7B%7D", b"captcha"])
async def test_of_a_push_that_is_none_the_log_says_what_to_change_at_the_site(
    flow: Flow, host: Host, door: Door, body: bytes
) -> None:
    await flow.add(hub(host))
    with capture_logs() as logs:
        assert await door.knock(body, X_Webhook_Secret=SECRET) == 422
    [told] = [line for line in logs if line["event"] == "a push could not be read"]
    assert (told["reason"], "content type application/json" in told["detail"]) == ("bad_content", True)
    assert (await state(flow, "site")).pushed_at is None


async def test_a_push_leads_nowhere_but_to_the_sources_own_host(flow: Flow, host: Host, door: Door) -> None:
    await flow.add(replace(shipped("gitea", host.url), push_secrets=(SECRET,)))
    for address in ("http://169.254.169.254/latest", "file:///etc", "ext::sh -c id", "https://elsewhere.example/a.git"):
        what = {"after": "1" * 40, "repository": {"id": 1, "clone_url": address}}
        body = json.dumps(what).encode()
        signature = hmac.digest(SECRET.encode(), body, hashlib.sha256).hex()
        assert await door.knock(body, X_Gitea_Signature=signature) == 202
    assert await door.waiting() == 0
    await flow.add(hub(host))
    for name in ("../../x", "@elsewhere.example/x", "//elsewhere.example/x", "x?y#z", ":80@elsewhere.example"):
        assert await door.tell({"repo": {"type": "model", "name": name, "headSha": "1"}}) == 202
        [named] = read(hub(host), json.dumps({"repo": {"type": "model", "name": name, "headSha": "1"}})).references
        assert named.url.startswith(f"{host.url}/")


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    ("name", "header"), [("github-owner", "X_Hub_Signature_256"), ("gitlab-projects", "X_Gitlab_Token")]
)
async def test_a_forge_tells_of_a_push(flow: Flow, host: Host, door: Door, name: str, header: str) -> None:
    [customer] = customers(1, seed=94)
    await flow.register(customer)
    tools = host.create("ada/tools")
    head = tools.commit({"app.env": f"KEY={customer.key}\n"})
    tools.push()
    repository = {"id": 4, "clone_url": tools.url, "git_http_url": tools.url, "visibility_level": 20, "private": False}
    what = {"before": "0" * 40, "after": head, "deleted": False, "repository": repository, "project": repository}
    parameters = {"owner": "ada"} if name == "github-owner" else {}
    await flow.add(replace(shipped(name, host.url, parameters=parameters), push_secrets=(SECRET,)))
    body = json.dumps(what).encode()
    signature = hmac.digest(SECRET.encode(), body, hashlib.sha256).hex()
    shown = SECRET if name == "gitlab-projects" else f"sha256={signature}"
    assert await door.knock(body, **{header: shown[:-1]}) == 403
    assert await door.knock(body, **{header: shown}) == 202
    await settled(flow)
    [place] = await places(flow)
    assert place.url.endswith(f"/blob/{head}/app.env")


async def test_a_signature_is_of_the_very_body(flow: Flow, host: Host, door: Door) -> None:
    tools = host.create("tools")
    tools.commit({"a": "b"})
    tools.push()
    await flow.add(replace(shipped("gitea", host.url), push_secrets=(SECRET,)))
    body = json.dumps({"after": "1" * 40, "repository": {"id": 1, "clone_url": tools.url}}).encode()
    signature = hmac.digest(SECRET.encode(), body, hashlib.sha256).hex()
    assert await door.knock(body + b" ", X_Gitea_Signature=signature) == 403
    assert await door.knock(body, X_Gitea_Signature=SECRET) == 403
    assert await door.waiting() == 0
    assert await door.knock(body, X_Gitea_Signature=signature) == 202
    assert await door.waiting() == 1


@pytest.mark.parametrize("name", ["huggingface-models", "gitea"])
async def test_a_secret_is_changed_without_a_gap(flow: Flow, host: Host, door: Door, name: str) -> None:
    newest = "of the hub, 2027"
    body = json.dumps({"repository": {}, "repo": {}}).encode()

    async def shown(*secrets: str) -> list[int]:
        each = ((secret, hmac.digest(secret.encode(), body, hashlib.sha256).hex()) for secret in secrets)
        return [await door.knock(body, X_Webhook_Secret=plain, X_Gitea_Signature=sign) for plain, sign in each]

    source = shipped(name, host.url)
    with capture_logs() as logs:
        for secrets, statuses in (((SECRET,), [202, 403]), ((newest, SECRET), [202, 202]), ((newest,), [403, 202])):
            await flow.add(replace(source, push_secrets=secrets))
            assert await shown(SECRET, newest) == statuses
    assert [one["source"] for one in logs if "older" in one["event"]] == ["site"]


async def test_who_shows_a_signature_alone_learns_no_more_than_at_a_door_that_leads_nowhere(
    flow: Flow, host: Host, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    await flow.add(replace(shipped("gitea", host.url), push_secrets=(SECRET,)))
    before = refusals()
    for name in ("site", "nowhere"):
        assert await door.knock(b"x" * (2 * MOST), name, X_Gitea_Signature="x") == 403
    monkeypatch.setattr(hooks_module, "_PATIENCE", 0.1)
    reader, writer = await asyncio.open_connection(*door.url.removeprefix("http://").split(":"))
    writer.write(b"POST /hooks/site HTTP/1.1\r\nHost: x\r\nX-Gitea-Signature: x\r\nContent-Length: 9\r\n\r\n{")
    assert b" 403 " in await reader.readline()
    writer.close()
    assert refusals() == before + 2  # and of the place that is none nothing is counted


def refusals() -> float:
    names = {"source": "site", "outcome": "blocked"}
    return REGISTRY.get_sample_value("leakwatch_pushes_total", names) or 0.0


async def test_a_flood_is_bounded_whether_or_not_its_sender_may_come_in(flow: Flow, host: Host, door: Door) -> None:
    await flow.add(hub(host))
    source = hub(host)
    flow.watched["site"] = replace(source, definition=source.definition.model_copy(update={"frontier": 4}))
    names = [{"repo": {"type": "model", "name": f"a/{n}", "headSha": str(n)}} for n in range(100)]
    answers = [await door.tell(one) for one in names]
    assert answers.count(202) >= hooks_module._BURST
    assert 429 in answers
    assert await door.waiting() <= 4
    assert (await state(flow, "site")).missed >= hooks_module._BURST - 4


async def test_what_there_is_no_room_for_is_told_and_what_is_known_already_is_not_missed(
    flow: Flow, host: Host, door: Door
) -> None:
    source = replace(hub(host), definition=hub(host).definition.model_copy(update={"frontier": 2}))
    await flow.add(source)
    one, other = ({"repo": {"type": "model", "name": f"a/{n}", "headSha": str(n)}} for n in range(2))
    assert [await door.tell(what) for what in (one, other)] == [202, 202]
    assert (await door.waiting(), (await state(flow, "site")).missed) == (2, 0)
    assert await door.tell(one) == 202  # it waits: nothing is missed of it
    assert ((await state(flow, "site")).missed, await alarms(flow)) == (0, [])
    for n in (7, 8):
        assert await door.tell({"repo": {"type": "model", "name": "a/x", "headSha": str(n)}}) == 202
    assert ((await state(flow, "site")).missed, await alarms(flow)) == (2, ["missed"])


async def test_what_names_nothing_has_a_source_polled_no_more_often_than_it_may_be(
    flow: Flow, host: Host, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    polls, at = [], 1000.0

    async def noticed(_name: str) -> None:
        polls.append(at)

    monkeypatch.setattr(pushes_module, "monotonic", lambda: at)
    door.pushes._noticed = noticed
    await flow.add(replace(hub(host), every=120.0, slowest=900.0))
    for later in (0, 20, 60, 119, 120, 200):
        at = 1000.0 + later
        assert await door.tell({}) == 202
    assert polls == [1000.0, 1120.0]
    await flow.add(replace(hub(host), every=5.0))
    at = 1140.0
    assert [await door.tell({}) for _ in range(3)] == [202] * 3
    assert len(polls) == 3


@pytest.mark.usefixtures("running")
async def test_a_push_while_its_host_rests_is_no_failure_of_the_source(flow: Flow, host: Host, door: Door) -> None:
    host.answers["/api/models"] = [{"id": "ada/tools", "author": "ada", "sha": "1" * 40}]
    source = replace(hub(host), token="")
    await flow.add(source)
    session = flow.watch._session
    session.pause(source, 600.0)
    assert await door.tell({}) == 202  # names nothing that can be used

    async def left() -> bool:
        async with flow.database.reading() as tx:
            return await flow.engine.live(tx) == [] and (await state(flow, "site")).next_poll_at > now()

    await until_async(left, "it is left alone until the rest is over")
    found = await state(flow, "site")
    assert (found.polls, found.failures, found.reason) == (0, 0, None)
    assert found.next_poll_at > now() + timedelta(seconds=500)
    async with flow.database.transaction() as tx:
        await flow.engine.enqueue(tx, [poll_job("site")])  # one that was due is a failure, as ever

    async def failed() -> bool:
        return (await state(flow, "site")).failures == 1

    await until_async(failed, "a poll that is due says so")


async def test_it_is_known_when_a_site_last_told_of_anything(flow: Flow, host: Host, door: Door) -> None:
    await flow.add(hub(host))
    before = now()
    assert (await state(flow, "site")).pushed_at is None
    assert await door.knock(b"{}", X_Webhook_Secret="of nobody, in 2026") == 403
    assert (await state(flow, "site")).pushed_at is None
    for what in ({}, {"repo": {"type": "model", "name": "a/x", "headSha": "1"}}):
        assert await door.tell(what) == 202
        pushed_at = (await state(flow, "site")).pushed_at
        assert pushed_at is not None
        assert before <= pushed_at <= now()
        before = pushed_at


async def test_in_its_quiet_hours_a_source_is_not_polled_for_a_push(flow: Flow, host: Host, door: Door) -> None:
    at = now()
    quiet = f"{at - timedelta(hours=1):%H:%M}-{at + timedelta(hours=2):%H:%M}"
    await flow.add(replace(hub(host), quiet=quiet))
    assert await door.tell({}) == 202  # names nothing that can be used
    async with flow.database.reading() as tx:
        assert await flow.engine.live(tx) == []
    await flow.add(hub(host))
    assert await door.tell({}) == 202
    async with flow.database.reading() as tx:
        assert [job.queue for job in await flow.engine.live(tx)] == ["poll"]


async def test_a_push_of_very_much_is_read_in_part_and_the_source_polled_once(
    flow: Flow, host: Host, door: Door
) -> None:
    source = hub(host)
    push = source.definition.push
    assert push is not None
    definition = source.definition.model_copy(update={"push": push.model_copy(update={"items": "@"})})
    await flow.add(replace(source, definition=definition))
    many = [{"repo": {"name": f"a/{n}", "headSha": str(n)}} for n in range(150)]
    polls: list[str] = []

    async def noticed(name: str) -> None:
        polls.append(name)

    door.pushes._noticed = noticed
    assert await door.tell(many) == 202
    assert await door.tell(many) == 202
    assert await door.waiting() == 100
    assert polls == ["site"]


async def test_a_database_that_is_away_and_a_sender_that_dawdles_are_told_so(
    flow: Flow, host: Host, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    await flow.add(hub(host))

    async def down(*_: object) -> int:
        raise DatabaseDown("it is down")

    monkeypatch.setattr(door.pushes, "take", down)
    assert await door.tell({}) == 503
    monkeypatch.setattr(hooks_module, "_PATIENCE", 0.1)
    reader, writer = await asyncio.open_connection(*door.url.removeprefix("http://").split(":"))
    head = f"POST /hooks/site HTTP/1.1\r\nHost: x\r\nX-Webhook-Secret: {SECRET}\r\nContent-Length: 9\r\n\r\n"
    writer.write(head.encode() + b"{")
    assert b" 408 " in await reader.readline()
    writer.close()

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter

from leakwatch.errors import ConfigError, DatabaseDown
from leakwatch.web import Check, Web, server


class Checks(dict[str, Check]):
    """Checks whose answers a test sets."""

    def say(self, name: str, answer: str | Exception | None, seconds: float = 0.0) -> None:
        async def check() -> str | None:
            await asyncio.sleep(seconds)
            if isinstance(answer, Exception):
                raise answer
            return answer

        self[name] = check


@pytest.fixture
def checks() -> Checks:
    made = Checks()
    made.say("database", None)
    return made


@pytest.fixture
def alive() -> Checks:
    made = Checks()
    made.say("engine", None)
    return made


@pytest.fixture
async def client(checks: Checks, alive: Checks) -> AsyncIterator[aiohttp.ClientSession]:
    registry = CollectorRegistry()
    Counter("things", "Things.", registry=registry).inc(7)
    web = Web("127.0.0.1:0", checks, registry, alive=alive)
    await web.start()
    host, port = web.address
    async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
        yield session
    await web.stop()


async def _get(client: aiohttp.ClientSession, path: str) -> tuple[int, Any]:
    async with client.get(path) as answer:
        return answer.status, await answer.json()


async def test_well_is_200_with_every_check_by_name(client: aiohttp.ClientSession) -> None:
    assert await _get(client, "/healthz") == (200, {"alive": True, "checks": {"engine": "ok"}})
    assert await _get(client, "/readyz") == (200, {"ready": True, "checks": {"engine": "ok", "database": "ok"}})


async def test_a_database_that_is_away_is_not_ready_but_alive(client: aiohttp.ClientSession, checks: Checks) -> None:
    checks.say("database", "database_down")
    status, body = await _get(client, "/readyz")
    assert (status, body["ready"], body["checks"]["database"]) == (503, False, "database_down")
    assert (await _get(client, "/healthz"))[0] == 200


async def test_a_loop_that_hangs_is_neither(client: aiohttp.ClientSession, alive: Checks) -> None:
    alive.say("engine", "no progress for 90 s")
    assert await _get(client, "/healthz") == (503, {"alive": False, "checks": {"engine": "no progress for 90 s"}})
    assert (await _get(client, "/readyz"))[0] == 503


async def test_a_check_that_raises_finds_something_wrong(client: aiohttp.ClientSession, checks: Checks) -> None:
    checks.say("database", DatabaseDown("secret host does not answer"))
    assert (await _get(client, "/readyz"))[1]["checks"]["database"] == "database_down"
    checks.say("database", ValueError("secret"))
    assert (await _get(client, "/readyz"))[1]["checks"]["database"] == "the check failed"


async def test_a_check_that_does_not_answer_is_not_waited_for(
    client: aiohttp.ClientSession, checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_PATIENCE", 0.05)
    checks.say("database", None, seconds=60)
    assert (await _get(client, "/readyz"))[1]["checks"]["database"] == "no answer within 0.05 s"


async def test_metrics_are_prometheus_text(client: aiohttp.ClientSession) -> None:
    async with client.get("/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        assert "things_total 7.0" in await answer.text()


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/nothing"])
async def test_every_answer_is_safe_and_tells_nothing_of_the_server(client: aiohttp.ClientSession, path: str) -> None:
    for method in ("GET", "HEAD", "POST"):
        async with client.request(method, path) as answer:
            assert "Server" not in answer.headers
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] == "no-store"
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert "aiohttp" not in await answer.text()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_nothing_can_be_changed(client: aiohttp.ClientSession, method: str) -> None:
    async with client.request(method, "/healthz") as answer:
        assert answer.status == 405
        assert set(answer.headers["Allow"].split(",")) == {"GET", "HEAD"}


async def test_head_has_no_body(client: aiohttp.ClientSession) -> None:
    async with client.head("/readyz") as answer:
        assert (answer.status, await answer.read()) == (200, b"")


async def test_an_unknown_path_is_not_repeated(client: aiohttp.ClientSession) -> None:
    async with client.get("/sk-" + "synthetic" * 3) as answer:
        assert (answer.status, await answer.text()) == (404, "Not Found\n")


async def test_an_address_that_is_taken_is_told_of(unused_tcp_port: int) -> None:
    first = Web(f"127.0.0.1:{unused_tcp_port}", {}, CollectorRegistry())
    second = Web(f"127.0.0.1:{unused_tcp_port}", {}, CollectorRegistry())
    await first.start()
    with pytest.raises(ConfigError, match=r"web\.listen"):
        await second.start()
    await first.stop()
    await second.start()
    assert second.address == ("127.0.0.1", unused_tcp_port)
    await second.stop()
    await second.stop()


async def test_ipv6_is_written_in_brackets() -> None:
    web = Web("[::1]:0", {}, CollectorRegistry())
    await web.start()
    assert web.address[0] == "::1"
    await web.stop()

"""A site that gives GitHub Apps their tokens: each is made when it is needed, renewed in time, and never shown."""

import asyncio
import base64
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise

import pytest
from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from leakwatch import check
from leakwatch.config import Config
from leakwatch.demo import free_port
from leakwatch.errors import BadContent, Blocked, RateLimited, SecretError
from leakwatch.fetch import Session, Source
from leakwatch.fetch.apps import App, given, private_key
from leakwatch.fetch.limits import Resting
from leakwatch.fetch.tokens import NoToken
from leakwatch.toml import parse
from leakwatch.units import Rate
from tests.unit.fetch.sites import HTML, http_config, site, source

TOKEN = """[token]
header = "Authorization"
form = "Bearer {token}"
app = "{base_url}/app/installations/{installation}/access_tokens"
"""


CONFIG = """
[database]
url = "sqlite:////nowhere"
[http]
user_agent = "leakwatch test (test@issuer.example)"
allow_networks = ["127.0.0.0/8"]
[email]
from = "Security <security@issuer.example>"
smtp = "smtps://mail.issuer.example:465"
"""


@cache
def key(_number: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def pem(one: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    """As GitHub hands it out."""
    return one.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


def app(number: int = 0, *, id: str = "12", installation: str = "34") -> App:  # noqa: A002 - the field's name
    return App(id=id, installation=installation, key=pem(key(number)))


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@dataclass
class Host:
    """GitHub in small: installations give tokens for proofs, and only what they gave is let in."""

    lives: float = 3600.0  # seconds that a token is good for
    refusal: int = 0  # what installations answer instead of a token
    given: list[str] = field(default_factory=list)
    revoked: set[str] = field(default_factory=set)
    seen: Counter[str] = field(default_factory=Counter)
    allowed: int = 5000  # requests of an installation
    used: Counter[str] = field(default_factory=Counter)
    paths: list[str] = field(default_factory=list)
    slow: float = 0.0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        shown = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.paths.append(request.path)
        await asyncio.sleep(self.slow)
        if request.path.startswith("/app/"):
            return self._give(request, shown)
        if shown in self.revoked or not (shown in self.given or shown.startswith("plain")):
            return web.json_response({"message": "Bad credentials"}, status=401)
        self.seen[shown] += 1
        whose = shown.split("-")[0]
        self.used[whose] += 1
        left = self.allowed - self.used[whose]
        headers = {
            "X-RateLimit-Remaining": str(max(left, 0)),
            "X-RateLimit-Reset": "60",
            "X-RateLimit-Resource": "core",
        }
        return web.Response(text="x", headers=headers, status=200 if left >= 0 else 403)

    def _give(self, request: web.Request, proof: str) -> web.StreamResponse:
        assert request.method == "POST"
        head, said, signature = proof.split(".")
        facts = json.loads(decoded(said))
        moment = datetime.now(UTC).timestamp()
        try:
            key(0).public_key().verify(decoded(signature), f"{head}.{said}".encode(), PKCS1v15(), SHA256())
        except InvalidSignature:
            return web.json_response({"message": "A JSON web token could not be decoded"}, status=401)
        assert json.loads(decoded(head)) == {"alg": "RS256", "typ": "JWT"}
        assert facts["iat"] <= moment < facts["exp"] <= facts["iat"] + 600
        if self.refusal:
            return web.json_response({"message": "no"}, status=self.refusal)
        installation = request.path.split("/")[3]
        self.given.append(f"ghs{installation}-{len(self.given)}")
        until = datetime.now(UTC) + timedelta(seconds=self.lives)
        answer = {"token": self.given[-1], "expires_at": f"{until:%Y-%m-%dT%H:%M:%SZ}", "permissions": {}}
        return web.json_response(answer, status=201)


def watched(url: str, *apps: App, token: str = "", rate: Rate | None = None, concurrency: int = 8) -> Source:
    rate = rate or Rate(100_000, 1.0)
    return source(url, HTML + TOKEN, token=token, apps=apps, concurrency=concurrency, rate=rate)


async def test_a_token_is_made_once_for_many_requests_and_each_is_made_with_it() -> None:
    host = Host(slow=0.02)
    async with site(host.answer) as url, Session(http_config()) as session:
        at = watched(url, app())
        pages = await asyncio.gather(*(session.get(f"{url}/{n}", source=at) for n in range(12)))
    assert len(pages) == 12
    assert host.given == ["ghs34-0"]
    assert host.seen == {"ghs34-0": 12}


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_the_request_that_makes_a_token_keeps_its_distance_and_takes_no_second_place(concurrency: int) -> None:
    host, left = Host(), list[float]()

    async def answer(request: web.Request) -> web.StreamResponse:
        left.append(asyncio.get_running_loop().time())
        return await host.answer(request)

    async with site(answer) as url, Session(http_config()) as session:
        at = watched(url, app(), rate=Rate(1, 0.1), concurrency=concurrency)
        await asyncio.gather(*(session.get(f"{url}/{n}", source=at) for n in range(3)))
    assert host.paths[0] == "/app/installations/34/access_tokens"
    assert len(left) == 4
    assert min(b - a for a, b in pairwise(left)) > 0.05


async def test_a_token_that_ends_is_renewed_and_what_its_installation_may_ask_goes_on() -> None:
    host = Host(lives=300.5, allowed=3)  # good for a minute of ours, or for the half second after five minutes
    async with site(host.answer) as url, Session(http_config()) as session:
        at = watched(url, app())
        await session.get(f"{url}/a", source=at)
        pool = session._pool(at)
        assert pool is not None
        [token] = pool._tokens
        assert 0 < token.good_until - asyncio.get_running_loop().time() <= 60
        token.good_until = 0.0
        await session.get(f"{url}/b", source=at)
        await session.get(f"{url}/c", source=at)
        with pytest.raises(Resting):
            await session.get(f"{url}/d", source=at)
    assert host.given == ["ghs34-0", "ghs34-1"]
    assert host.used == {"ghs34": 3}


async def test_tokens_and_apps_share_the_work_each_with_its_own_limit() -> None:
    host = Host(allowed=4)
    async with site(host.answer) as url, Session(http_config()) as session:
        at = watched(url, app(), app(installation="35"), token="plain1\nplain2")
        for n in range(16):
            await session.get(f"{url}/{n}", source=at)
        with pytest.raises(Resting):
            await session.get(f"{url}/more", source=at)
    assert host.used == {"ghs34": 4, "ghs35": 4, "plain1": 4, "plain2": 4}
    assert len(host.given) == 2


async def test_what_two_sources_name_is_one_whatever_else_each_has() -> None:
    host = Host(allowed=2)
    async with site(host.answer) as url, Session(http_config()) as session:
        both, one = watched(url, app(), token="plain1"), watched(url, token="plain1")
        for n in range(4):
            await session.get(f"{url}/{n}", source=both)
        with pytest.raises(Resting):
            await session.get(f"{url}/more", source=one)
    assert host.used["plain1"] == 2


async def test_a_token_that_was_revoked_within_its_hour_is_made_anew_and_nothing_is_lost() -> None:
    host = Host()
    async with site(host.answer) as url, Session(http_config()) as session:
        at = watched(url, app())
        await session.get(f"{url}/a", source=at)
        host.revoked.add("ghs34-0")
        host.slow = 0.05  # so that all five are under way with it
        pages = await asyncio.gather(*(session.get(f"{url}/{n}", source=at) for n in range(5)))
        assert session.faults(at) == ()
    assert len(pages) == 5
    assert host.given == ["ghs34-0", "ghs34-1"]


@pytest.mark.parametrize(
    ("number", "refusal", "why"),
    [(1, 0, "its proof is not accepted"), (0, 403, "not let in"), (0, 404, "knows no such installation")],
)
async def test_an_app_that_is_not_accepted_is_named_asked_once_and_leaves_the_work_to_others(
    number: int, refusal: int, why: str, capfd: pytest.CaptureFixture[str]
) -> None:
    host = Host(refusal=refusal)
    async with site(host.answer) as url, Session(http_config()) as session:
        alone, mixed = watched(url, app(number)), watched(url, app(number), token="plain1")
        for _ in range(3):
            with pytest.raises(NoToken, match=why) as caught:
                await session.get(f"{url}/a", source=alone)
            assert isinstance(caught.value, Blocked)
            assert 0 < (caught.value.retry_after or 0) <= 60
        assert len(host.paths) == 1
        await session.get(f"{url}/a", source=mixed)
        [fault] = session.faults(mixed)
        assert "GitHub App 12 (installation 34)" in fault
        await session.prove(mixed)  # it rests: it is not asked again
    assert len(host.paths) == 2
    said = capfd.readouterr()
    assert "PRIVATE" not in repr(alone) + fault + said.out + said.err
    assert "eyJ" not in fault + said.out + said.err


async def test_a_failure_that_passes_is_waited_for_and_no_document_counts_as_refused() -> None:
    host = Host(refusal=502)
    async with site(host.answer) as url, Session(http_config()) as session:
        at = watched(url, app())
        with pytest.raises(Resting, match="gives no token") as caught:
            await session.get(f"{url}/a", source=at)
        assert isinstance(caught.value, RateLimited)
        await session.prove(at)
    assert len(host.paths) == 1


async def test_a_request_for_a_token_that_never_leaves_keeps_nobody_waiting() -> None:
    async with Session(http_config()) as session:
        at = watched(f"http://127.0.0.1:{free_port()}", app())
        asked = (session.get(f"{at.base_url}/{n}", source=at) for n in range(3))
        async with asyncio.timeout(20):
            failures = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(failure) for failure in failures] == [Resting] * 3
    assert "refused the connection" in str(failures[0])


async def test_a_proof_is_not_shown_where_the_site_leads_elsewhere() -> None:
    proofs: list[str] = []

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        proofs.append(request.path)
        raise web.HTTPFound("/app/elsewhere")

    async with site(elsewhere) as url, Session(http_config()) as session:
        with pytest.raises(NoToken, match="leads elsewhere"):
            await session.get(f"{url}/a", source=watched(url, app()))
    assert proofs == ["/app/installations/34/access_tokens"]


async def test_a_plain_token_that_is_not_accepted_rests_and_its_line_is_named() -> None:
    host = Host()
    async with site(host.answer) as url, Session(http_config()) as session:
        at = watched(url, token="plain1\nwrong\nplain2")
        for n in range(6):
            await session.get(f"{url}/{n}", source=at)
        [fault] = session.faults(at)
        assert fault.startswith("token 2 of token_file: ")
        assert "wrong" not in fault
        only = watched(url, token="wrong")
        with pytest.raises(NoToken, match="does not accept the token"):
            await session.get(f"{url}/a", source=only)
    assert len(host.paths) == 7  # one of them refused


async def test_every_app_is_proved_before_it_is_needed() -> None:
    host = Host()
    async with site(host.answer) as url, Session(http_config()) as session:
        await session.prove(watched(url, app(), app(installation="35"), token="plain1"))
        await session.prove(watched(url))
    assert host.given == ["ghs34-0", "ghs35-1"]


async def test_check_has_a_token_made_for_every_app_and_tells_what_is_refused() -> None:
    host = Host()
    config = parse(CONFIG, Config, file="leakwatch.toml")
    async with site(host.answer) as url:
        at = watched(url, app(), app(1, installation="35"), token="plain1")
        found = [problem async for problem in check._places(config, [at])]
    assert host.given == ["ghs34-0"]
    assert [problem.what.split(":")[0] for problem in found] == ["empty_listing", "GitHub App 12 (installation 35)"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"token": 7, "expires_at": "2026-11-25T20:00:00Z"}',
        '{"token": "", "expires_at": "2026-11-25T20:00:00Z"}',
        '{"token": "a\\r\\nb", "expires_at": "2026-11-25T20:00:00Z"}',
        '{"token": "x", "expires_at": "soon"}',
        json.dumps({"token": 5000 * "x", "expires_at": "2026-11-25T20:00:00Z"}),
    ],
)
def test_what_is_no_token_is_told(text: str) -> None:
    with pytest.raises(BadContent, match="no token"):
        given(app(), text)


@pytest.mark.parametrize("until", ["2020-01-01T00:00:00Z", "2020-01-01T00:00:00", "9999-01-01T00:00:00Z"])
def test_an_end_that_cannot_be_is_taken_for_a_minute_or_an_hour(until: str) -> None:
    assert given(app(), json.dumps({"token": "x", "expires_at": until})).seconds in (60, 3600)


def test_a_key_that_cannot_be_used_is_told_without_a_word_of_it() -> None:
    locked = key(0).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode()
    short = rsa.generate_private_key(65537, 1024)  # noqa: S505 - it is refused
    for wrong in ("secret words", pem(ec.generate_private_key(ec.SECP256R1())), pem(short), locked):
        with pytest.raises(SecretError, match="the App's key is no") as caught:
            private_key(wrong)
        assert wrong not in str(caught.value)
        assert caught.value.__cause__ is None
    assert private_key(pem(key(0))).key_size == 2048

"""A site that counts what its tokens ask, by a script of limits: never is one request more made than it allows."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from leakwatch.errors import Blocked, FetchError, RateLimited, ServerFault
from leakwatch.fetch import Session, Source
from leakwatch.fetch.failures import LONGEST_PAUSE
from leakwatch.fetch.limits import Resting
from leakwatch.fetch.page import Page, Validators
from leakwatch.fetch.quota import Quota
from leakwatch.fetch.tokens import Known, Taken, Tokens
from leakwatch.units import Rate
from tests.unit.fetch.sites import HTML, http_config, site, source
from tests.unit.fetch.test_apps import TOKEN as APPS
from tests.unit.fetch.test_apps import app

UNDER_WAY = 0.4  # seconds that a request may take to arrive here, on a busy machine


@dataclass
class Script:
    """GitHub's limits as it documents them, in small: primary ones by resource, secondary ones, failures."""

    allowed: dict[str, int]  # requests in a period, by resource
    period: int = 2  # seconds
    rest_after: int = 0  # requests of a token after which it is told to rest; 0: never
    fails_every: int = 0
    abuse_every: int = 0
    refused: tuple[str, ...] = ()  # installations that give no token
    proofs: list[str] = field(default_factory=list)  # the installations that were asked for one
    counts: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    rests: dict[str, float] = field(default_factory=dict)
    offences: list[str] = field(default_factory=list)
    served: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        token = request.headers.get("Authorization", "")
        if request.path.startswith("/app/"):
            return self._give(request.path.split("/")[3])
        resource = "search" if request.path.startswith("/search") else "core"
        now = time.time()
        period = int(now) // self.period
        reset = (period + 1) * self.period
        used = self.counts[token, resource, period]
        begins = self.rests.get(token, 0)
        if begins + UNDER_WAY < now < begins + 1:  # what had left before the answer came is no offence
            self.offences.append(f"{token} did not rest")
        if used >= self.allowed[resource]:
            self.offences.append(f"{token} asked for more of {resource} than there was")
        self.seen[token] += 1
        free = request.headers.get("If-None-Match") == '"1"'
        self.counts[token, resource, period] += not free
        left = max(0, self.allowed[resource] - self.counts[token, resource, period])
        headers = {
            "X-RateLimit-Remaining": str(left),
            "X-RateLimit-Reset": str(reset),
            "X-RateLimit-Resource": resource,
            "ETag": '"1"',
        }
        await asyncio.sleep(0.01)
        if self.rest_after and self.seen[token] % self.rest_after == 0:
            self.rests[token] = time.time()
            said = {"message": "You have exceeded a secondary rate limit."}
            return web.json_response(said, status=403, headers={**headers, "Retry-After": "1"})
        if self.abuse_every and self.seen.total() % self.abuse_every == 0:
            self.rests[token] = time.time()
            said = {"message": "You have triggered an abuse detection mechanism. Please wait a few minutes."}
            return web.json_response(said, status=403, headers={**headers, "Retry-After": "1"})
        if self.fails_every and self.seen.total() % self.fails_every == 0:
            return web.Response(status=502)
        if free:
            return web.Response(status=304, headers=headers)
        self.served += 1
        return web.Response(text="x", headers=headers)

    def _give(self, installation: str) -> web.StreamResponse:
        self.proofs.append(installation)
        if installation in self.refused:
            return web.Response(status=502)
        until = datetime.now(UTC) + timedelta(hours=1)
        return web.json_response({"token": f"ghs{installation}", "expires_at": until.isoformat()}, status=201)


def watched(url: str, tokens: int = 1, apps: int = 0) -> Source:
    each = tuple(app(installation=str(n)) for n in range(apps))
    return source(url, HTML + APPS, token="\n".join(f"t{n}" for n in range(tokens)), apps=each, concurrency=20)


async def take(tokens: Tokens, path: str) -> Taken:
    taken = await tokens.take(path, "site")
    assert isinstance(taken, Taken)
    return taken


async def ask(session: Session, at: Source, path: str, known: Validators = Validators()) -> Page:  # noqa: B008
    """Ask for a page until it is there, as jobs are: after a rest, or a failure."""
    while True:
        try:
            return await session.get(at.base_url + path, source=at, validators=known)
        except (RateLimited, ServerFault) as error:
            await asyncio.sleep(error.retry_after or 0.05)


@pytest.mark.parametrize(
    "script",
    [
        Script(allowed={"core": 12, "search": 3}),
        Script(allowed={"core": 30, "search": 3}, rest_after=9),
        Script(allowed={"core": 25, "search": 5}, fails_every=7),
    ],
    ids=["primary", "secondary", "failing"],
)
async def test_never_one_request_more_than_allowed_and_all_are_made(script: Script) -> None:
    async with site(script.answer) as url, Session(http_config()) as session:
        at = watched(url, tokens=3)
        paths = [f"/repos/{n}" for n in range(30)] + [f"/search/code?q={n}" for n in range(6)]
        pages = await asyncio.gather(*(ask(session, at, path) for path in paths))
    assert script.offences == []
    assert len(pages) == script.served == 36
    assert set(script.seen) == {"Bearer t0", "Bearer t1", "Bearer t2"}


async def test_tokens_and_apps_bear_everything_at_once_without_one_request_too_many() -> None:
    """Primary and secondary limits, abuse, failures and what has not changed, and an App that gets no token."""
    allowed = {"core": 14, "search": 4}
    script = Script(allowed=allowed, rest_after=11, fails_every=9, abuse_every=17, refused=("1",))
    async with site(script.answer) as url, Session(http_config()) as session:
        at = watched(url, tokens=2, apps=3)
        paths = [f"/repos/{n}" for n in range(40)] + [f"/search/code?q={n}" for n in range(8)]
        known = [ask(session, at, "/repos/events", Validators(etag='"1"')) for _ in range(8)]
        pages = await asyncio.gather(*known, *(ask(session, at, path) for path in paths))
    assert script.offences == []
    assert [page.not_modified for page in pages] == [True] * 8 + [False] * 48
    assert script.served == 48
    assert set(script.seen) == {"Bearer t0", "Bearer t1", "Bearer ghs0", "Bearer ghs2"}
    assert sorted(script.proofs) == ["0", "1", "2"]


async def test_what_is_counted_apart_is_told_apart_below_a_path_too() -> None:
    """GitHub Enterprise has its API below /api/v3."""

    async def enterprise(request: web.Request) -> web.StreamResponse:
        return await script.answer(request.clone(rel_url=request.path_qs.removeprefix("/api/v3")))

    script = Script(allowed={"core": 3, "search": 1}, period=10**9)
    async with site(enterprise) as url, Session(http_config()) as session:
        at = watched(f"{url}/api/v3")
        for path in ("repos/0", "search/code?q=1", "repos/1", "repos/2"):
            await session.get(f"{url}/api/v3/{path}", source=at)
        with pytest.raises(Resting):
            await session.get(f"{url}/api/v3/search/code?q=2", source=at)
    assert script.offences == []
    assert script.served == 4


async def test_what_has_not_changed_costs_nothing() -> None:
    script = Script(allowed={"core": 2}, period=10**9)  # which ends in no minute that a test runs in
    async with site(script.answer) as url, Session(http_config()) as session:
        at = watched(url)
        await session.get(f"{url}/events", source=at)
        for _ in range(5):
            page = await session.get(f"{url}/events", source=at, validators=Validators(etag='"1"'))
            assert page.not_modified
        await session.get(f"{url}/events", source=at)
        with pytest.raises(Resting) as caught:
            await session.get(f"{url}/events", source=at)
    assert script.offences == []
    assert 0 < (caught.value.retry_after or 0) <= LONGEST_PAUSE + 1


async def test_a_source_that_names_the_same_tokens_shares_what_they_may() -> None:
    script = Script(allowed={"core": 3}, period=10**9)
    async with site(script.answer) as url, Session(http_config()) as session:
        for _ in range(3):
            await session.get(f"{url}/a", source=watched(url))
        with pytest.raises(Resting):
            await session.get(f"{url}/b", source=watched(url))
    assert script.offences == []


@pytest.mark.parametrize(
    "words", ["You have exceeded a secondary rate limit", "You have triggered an abuse detection mechanism."]
)
async def test_a_refusal_that_is_a_limit_by_its_words_alone_is_rested_after_and_longer_each_time(words: str) -> None:
    async def limited(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"message": words}, status=403)

    async def refused(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"message": "Repository access blocked"}, status=403)

    async with site(limited) as url, Session(http_config()) as session:
        with pytest.raises(RateLimited) as caught:
            await session.get(f"{url}/a", source=watched(url))
        assert caught.value.retry_after == 60
        with pytest.raises(Resting):
            await session.get(f"{url}/a", source=watched(url))
    async with site(refused) as url, Session(http_config()) as session:
        with pytest.raises(Blocked):
            await session.get(f"{url}/a", source=watched(url))


async def test_a_site_that_says_nothing_of_limits_is_asked_many_at_once() -> None:
    tokens = Tokens(["t"])
    first = await take(tokens, "/x")
    await tokens.settle(first, Quota())
    taken = await asyncio.wait_for(asyncio.gather(*(take(tokens, "/x") for _ in range(5))), 5)
    assert {one.value for one in taken} == {"t"}


async def test_a_rate_counts_from_the_answer_and_what_is_under_way() -> None:
    tokens, rate = Tokens(["t"], patience=0.01), Rate(2, 3600.0)
    clock = asyncio.get_running_loop().time
    first = await take(tokens, "/search/code")
    await tokens.settle(first, Quota())  # it is known now that the site says nothing
    one = await tokens.take("/search/code", "site", rate)
    two = await tokens.take("/search/code", "site", rate)
    assert isinstance(one, Taken)
    assert isinstance(two, Taken)
    waiting = asyncio.ensure_future(tokens.take("/search/code", "site", rate))
    await asyncio.sleep(0.05)
    assert not waiting.done()  # nobody knows yet for how long
    with pytest.raises(Resting) as told:
        await tokens.take("/search/code", "site", rate, at_once=True)
    assert told.value.retry_after == rate.interval
    before = clock()
    await tokens.settle(one, Quota())
    with pytest.raises(Resting) as caught:
        await waiting
    assert 3600.0 - (clock() - before) <= (caught.value.retry_after or 0) <= 3600.0
    await tokens.settle(two, Quota())
    assert (await take(tokens, "/search/issues")).value == "t"
    one.token.asked["search/code"].moments[:] = [clock() - 3601.0, clock()]
    assert isinstance(await tokens.take("/search/code", "site", rate), Taken)


async def test_who_waits_for_a_token_holds_up_nobody_else_at_the_host() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(text="x")

    async with site(answer) as url, Session(http_config()) as session:
        at, rate = watched(url), Rate(1, 4.9)
        await session.get(f"{url}/search/code", source=at, rate=rate)
        searching = asyncio.ensure_future(session.get(f"{url}/search/code", source=at, rate=rate))
        await asyncio.sleep(0.05)
        await session.get(f"{url}/repos/a", source=at)
        assert (asked, searching.done()) == (["/search/code", "/repos/a"], False)
        searching.cancel()


async def test_a_strike_doubles_the_rest_where_the_site_names_none() -> None:
    tokens = Tokens(["t"])
    clock = asyncio.get_running_loop().time
    for expected in (60, 120, 240):
        taken = await take(tokens, "/x")
        await tokens.settle(taken, Quota(), RateLimited("too much"))
        assert taken.token.rests_until - clock() == pytest.approx(expected, abs=5)
        taken.token.rests_until = 0.0
    taken = await take(tokens, "/x")
    await tokens.settle(taken, Quota())
    assert taken.token.strikes == 0


async def test_a_first_request_is_charged_to_all_that_it_could_draw_on() -> None:
    tokens = Tokens(["t"], patience=0.01)
    first = await take(tokens, "/repos/a")
    await tokens.settle(first, Quota(left=1, reset=100.0, resource="core"))
    probe = await take(tokens, "/events")
    with pytest.raises(Resting):
        await take(tokens, "/repos/b")
    await tokens.settle(probe, Quota(left=5, reset=100.0, resource="events"))
    again = await take(tokens, "/repos/b")  # it drew on something else
    assert again.charged[-1].left == 0


@pytest.mark.parametrize("address", ["{url}/", "{url}", "{HOST}"])
async def test_a_site_is_one_however_its_address_is_written(address: str) -> None:
    asked = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        at = str(int(time.time()) + 100)
        return web.json_response([], headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": at})

    async with site(answer) as url, Session(http_config()) as session:
        one = watched(url)
        other = replace(one, name="other", base_url=address.format(url=url, HOST=url.replace("http", "HTTP", 1)))
        await session.get(f"{url}/a", source=one)
        with pytest.raises(Resting):
            await session.get(f"{url}/b", source=other)
    assert asked.count("/b") == 0


@pytest.mark.parametrize("names", ["{n}", ""])
async def test_a_site_that_counts_ever_new_resources_fills_nothing(names: str) -> None:
    known = Known()
    tokens = Tokens(["t"], known=known)
    for n in range(300):
        taken = await take(tokens, f"/users{n}/x" if not names else "/repos/x")
        await tokens.settle(taken, Quota(left=50, reset=100.0, resource=names.format(n=n)))
    assert len(known.token("t").allowances) <= 50


async def test_a_spent_search_keeps_nothing_else_waiting() -> None:
    tokens = Tokens(["t"], patience=0.01)
    search = await take(tokens, "/search/code")
    await tokens.settle(search, Quota(left=0, reset=100.0, resource="code_search"))
    first = await take(tokens, "/repos/a")  # of which nothing is known yet
    await tokens.settle(first, Quota(left=5, reset=100.0, resource="core"))
    with pytest.raises(Resting):
        await take(tokens, "/search/commits")  # it could be the same as the other search


async def test_an_unforeseen_answer_leaves_the_request_spent() -> None:
    tokens = Tokens(["t"], patience=0.01)
    first = await take(tokens, "/repos/a")
    await tokens.settle(first, Quota(left=1, reset=100.0, resource="core"))
    second = await take(tokens, "/repos/a")
    await tokens.settle(second, None, FetchError("no answer"))
    with pytest.raises(Resting):
        await take(tokens, "/repos/a")


@pytest.mark.parametrize("rest", [60.0, None])
async def test_a_rest_that_is_asked_for_holds_for_all_even_if_the_answer_spends_a_resource(rest: float | None) -> None:
    tokens = Tokens(["t"], patience=0.01)
    first = await take(tokens, "/repos/a")
    await tokens.settle(first, Quota(left=5, reset=100.0, resource="core"))
    search = await take(tokens, "/search/code")
    spent = Quota(left=0, reset=100.0, resource="search", rest=rest)
    await tokens.settle(search, spent, RateLimited("too much", retry_after=rest or 100.0))
    if rest is None:
        assert (await take(tokens, "/repos/b")).value == "t"
    else:
        with pytest.raises(Resting):
            await take(tokens, "/repos/b")

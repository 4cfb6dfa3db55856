"""A list of addresses: each is a document, and another one when what is there has changed."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from leakwatch.errors import Blocked, EmptyListing, Gone
from leakwatch.fetch import Session, poll, urls
from leakwatch.model import Checkpoint
from tests.unit.fetch.sites import answer, http_config, site, source

TOML = 'name = "site"\ntitle = "A list"\nkind = "urls"\n[listing]\nurl = "{base_url}/list.txt"\n'


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    async with Session(http_config()) as opened:
        yield opened


class Pages:
    def __init__(self, **texts: str) -> None:
        self.texts = texts
        self.asked: list[str] = []
        self.listed = "".join(f"/{name}\n" for name in texts)

    async def __call__(self, request: web.Request) -> web.Response:
        name = request.path[1:]
        if name == "list.txt":
            return web.Response(text=f"# a comment\n\n{self.listed}")
        self.asked.append(name)
        if name not in self.texts:
            return web.Response(status=404)
        etag = f'"{hash(self.texts[name])}"'
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304)
        return web.Response(text=self.texts[name], headers={"ETag": etag})


async def test_each_is_a_document_and_another_when_it_changes(session: Session) -> None:
    pages = Pages(a="one", b="two")
    async with site(pages) as url:
        first = await poll(session, source(url, TOML))
        assert [d.text for d in first.batch.documents] == ["one", "two"]
        second = await poll(session, source(url, TOML), first.batch.checkpoint)
        assert second.batch.documents == ()
        pages.texts["b"] = "three"
        third = await poll(session, source(url, TOML), second.batch.checkpoint)
    assert [(d.reference.id, d.text) for d in third.batch.documents] == [(f"{url}/b", "three")]
    assert third.batch.documents[0].reference.version != first.batch.documents[1].reference.version


async def test_a_definition_can_name_them_and_their_hosts_are_allowed(session: Session) -> None:
    async with site(answer("page")) as url, site(answer("home")) as home:
        toml = f'name = "site"\ntitle = "A list"\nkind = "urls"\nurls = ["{url}/x", "{url}/x", "/y"]\n'
        polled = await poll(session, source(home, toml))
    assert [d.text for d in polled.batch.documents] == ["page", "home"]


async def test_one_that_fails_hides_no_other_and_all_that_fail_are_an_error(session: Session) -> None:
    pages = Pages(a="one")
    pages.listed += "/none\nhttp://elsewhere.example/\n"
    async with site(pages) as url:
        polled = await poll(session, source(url, TOML))
        assert [d.text for d in polled.batch.documents] == ["one"]
        assert polled.trace.listing is not None
        assert len(polled.trace.listing.notes) == 2
        pages.texts = {}
        pages.listed = "/a\n/none\n"
        with pytest.raises(Gone):
            await poll(session, source(url, TOML))
        pages.listed = "javascript:alert(1)\n"
        with pytest.raises(EmptyListing):
            await poll(session, source(url, TOML))


async def test_what_one_poll_holds_is_bounded_and_the_next_goes_on(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(urls, "BUDGET", 150)
    pages = Pages(**{f"p{n}": str(n) * 100 for n in range(5)})
    checkpoint: Checkpoint | None = None
    turns = []
    async with site(pages) as url:
        for _ in range(3):
            pages.asked = []
            checkpoint = (await poll(session, source(url, TOML), checkpoint)).batch.checkpoint
            turns.append(pages.asked)
    # What has not changed is not sent again, and takes no room.
    assert turns == [["p0", "p1"], ["p2", "p3"], ["p4", "p0", "p1", "p2", "p3"]]


async def test_of_many_some_have_their_turn_in_each_poll(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urls, "AT_ONCE", 3)
    pages = Pages(**{f"p{n}": str(n) for n in range(5)})
    checkpoint: Checkpoint | None = None
    turns = []
    async with site(pages) as url:
        for _ in range(3):
            pages.asked = []
            checkpoint = (await poll(session, source(url, TOML), checkpoint)).batch.checkpoint
            turns.append(pages.asked)
    assert turns == [["p0", "p1", "p2"], ["p3", "p4", "p0"], ["p1", "p2", "p3"]]


async def test_a_gatekeepers_page_is_no_document(session: Session) -> None:
    toml = 'name = "site"\ntitle = "A list"\nkind = "urls"\nurls = ["/x"]\n'
    page = "<html><title>Sign in</title><form><input type=password></form></html>"
    async with site(answer(page, Content_Type="text/html")) as url:
        with pytest.raises(Blocked):
            await poll(session, source(url, toml))

"""The customer's pages in a real browser."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from leakwatch.announce import Announcer
from leakwatch.app import composer
from leakwatch.config import Config, NoticesConfig, WebConfig
from leakwatch.demo import free_port
from leakwatch.engine.embedded import EmbeddedEngine
from leakwatch.model import now
from leakwatch.notify import Links
from leakwatch.notify.language import languages
from leakwatch.scan import shipped
from leakwatch.signing import Signer
from leakwatch.store.database import Database
from leakwatch.web import Pages, Web
from tests.browser.conftest import Looker, assert_good, everywhere
from tests.integration.web.conftest import LINKS, House

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]
LONG = "An address without an end https://paste.example/" + "a" * 300


class Served(House):
    """A web server whose public address is the one at which the browser finds it."""

    base = ""

    async def page(self, keys: Sequence[int], locale: str = "en") -> str:
        """Owe a notice and return the address of its page."""
        return self.base + self.path(await self.owe(keys, locale=locale, title=LONG))


@pytest.fixture
async def served(sqlite_database: Database) -> AsyncIterator[Served]:
    port = free_port()
    house = Served(sqlite_database, client=None)  # type: ignore[arg-type] # the browser is the client
    house.base = f"http://127.0.0.1:{port}"
    facts = {
        "database": {"url": "sqlite://"},
        "http": {"user_agent": "test (+https://issuer.example)"},
        "email": {"from": "Example AI Security <s@issuer.example>", "smtp": "smtps://mail.issuer.example"},
    }
    pages = Pages(
        database=sqlite_database,
        announcer=Announcer(engine=EmbeddedEngine(sqlite_database), config=NoticesConfig(), domain="issuer.example"),
        composer=composer(Config.model_validate(facts), shipped()),
        links=Links(house.base, Signer([b"s" * 32]), valid=3600.0),
        redact=str,
        proxies=WebConfig().proxy_networks,
    )
    web = Web(f"127.0.0.1:{port}", {}, CollectorRegistry(), pages=pages)
    await web.start()
    yield house
    await web.stop()


@pytest.mark.parametrize("locale", sorted(languages()))
async def test_the_page_of_a_notice_is_accessible(served: Served, look: Looker, locale: str) -> None:
    one, three = await served.page((0,), locale), await served.page((0, 1, 2), locale)
    views = [*everywhere(one), *everywhere(three)]
    reports = await look(views if locale == "en" else [views[0], views[-1]])
    assert_good(reports)
    for report in reports:
        assert [url for _, url, _ in report["requests"]] == [report["url"]]  # nothing else is asked for


async def test_the_desk_and_what_goes_wrong_are_accessible(served: Served, look: Looker) -> None:
    await served.page((0, 1))
    typed = [["fill", "#reference", LINKS.reference(1)], ["click", "button"]]
    wrong = [["fill", "#reference", "1-x"], ["click", "button"]]
    desk = f"{served.base}/a/"
    assert_good(await look([*everywhere(desk), *everywhere(desk, steps=typed)]))
    assert_good(await look(everywhere(f"{served.base}/a/x")), status=404)
    [checked, unknown] = await look([{"url": desk, "steps": typed}, {"url": desk, "steps": wrong}])
    assert "Yes, this reference is ours." in checked["text"]
    assert "No, we know no such reference." in unknown["text"]


async def test_an_answer_needs_no_script_and_tells_nobody_where_it_came_from(served: Served, look: Looker) -> None:
    page = await served.page((0, 1))
    steps = [["uncheck", "input[value='2']"], ["check", "input[value=revoked]"], ["fill", "#remark", "done"]]
    [report] = await look([{"url": page, "javascript": False, "steps": [*steps, ["click", "button"]]}])
    assert report["url"] == f"{page}?answered"
    assert [method for method, _, _ in report["requests"]] == ["GET", "POST", "GET"]
    assert {referer for _, _, referer in report["requests"]} == {""}
    assert "Thank you. We have written down your answer." in report["text"]
    assert await served.findings() == [(1, "revoked"), (2, None)]
    [given] = await served.answers(1)
    assert given.remark == "done"


async def test_an_answer_needs_no_mouse(served: Served, look: Looker) -> None:
    page = await served.page((0,))
    keys = ["Tab", "Tab", "Space", "ArrowDown", "Tab", "Tab", "Enter"]  # past the link: choose, next; remark, send
    steps = [*(["press", key] for key in keys), ["waitForURL", "**answered"]]
    [report] = await look([{"url": page, "steps": steps}])
    assert report["url"] == f"{page}?answered", report["text"]
    assert await served.findings() == [(1, "acknowledged")]


async def test_a_page_takes_nothing_from_another_site(served: Served, look: Looker, tmp_path: Path) -> None:
    """Another site that somehow has a form of ours cannot send it, and cannot frame the page."""
    page = await served.page((0,))
    form = LINKS.form(0, 1, now() + timedelta(hours=1))
    other = tmp_path / "other.html"
    other.write_text(
        f'<form method="post" action="{page}"><input name="form" value="{form}"><input name="answer" value="revoked">'
        f'<button>Win</button></form><iframe src="{page}" title="page"></iframe>'
    )
    [report] = await look([{"url": other.as_uri(), "steps": [["click", "button"]]}])
    assert "This did not come from our page" in report["text"]
    assert await served.findings() == [(1, None)]

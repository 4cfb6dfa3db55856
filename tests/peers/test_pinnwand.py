"""pinnwand lists nothing in public, but has limits of its own, and answers 429 when they are reached."""

import json
import urllib.request
from pathlib import Path

import pytest

from leakwatch.demo import Mailbox
from leakwatch.errors import RateLimited
from leakwatch.fetch import Session
from tests.installation import Installation, customers, mails, until
from tests.peers.software import pinnwand
from tests.unit.fetch.sites import http_config, source


def paste(url: str, text: str) -> str:
    """Publish a paste by the API; return where its text is."""
    body = json.dumps({"expiry": "1day", "files": [{"lexer": "text", "content": text}]}).encode()
    request = urllib.request.Request(f"{url}/api/v1/paste", data=body)  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
        link: str = json.load(answer)["link"]
    return f"{url}/raw/{link.rpartition('/')[2]}"


@pytest.mark.peers
async def test_its_429_is_respected(tmp_path: Path) -> None:
    async with pinnwand(tmp_path, capacity=3, refill=1) as (url, log), Session(http_config()) as session:
        place = paste(url, "nothing")
        watched = source(url)

        async def ask_too_much() -> None:
            for _ in range(20):
                await session.get(place, source=watched)

        with pytest.raises(RateLimited) as caught:
            await ask_too_much()
        assert "answered 429" in caught.value.message
        assert caught.value.retry_after == 60  # it does not say how long: a minute is ours
        said = len(log.read_text())
        for _ in range(5):  # nothing more is sent to it in that time
            with pytest.raises(RateLimited, match="asked us to wait"):
                await session.get(place, source=watched)
        assert len(log.read_text()) == said


@pytest.mark.peers
@pytest.mark.timeout(180)
async def test_at_the_rate_that_it_allows_a_list_of_pastes_is_watched_without_one(
    installation: Installation, mailbox: Mailbox, tmp_path_factory: pytest.TempPathFactory
) -> None:
    [owner] = customers(1, seed=52)
    async with pinnwand(tmp_path_factory.mktemp("pinnwand"), capacity=3, refill=2) as (url, log):
        places = [paste(url, "nothing") for _ in range(5)] + [paste(url, f"TOKEN={owner.key}\n")]
        named = ", ".join(f'"{place}"' for place in places)
        installation.sources = (
            f'[[source]]\nuse = "url-list"\nbase_url = "{url}"\nevery = "1s"\nrate = "2/s"\n'
            f'override = {{ urls = [{named}], listing = {{ url = "" }} }}\n'
        )
        await installation.install([owner])
        async with installation.daemon():
            await until(lambda: bool(mails(mailbox, owner.address)), "the customer has mail")
        assert " 429 " not in log.read_text()

"""What a site says of how much it may be asked, in the dialects in use."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.errors import RateLimited
from leakwatch.fetch import Session
from leakwatch.fetch.quota import Quota, read
from tests.unit.fetch.sites import http_config, site, source


@pytest.mark.parametrize(
    ("headers", "left", "reset"),
    [
        ({"RateLimit-Remaining": "5", "RateLimit-Reset": "30"}, 5, 30.0),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "12"}, 0, 12.0),
        ({"X-RateLimit-Remaining": "99.0", "X-RateLimit-Reset": "300"}, 99, 300.0),
        ({"RateLimit": "limit=100, remaining=50, reset=5"}, 50, 5.0),
        ({"RateLimit": '"default";r=0;t=30'}, 0, 30.0),
        ({"RateLimit": '"api";r=499;t=299'}, 499, 299.0),
        ({"RateLimit-Remaining": "many"}, None, None),
        ({"RateLimit-Remaining": "-3", "RateLimit-Reset": "1e999"}, 0, None),
        ({"RateLimit-Remaining": "0", "RateLimit-Reset": "999999999"}, 0, 86_400.0),
        ({}, None, None),
    ],
)
def test_what_is_left_is_read(headers: dict[str, str], left: int | None, reset: float | None) -> None:
    found = read(headers)
    assert (found.left, found.reset) == (left, reset)


@pytest.mark.parametrize("form", ["epoch", "iso"])
def test_a_reset_can_be_a_moment(form: str) -> None:
    at = datetime.now(UTC) + timedelta(seconds=100)
    text = str(int(at.timestamp())) if form == "epoch" else at.isoformat()
    found = read({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": text})
    assert found.reset is not None
    assert 80 < found.reset <= 100
    assert found.pause == found.reset


@pytest.mark.parametrize("ahead", [-7200, -90, 90, 7200])
@pytest.mark.parametrize("form", ["epoch", "iso"])
def test_a_moment_is_told_by_the_sites_clock_however_wrong_ours_is(form: str, ahead: int) -> None:
    theirs = datetime.now(UTC) - timedelta(seconds=ahead)
    at = theirs + timedelta(seconds=60)
    text = str(int(at.timestamp())) if form == "epoch" else at.isoformat()
    said = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": text, "Date": format_datetime(theirs, usegmt=True)}
    assert read(said).pause == pytest.approx(60, abs=2)


@pytest.mark.parametrize("date", ["", "soon", "Fri, 31 Dec 9999 23:59:59 GMT", "Sat, 01 Jan 0001 00:00:00 GMT"])
def test_a_date_that_is_none_does_no_harm(date: str) -> None:
    at = str(int(datetime.now(UTC).timestamp()) + 60)
    assert 0 <= read({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": at, "Date": date}).pause <= 86_400


def test_there_is_a_pause_only_when_nothing_is_left() -> None:
    assert Quota(left=1, reset=50.0).pause == 0.0
    assert Quota(left=0).pause == 0.0
    assert Quota(left=0, reset=50.0).pause == 50.0


@given(st.dictionaries(st.sampled_from(["RateLimit", "RateLimit-Reset", "X-RateLimit-Remaining", "Date"]), st.text()))
def test_nothing_in_a_header_breaks_its_reader(headers: dict[str, str]) -> None:
    found = read(headers)
    assert found.left is None or found.left >= 0
    assert 0 <= found.pause <= 86_400


async def test_a_host_whose_quota_is_used_up_is_left_alone_until_there_is_more() -> None:
    asked = 0

    async def handle(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(headers={"RateLimit-Remaining": "0", "RateLimit-Reset": "600", "X-Poll-Interval": "90"})

    async with Session(http_config()) as session, site(handle) as url:
        page = await session.get(url, source=source(url))
        assert (page.quota.left, page.quota.interval) == (0, 90.0)
        with pytest.raises(RateLimited, match="asked us to wait"):
            await session.get(f"{url}/other", source=source(url))
    assert asked == 1

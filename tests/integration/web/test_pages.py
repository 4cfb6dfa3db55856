"""The customer's page: what it shows, what it takes, and all that it must not do."""

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta

import pytest

from leakwatch.errors import DatabaseDown
from leakwatch.model import NoticeKind, now
from leakwatch.notify.language import languages
from leakwatch.store import findings, registry
from leakwatch.web import pages
from tests.installation import customers
from tests.integration.store.making import seen
from tests.integration.web.conftest import LINKS, House

LOCALES = pytest.mark.parametrize("locale", sorted(languages()))


async def test_a_page_shows_the_findings_and_no_key(house: House) -> None:
    notice = await house.owe((0, 1), title="a paste")
    status, html = await house.get(house.path(notice))
    assert status == 200
    for words in ("2 of your API keys are public", "key 0", "key 1", "ak-…wxyz", "https://paste.example/1", "a paste"):
        assert words in html
    assert 'rel="noreferrer nofollow"' in html
    assert "<script" not in html


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_looking_changes_nothing(sqlite_house: House, method: str) -> None:
    house = sqlite_house
    notice = await house.owe()
    for query in ("", "?answered", "?answer=revoked&form=x"):
        async with house.client.request(method, house.path(notice) + query) as answer:
            assert answer.status == 200
            assert "Thank you" not in await answer.text()
    assert await house.answers(notice) == []
    assert await house.findings() == [(1, None)]


@pytest.mark.parametrize("word", ["acknowledged", "revoked", "false_alarm"])
async def test_an_answer_is_written_down_and_shown(house: House, word: str) -> None:
    notice = await house.owe()
    path = house.path(notice)
    form = {"form": await house.shown(path), "answer": word, "remark": "we are\r\non it"}
    answer, _ = await house.post(path, form)
    assert (answer.status, answer.headers["Location"]) == (303, f"{LINKS.public_url}{path}?answered")
    [given] = await house.answers(notice)
    assert (given.word, given.remark, given.findings) == (word, "we are on it", (1,))
    assert await house.findings() == [(1, word)]
    _, html = await house.get(f"{path}?answered")
    assert "Thank you" in html
    assert "You told us on" in html


async def test_the_operator_is_told_of_a_false_alarm_and_of_nothing_else(house: House) -> None:
    notice = await house.owe()
    path = house.path(notice)
    for word in ("revoked", "false_alarm", "false_alarm"):
        form = {"form": await house.shown(path), "answer": word, "remark": "see https://evil.example @all"}
        assert (await house.post(path, form))[0].status == 303
    [(reason, detail)] = await house.alarms()
    assert reason == "false_alarm"
    assert "ann calls a false alarm what notice 1 says (findings: 1)" in detail
    assert "https[:]//evil[.]example [@]all" in detail


async def test_each_key_that_is_called_a_false_alarm_is_told_of(house: House) -> None:
    path = house.path(await house.owe((0, 1)))
    for keys in (["1"], ["2"], ["1", "2"]):
        form = [("form", await house.shown(path)), ("answer", "false_alarm"), *(("key", key) for key in keys)]
        assert (await house.post(path, form))[0].status == 303
    assert [detail.partition("(")[2].partition(")")[0] for _, detail in await house.alarms()] == [
        "findings: 2",
        "findings: 1",
    ]


async def test_an_answer_is_for_the_keys_that_are_chosen(house: House) -> None:
    notice = await house.owe((0, 1, 2))
    path = house.path(notice)
    form = [("form", await house.shown(path)), ("answer", "revoked"), ("key", "1"), ("key", "3"), ("key", "99")]
    assert (await house.post(path, form))[0].status == 303
    assert await house.findings() == [(1, "revoked"), (2, None), (3, "revoked")]
    _, html = await house.get(path)
    assert re.findall(r'name="key" value="(\d)"( checked)?', html) == [("1", ""), ("2", " checked"), ("3", "")]


@pytest.mark.parametrize("form", [{}, {"answer": "maybe"}, {"answer": "revoked", "key": "99"}])
async def test_an_answer_that_is_unclear_is_asked_for_again(sqlite_house: House, form: dict[str, str]) -> None:
    house = sqlite_house
    path = house.path(await house.owe((0, 1)))
    answer, html = await house.post(path, {"form": await house.shown(path), "key": "1", **form})
    assert answer.status == 422
    assert 'role="alert"' in html
    assert await house.findings() == [(1, None), (2, None)]


async def test_what_is_sent_again_changes_nothing_and_shows_what_is_known(house: House) -> None:
    notice = await house.owe()
    path = house.path(notice)
    form = {"form": await house.shown(path), "answer": "revoked"}
    assert (await house.post(path, form))[0].status == 303
    for word in ("revoked", "false_alarm"):
        answer, html = await house.post(path, {**form, "answer": word})
        assert answer.status == 409
        assert "Somebody has answered" in html
        assert "that the key is revoked" in html
    assert len(await house.answers(notice)) == 1
    assert await house.findings() == [(1, "revoked")]


async def test_of_two_answers_at_once_one_is_taken(house: House) -> None:
    notice = await house.owe()
    path = house.path(notice)
    form = {"form": await house.shown(path), "answer": "acknowledged"}
    both = await asyncio.gather(*(house.post(path, form) for _ in range(2)))
    assert sorted(answer.status for answer, _ in both) == [303, 409]
    assert len(await house.answers(notice)) == 1


async def test_an_answer_to_another_notice_of_the_same_finding_is_known(sqlite_house: House) -> None:
    house = sqlite_house
    first, second = await house.owe(), await house.owe()
    stale = await house.shown(house.path(first))
    other = house.path(second)
    assert (await house.post(other, {"form": await house.shown(other), "answer": "revoked"}))[0].status == 303
    assert "is revoked" in (await house.get(house.path(first)))[1]
    answer, _ = await house.post(house.path(first), {"form": stale, "answer": "acknowledged"})
    assert answer.status == 409


URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=b"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (f"{URLENCODED}; charset=klingon", b"answer=revoked"),
        (f"{URLENCODED}; charset=utf-16", b"answer=revoked"),
        (URLENCODED, b"answer=\xff\xfe"),
        ("multipart/form-data", b"--b\r\n"),
        (MULTIPART, b"--other\r\n\r\nx"),
        (
            MULTIPART,
            b'--b\r\nContent-Disposition: form-data; name="x"\r\nContent-Transfer-Encoding: z\r\n\r\nx\r\n--b--',
        ),
        ("text/plain", b"answer=revoked"),
    ],
)
async def test_a_form_that_is_none_is_refused(sqlite_house: House, kind: str, body: bytes) -> None:
    house = sqlite_house
    notice = await house.owe()
    stop = LINKS.answering(notice, now()).stop.removeprefix(LINKS.public_url)
    for path in (house.path(notice), "/a/"):
        answer, html = await house.post(path, body, **{"Content-Type": kind})
        assert answer.status == 400
        assert "Nothing was changed" in html
    assert (await house.post(stop, body, **{"Content-Type": kind}))[0].status == 422
    assert await house.findings() == [(1, None)]
    assert await house.ended() == [None]


async def test_a_mail_program_may_stop_reminders_with_a_form_in_parts(sqlite_house: House) -> None:
    house = sqlite_house
    notice = await house.owe()
    body = b'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n'
    stop = LINKS.answering(notice, now()).stop.removeprefix(LINKS.public_url)
    assert (await house.post(stop, body, **{"Content-Type": MULTIPART}))[0].status == 200
    assert await house.ended() == ["stopped"]


@pytest.mark.parametrize(
    "forge",
    [
        lambda house, one, other: "",
        lambda house, one, other: "x" * 38,
        lambda house, one, other: LINKS.form(0, other, now() + timedelta(days=1)),
        lambda house, one, other: LINKS.form(0, one, now() - timedelta(seconds=1)),
        lambda house, one, other: house.path(one).rpartition("/")[2],
    ],
    ids=["none", "made up", "another notice's", "expired", "the link's own token"],
)
async def test_a_form_that_we_did_not_show_changes_nothing(
    sqlite_house: House, forge: Callable[[House, int, int], str]
) -> None:
    house = sqlite_house
    one, other = await house.owe(), await house.owe()
    answer, html = await house.post(house.path(one), {"form": forge(house, one, other), "answer": "revoked"})
    assert answer.status == 403
    assert "Nothing was changed" in html
    assert await house.findings() == [(1, None)]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_form_that_another_site_sends_changes_nothing(sqlite_house: House, site: str) -> None:
    house = sqlite_house
    path = house.path(await house.owe())
    form = {"form": await house.shown(path), "answer": "revoked"}
    answer, _ = await house.post(path, form, **{"Sec-Fetch-Site": site})
    assert answer.status == 403
    assert await house.findings() == [(1, None)]
    answer, _ = await house.post(path, form, **{"Sec-Fetch-Site": "same-origin", "Origin": "null"})
    assert answer.status == 303


async def test_a_link_expires(sqlite_house: House) -> None:
    house = sqlite_house
    path = house.path(await house.owe(), now() - timedelta(hours=2))
    for answer in (await house.get(path), await house.get(f"{path}?answered")):
        assert answer[0] == 410
        assert "This link has expired" in answer[1]
    assert (await house.post(path, {"answer": "revoked"}))[0].status == 410


async def test_a_link_opens_its_own_notice_alone(sqlite_house: House) -> None:
    house = sqlite_house
    await house.owe()
    token = LINKS.answering(1, now()).page.rpartition("/")[2]
    stop = LINKS.answering(1, now()).stop.rpartition("/")[2]
    other = LINKS.answering(4711, now()).page.rpartition("/")[2]
    for wrong in (token[:-1], token[:-2] + "AA", token.swapcase(), stop, other, "x", "..%2fmetrics", "%00", "é"):
        status, html = await house.get(f"/a/{wrong}")
        assert status == 404, wrong
        assert "This is no link of ours" in html
        assert "key 0" not in html


@pytest.mark.parametrize("kind", [NoticeKind.FINDING, NoticeKind.ALARM])
async def test_what_the_operator_was_told_has_no_page(sqlite_house: House, kind: NoticeKind) -> None:
    house = sqlite_house
    assert (await house.get(house.path(await house.owe(kind=kind))))[0] == 404


async def test_nothing_leaks_by_a_header(sqlite_house: House) -> None:
    house = sqlite_house
    path = house.path(await house.owe())
    for where in (path, f"{path}x", "/a/"):
        async with house.client.get(where) as answer:
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["X-Robots-Tag"] == "noindex, nofollow, noarchive"
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; style-src 'sha256-")
            assert "form-action 'self'" in policy
            assert "frame-ancestors 'none'" in policy
            assert not answer.cookies
            assert '<meta name="robots" content="noindex' in await answer.text()


async def test_a_key_in_a_remark_is_not_kept(sqlite_house: House) -> None:
    house = sqlite_house
    [owner] = customers(1, seed=91)
    notice = await house.owe()
    path = house.path(notice)
    form = {"form": await house.shown(path), "answer": "false_alarm", "remark": f"it was {owner.key}, see"}
    assert (await house.post(path, form))[0].status == 303
    [given] = await house.answers(notice)
    assert owner.key[8:-8] not in given.remark
    assert given.remark.startswith("it was ")
    assert owner.key[8:-8] not in str(await house.alarms())


async def test_a_remark_is_cut_and_shows_nothing_hidden(sqlite_house: House) -> None:
    house = sqlite_house
    notice = await house.owe()
    path = house.path(notice)
    remark = "\u202eabc\x00\x1b[31m\r\n" + "x" * 3000
    form = {"form": await house.shown(path), "answer": "acknowledged", "remark": remark}
    assert (await house.post(path, form))[0].status == 303
    [given] = await house.answers(notice)
    assert given.remark.isprintable()
    assert len(given.remark) == 1000


async def test_a_form_that_is_too_long_is_not_read(sqlite_house: House) -> None:
    house = sqlite_house
    path = house.path(await house.owe())
    answer, _ = await house.post(path, {"form": "x", "remark": "x" * 20_000})
    assert answer.status == 413


async def test_what_strangers_wrote_is_harmless(sqlite_house: House) -> None:
    house = sqlite_house
    path = house.path(await house.owe(title='"><script>alert(1)</script> https://evil.example {{ 7*7 }}'))
    _, html = await house.get(path)
    assert "<script" not in html
    assert "https[:]//evil[.]example {{ 7*7 }}" in html


async def test_an_answer_ends_when_a_closed_finding_opens_again(sqlite_house: House) -> None:
    house = sqlite_house
    path = house.path(await house.owe())
    assert (await house.post(path, {"form": await house.shown(path), "answer": "revoked"}))[0].status == 303
    async with house.database.transaction() as tx:
        [key] = await registry.keys(tx)
        assert await findings.close(tx, [1], now()) == 1
    assert "We closed this case on" in (await house.get(path))[1]
    async with house.database.transaction() as tx:
        await findings.record(tx, [seen(key.id, document=2)])
    assert await house.findings() == [(1, None)]


async def test_nobody_answers_without_end(sqlite_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house = sqlite_house
    monkeypatch.setattr(pages, "_ANSWERS", 2)
    path = house.path(await house.owe())
    statuses = []
    for _ in range(3):
        form = {"form": await house.shown(path), "answer": "revoked"}
        statuses.append((await house.post(path, form))[0].status)
    assert statuses == [303, 303, 429]


async def test_who_asks_too_often_waits(sqlite_house: House) -> None:
    house = sqlite_house
    path = house.path(await house.owe())
    mine, theirs = {"X-Forwarded-For": "192.0.2.1"}, {"X-Forwarded-For": "192.0.2.1, 192.0.2.2"}
    statuses = [(await house.get(path, headers=mine))[0] for _ in range(35)]
    assert statuses[:30] == [200] * 30
    assert statuses[-1] == 429
    async with house.client.get(path, headers=mine) as answer:
        assert int(answer.headers["Retry-After"]) > 0
        assert "Please wait a minute" in await answer.text()
    assert (await house.get(path, headers=theirs))[0] == 200


async def test_a_database_that_is_down_is_told_as_such(sqlite_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house = sqlite_house
    path = house.path(await house.owe())

    def down() -> None:
        raise DatabaseDown("secret host")

    monkeypatch.setattr(house.database, "reading", down)
    status, html = await house.get(path)
    assert status == 503
    assert "secret host" not in html


async def test_pages_speak_their_readers_language(sqlite_house: House) -> None:
    house = sqlite_house
    path = house.path(await house.owe(locale="fr"))
    assert '<html lang="fr">' in (await house.get(path))[1]
    for accepted, code in (
        ("fr-CA,en;q=0.5", "fr"),
        ("en;q=0.9, fr;q=0.1", "en"),
        ("xx", "en"),
        ("fr;q=x", "en"),
        ("", "en"),
    ):
        _, html = await house.get("/a/nothing", headers={"Accept-Language": accepted})
        assert f'<html lang="{code}">' in html


async def test_a_reference_is_checked(house: House) -> None:
    notice = await house.owe((0, 1))
    assert "Enter it here" in (await house.get("/a/"))[1]
    answer, html = await house.post("/a/", {"reference": f" {LINKS.reference(notice).upper()}"})
    assert answer.status == 200
    assert "Yes, this reference is ours." in html
    assert html.count("ak-…wxyz") == 2
    assert "paste.example" not in html  # it shows no more than who asks must know already


@pytest.mark.parametrize("held", [None, "hold"])
async def test_a_reference_that_was_never_sent_is_none_of_ours(sqlite_house: House, held: str | None) -> None:
    house = sqlite_house
    notice = await house.owe(held="hold")
    reference = LINKS.reference(notice) if held else "1-aaaa-aaaa-aaaa"
    answer, html = await house.post("/a/", {"reference": reference})
    assert answer.status == 404
    assert "No, we know no such reference." in html
    assert (await house.post("/a/", {}))[0].status == 404


async def test_the_operators_notices_have_no_reference_that_is_ours(sqlite_house: House) -> None:
    house = sqlite_house
    notice = await house.owe(kind=NoticeKind.FINDING)
    assert (await house.post("/a/", {"reference": LINKS.reference(notice)}))[0].status == 404


async def test_reminders_are_ended_with_one_click_and_nothing_is_answered(house: House) -> None:
    await house.owe((0, 1))
    reminder = await house.owe((0,), kind=NoticeKind.REMINDER)
    path = LINKS.answering(reminder, now()).stop.removeprefix(LINKS.public_url)
    assert 'name="List-Unsubscribe" value="One-Click"' in (await house.get(path))[1]
    assert (await house.ended()) == [None, None]
    answer, html = await house.post(path, {"List-Unsubscribe": "One-Click"}, **{"Sec-Fetch-Site": "cross-site"})
    assert answer.status == 200
    assert "No more reminders" in html
    assert (await house.ended()) == ["stopped", None]
    assert await house.answers(reminder) == []
    assert await house.findings() == [(1, None), (2, None)]
    assert (await house.post(path, {"List-Unsubscribe": "One-Click"}))[0].status == 200  # as often as they like


async def test_what_is_no_click_ends_no_reminders(sqlite_house: House) -> None:
    house = sqlite_house
    notice = await house.owe()
    answering = LINKS.answering(notice, now())
    stop, page = (url.removeprefix(LINKS.public_url) for url in (answering.stop, answering.page))
    assert (await house.post(stop, {}))[0].status == 422
    wrong = page.replace("/a/", "/a/stop/")
    for method in (house.get(wrong), house.post(wrong, {"List-Unsubscribe": "One-Click"})):
        answer = (await method)[0]
        assert (answer if isinstance(answer, int) else answer.status) == 404
    assert (await house.ended()) == [None]


async def test_a_test_is_confirmed_and_says_that_nothing_is_public(sqlite_house: House) -> None:
    house = sqlite_house
    notice = await house.owe((), kind=NoticeKind.TEST)
    path = house.path(notice)
    _, html = await house.get(path)
    assert "No key of yours is public" in html
    assert (await house.post(path, {"form": await house.shown(path), "answer": "acknowledged"}))[0].status == 303
    [given] = await house.answers(notice)
    assert (given.word, given.findings) == ("acknowledged", ())
    assert "Thank you" in (await house.get(f"{path}?answered"))[1]
    answer, html = await house.post("/a/", {"reference": LINKS.reference(notice)})
    assert answer.status == 200
    assert "to test whether our notices arrive" in html

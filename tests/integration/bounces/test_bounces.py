"""Mail that comes back, by a Maildir and by LMTP: what it marks, whom it warns, and what a forged one cannot do."""

import asyncio
import smtplib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from leakwatch.announce import Announcer
from leakwatch.bounces import Bounces, Intake
from leakwatch.config import NoticesConfig
from leakwatch.engine.embedded import EmbeddedEngine
from leakwatch.errors import ConfigError, DatabaseDown
from leakwatch.lmtp import Lmtp
from leakwatch.model import NoticeKind, now
from leakwatch.notify import Returns, new_message_id
from leakwatch.signing import Signer
from leakwatch.store import bounces, findings, notices, registry
from leakwatch.store.database import Database
from leakwatch.store.notices import Taken
from tests.integration.smtp.server import eventually
from tests.integration.store.making import register, registration, seen
from tests.unit.notify.test_dsn import POSTFIX

RETURNS = Returns("bounces@issuer.example", Signer([b"s" * 32]))


@dataclass
class House:
    """What takes mail that came back, with what it works on."""

    database: Database
    bounces: Bounces
    maildir: Path
    announcer: Announcer

    async def owe(self, *, to_operator: bool = False) -> int:
        """Owe a notice, have it accepted, and return its first delivery."""
        async with self.database.transaction() as tx:
            await register(tx, [registration("acme")])
            await registry.operator_channels(tx, ["mailto:soc@issuer.example"])
            [key] = await registry.keys(tx)
            [recorded] = await findings.record(tx, [seen(key.id)])
            opened = await notices.open_notice(
                tx,
                kind=NoticeKind.FINDING if to_operator else NoticeKind.EXPOSURE,
                customer_id=None if to_operator else recorded.customer_id,
                finding_ids=[recorded.finding_id],
                held=None,
                make_message_id=lambda: new_message_id("issuer.example"),
                now=now(),
            )
            told = opened.delivery_ids
            await notices.accepted(tx, [Taken(delivery_id=number, at=now(), code=250, detail="") for number in told])
        return told[0]

    async def move(self, customer: str, *urls: str) -> None:
        """Tell a customer on these channels from now on."""
        async with self.database.transaction() as tx:
            await registry.add_customer(tx, name=customer, locale="en", channels=urls)
            [owner] = await registry.customers(tx)
            for url in set(owner.channels) - set(urls):
                await registry.retire_channel(tx, customer, url)

    async def retry(self) -> list[str]:
        """Do what the alarm advises, and return where the notice is on its way to by then."""
        async with self.database.transaction() as tx:
            await self.announcer.retry(tx, [n for n in await notices.notices(tx) if n.kind is NoticeKind.EXPOSURE])
            every = [d for n in await notices.notices(tx) if n.kind is NoticeKind.EXPOSURE for d in n.deliveries]
        return [d.channel_url for d in every if d.state == notices.PENDING]

    async def state(self, number: int) -> notices.Delivery:
        async with self.database.reading() as tx:
            [found] = [d for n in await notices.notices(tx) for d in n.deliveries if d.id == number]
        return found

    async def alarms(self) -> list[tuple[str, str]]:
        async with self.database.reading() as tx:
            return [(n.alarm, n.detail) for n in await notices.notices(tx) if n.kind is NoticeKind.ALARM]

    async def came_back(self, number: int) -> list[str]:
        async with self.database.reading() as tx:
            return [b.action for b in (await bounces.of(tx, [number])).get(number, [])]

    def put(self, name: str, content: bytes) -> None:
        (self.maildir / "new" / name).write_bytes(content)


@pytest.fixture
def house(database: Database, tmp_path: Path) -> House:
    return built(database, tmp_path)


@pytest.fixture
def sqlite_house(sqlite_database: Database, tmp_path: Path) -> House:
    return built(sqlite_database, tmp_path)


def built(database: Database, folder: Path) -> House:
    for name in ("new", "cur", "tmp"):
        (folder / "Maildir" / name).mkdir(parents=True)
    announcer = Announcer(engine=EmbeddedEngine(database), config=NoticesConfig(), domain="issuer.example")
    made = Bounces(database=database, announcer=announcer, returns=RETURNS)
    return House(database, made, folder / "Maildir", announcer)


def dsn(number: int, **change: str) -> bytes:
    """What comes back of a delivery."""
    text = POSTFIX.replace(b"bounces+7-abc@issuer.example", RETURNS.address(number).encode())
    for old, new in change.items():
        text = text.replace(old.encode(), new.encode())
    return text


async def test_a_failure_marks_its_delivery_and_warns_the_operator_once(house: House) -> None:
    number = await house.owe()
    assert (await house.state(number)).bounced is None
    for _ in range(2):  # the same report read twice
        assert await house.bounces.take([RETURNS.address(number)], dsn(number)) is Intake.REPORT
    state = await house.state(number)
    assert (state.state, state.bounced) == ("accepted", "5.1.1")
    assert await house.came_back(number) == ["failed"]
    [(reason, detail)] = await house.alarms()
    assert reason == "mail_bounced"
    assert "acme cannot be reached at acme@example.org: notice 1 came back (5.1.1: 550 5.1.1 No such user)" in detail

    other = await house.owe()
    await house.bounces.take([RETURNS.address(other)], dsn(other))
    assert len(await house.alarms()) == 1  # the same address, the same day


async def test_what_came_back_goes_to_another_address_as_the_alarm_says(house: House) -> None:
    number = await house.owe()
    await house.bounces.take([RETURNS.address(number)], dsn(number, failed="delayed"))
    await house.move("acme", "mailto:new@example.org")
    assert await house.retry() == []  # a delay is no failure: it may have arrived
    await house.bounces.take([RETURNS.address(number)], dsn(number))
    assert await house.retry() == ["mailto:new@example.org"]
    assert await house.retry() == ["mailto:new@example.org"]  # the same one, sooner


async def test_what_came_back_of_one_address_and_arrived_at_another_is_not_sent_to_a_third(sqlite_house: House) -> None:
    house = sqlite_house
    await house.move("acme", "mailto:acme@example.org", "mailto:second@example.org")
    number = await house.owe()
    await house.bounces.take([RETURNS.address(number)], dsn(number))
    await house.move("acme", "mailto:second@example.org", "mailto:third@example.org")
    assert await house.retry() == []


async def test_a_delay_is_written_down_and_no_more(house: House) -> None:
    number = await house.owe()
    await house.bounces.take([RETURNS.address(number)], dsn(number, failed="delayed"))
    assert await house.came_back(number) == ["delayed"]
    assert (await house.state(number)).bounced is None
    assert await house.alarms() == []


async def test_what_comes_back_of_the_operators_own_makes_no_more_of_it(sqlite_house: House) -> None:
    house = sqlite_house
    number = await house.owe(to_operator=True)
    await house.bounces.take([RETURNS.address(number)], dsn(number))
    assert (await house.state(number)).bounced == "5.1.1"
    assert await house.alarms() == []


@pytest.mark.parametrize(
    ("address", "taken"),
    [("bounces@issuer.example", Intake.STRANGE), ("bounces+1-aaaaaaaaaaaa@issuer.example", Intake.STRANGE)],
)
async def test_a_report_to_an_address_that_we_did_not_make_is_nothing(
    sqlite_house: House, address: str, taken: Intake
) -> None:
    house = sqlite_house
    number = await house.owe()
    assert await house.bounces.take([address], dsn(number)) is taken
    assert await house.came_back(number) == []


async def test_a_forged_report_can_only_warn(sqlite_house: House) -> None:
    house = sqlite_house
    number = await house.owe()
    for n in range(30):
        await house.bounces.take([RETURNS.address(number)], dsn(number, **{"Status: 5.1.1": f"Status: 5.1.{n}"}))
    assert len(await house.came_back(number)) == 20  # and not without end
    assert len(await house.alarms()) == 1
    async with house.database.reading() as tx:
        [owner] = await registry.customers(tx)
        [finding] = await findings.findings(tx)
    assert owner.channels == ("mailto:acme@example.org",)
    assert (finding.closed_at, finding.answer) == (None, None)
    assert (await house.state(number)).state == "accepted"


async def test_an_auto_reply_is_no_failure(sqlite_house: House) -> None:
    house = sqlite_house
    number = await house.owe()
    away = b"From: acme@example.org\nSubject: Away\n\nBack on Monday.\n"
    assert await house.bounces.take([RETURNS.address(number)], away) is Intake.NOTHING
    assert await house.came_back(number) == []


async def test_a_report_of_what_is_gone_is_nothing(sqlite_house: House) -> None:
    assert await sqlite_house.bounces.take([RETURNS.address(4711)], dsn(4711)) is Intake.REPORT
    assert await sqlite_house.alarms() == []


# --- a Maildir


async def test_what_is_new_in_a_maildir_is_read_once(house: House) -> None:
    number = await house.owe()
    house.put("1.issuer", dsn(number))
    house.put("2.issuer", b"To: somebody@issuer.example\n\nSpam.\n")
    house.put("3.issuer", b"\xff\xfe not a mail")
    assert await house.bounces.look(house.maildir) == 3
    assert await house.bounces.look(house.maildir) == 0
    assert await house.came_back(number) == ["failed"]
    assert sorted(p.name for p in (house.maildir / "cur").iterdir()) == ["1.issuer:2,S", "2.issuer:2,", "3.issuer:2,"]


async def test_who_dies_before_the_mail_is_moved_reads_it_again(sqlite_house: House) -> None:
    house = sqlite_house
    number = await house.owe()
    for _ in range(2):
        house.put("1.issuer", dsn(number))
        await house.bounces.look(house.maildir)
    assert await house.came_back(number) == ["failed"]
    assert len(await house.alarms()) == 1


async def test_a_database_that_is_down_leaves_the_mail_where_it_is(
    sqlite_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = sqlite_house
    number = await house.owe()
    house.put("1.issuer", dsn(number))

    def down() -> None:
        raise DatabaseDown("away")

    monkeypatch.setattr(house.database, "transaction", down)
    watching = asyncio.create_task(house.bounces.watch(house.maildir, 0.01))
    await asyncio.sleep(0.05)
    assert [p.name for p in (house.maildir / "new").iterdir()] == ["1.issuer"]
    monkeypatch.undo()

    async def read() -> bool:
        return await house.came_back(number) == ["failed"]

    await eventually(read)
    watching.cancel()


async def test_a_maildir_that_is_not_there_is_waited_for(
    sqlite_house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    house = sqlite_house
    number = await house.owe()
    house.put("1.issuer", dsn(number))
    elsewhere = house.maildir.with_name("elsewhere")
    house.maildir.rename(elsewhere)
    watching = asyncio.create_task(house.bounces.watch(house.maildir, 0.01))
    await asyncio.sleep(0.1)
    elsewhere.rename(house.maildir)

    async def read() -> bool:
        return await house.came_back(number) == ["failed"]

    await eventually(read)
    watching.cancel()
    assert capsys.readouterr().out.count("cannot be read") == 1


async def test_a_reader_that_fails_goes_on(sqlite_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house = sqlite_house
    looks = 0

    async def fails(_maildir: Path) -> int:
        nonlocal looks
        looks += 1
        raise ValueError("a bug")

    monkeypatch.setattr(house.bounces, "look", fails)
    watching = asyncio.create_task(house.bounces.watch(house.maildir, 0.01))
    await eventually(lambda: looks > 2)
    watching.cancel()


# --- LMTP


@pytest.fixture
async def lmtp(sqlite_house: House) -> AsyncIterator[Lmtp]:
    served = Lmtp("127.0.0.1:0", is_ours=sqlite_house.bounces.is_ours, take=sqlite_house.bounces.take)
    await served.start()
    yield served
    await served.stop()


def hand_over(port: int, recipients: list[str], content: bytes) -> tuple[list[int], int]:
    """Speak LMTP as a mail server does: the replies to each recipient, and to the data."""
    with smtplib.LMTP("127.0.0.1", port) as client:
        client.ehlo_or_helo_if_needed()
        client.mail("")
        codes = [client.rcpt(address)[0] for address in recipients]
        wire = content.replace(b"\n", b"\r\n")
        return codes, client.data(wire)[0] if 250 in codes else 0


async def test_a_report_comes_by_lmtp(sqlite_house: House, lmtp: Lmtp) -> None:
    house = sqlite_house
    number = await house.owe()
    assert await asyncio.to_thread(hand_over, lmtp.port, [RETURNS.address(number)], dsn(number)) == ([250], 250)
    assert await house.came_back(number) == ["failed"]


async def test_lmtp_takes_what_is_ours_alone_and_one_at_a_time(sqlite_house: House, lmtp: Lmtp) -> None:
    number = await sqlite_house.owe()
    ours = RETURNS.address(number)
    codes, data = await asyncio.to_thread(hand_over, lmtp.port, ["bounces@issuer.example", ours, ours], dsn(number))
    assert (codes, data) == ([550, 250, 452], 250)
    assert await asyncio.to_thread(hand_over, lmtp.port, ["a@b.example"], b"") == ([550], 0)


async def test_lmtp_takes_nothing_that_is_too_long(sqlite_house: House, lmtp: Lmtp) -> None:
    number = await sqlite_house.owe()
    long = dsn(number) + b"x\n" * 600_000
    assert await asyncio.to_thread(hand_over, lmtp.port, [RETURNS.address(number)], long) == ([250], 552)


@pytest.mark.parametrize("error", [DatabaseDown("secret"), ValueError("secret")])
async def test_what_could_not_be_written_down_is_sent_again(
    sqlite_house: House, lmtp: Lmtp, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    number = await sqlite_house.owe()

    async def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(lmtp._handler, "_take", fails)
    assert await asyncio.to_thread(hand_over, lmtp.port, [RETURNS.address(number)], dsn(number)) == ([250], 451)


async def test_an_address_that_is_taken_is_told(lmtp: Lmtp) -> None:
    other = Lmtp(f"127.0.0.1:{lmtp.port}", is_ours=lambda _: True, take=None)  # type: ignore[arg-type] # never called
    with pytest.raises(ConfigError, match=r"bounces\.lmtp"):
        await other.start()


async def test_without_aiosmtpd_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "aiosmtpd.lmtp", None)
    with pytest.raises(ConfigError, match=r"leakwatch\[lmtp\]"):
        await Lmtp("127.0.0.1:0", is_ours=lambda _: True, take=None).start()  # type: ignore[arg-type] # never called

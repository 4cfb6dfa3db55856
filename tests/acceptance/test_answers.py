"""A notice's whole way: the link in its mail, the answer on its page, the reminder without one, and what comes back."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from leakwatch.demo import DEFINITION, Mailbox, PasteSite
from tests.installation import Installation, customers, mails, text_of, until, until_async
from tests.unit.notify.test_dsn import POSTFIX

KILLS = 2


class Box(Mailbox):
    """A mail server that knows where mail comes back to, and kills on demand who has just handed one over."""

    def __init__(self) -> None:
        super().__init__()
        self.senders: dict[str, str] = {}  # by recipient
        self.victim: int | None = None

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.senders |= dict.fromkeys(envelope.rcpt_tos, envelope.mail_from)
        answer = await super().handle_DATA(server, session, envelope)
        if self.victim is not None:
            os.kill(self.victim, signal.SIGKILL)
            self.victim = None
        return answer


@pytest.fixture
async def mailbox() -> AsyncIterator[Box]:
    box = Box()
    async with box.serving():
        yield box


def reachable(installation: Installation, site: PasteSite) -> None:
    """Give customers a page, and mail that comes back a Maildir; reminders come within seconds."""
    installation.sources = f'[[source]]\nuse = "demo-paste"\nbase_url = "{site.url}"\nrate = "100/s"'
    installation.notices = 'operator = ["mailto:soc@issuer.example"]\nreminders = ["2s", "2s"]\ndigest = "1h"\n'
    installation.web = f'public_url = "http://127.0.0.1:{installation.web_port}"\nsigning_key_file = "signing"\n'
    installation.email = 'return_path = "bounces@issuer.example"\n'
    installation.sources += '\n[bounces]\nmaildir = "Maildir"\nevery = "200ms"\n'
    installation.define("demo-paste", DEFINITION)
    (installation.folder / "signing").write_text("s" * 64)
    for name in ("new", "cur", "tmp"):
        (installation.folder / "Maildir" / name).mkdir(parents=True)


@pytest.mark.acceptance
async def test_a_notice_is_answered_reminded_of_and_comes_back(
    installation: Installation, site: PasteSite, mailbox: Box
) -> None:
    quick, silent, away = owners = customers(3, seed=61)
    reachable(installation, site)
    await installation.install(owners)
    site.publish("notes", "\n".join(f"K={c.key}" for c in owners))
    async with installation.daemon():
        await until(lambda: all(mails(mailbox, c.address) for c in owners), "everybody has mail")

        [page] = re.findall(r"http://\S+/a/[\w-]{38}\b", text_of(mails(mailbox, quick.address)[0]))
        async with aiohttp.ClientSession() as client:
            async with client.get(page) as shown:
                form = re.search(r'name="form" value="([\w-]+)"', await shown.text())
            assert form is not None
            remark = f"we had it in a script: {quick.key}"
            async with client.post(page, data={"form": form[1], "answer": "revoked", "remark": remark}) as answered:
                assert answered.status == 200
                assert "is revoked" in await answered.text()

        report = POSTFIX.replace(b"bounces+7-abc@issuer.example", mailbox.senders[away.address].encode())
        (installation.folder / "Maildir/new/1").write_bytes(report)

        await until(lambda: len(mails(mailbox, silent.address)) == 3, "both reminders have come")
        first, *reminders = mails(mailbox, silent.address)
        for reminder in reminders:
            assert reminder["In-Reply-To"] == first["Message-ID"]
            assert reminder["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"

        async def unanswered() -> bool:
            rows = (await installation.run("notices", "list", "--json")).rows
            alarms = [row for row in rows if row["kind"] == "alarm"]
            return len(alarms) >= 3

        await until_async(unanswered, "the operator hears of the bounce, and of who does not answer")
        listed = (await installation.run("findings", "list", "--json")).rows
        bounced = (await installation.run("notices", "list", "--bounced", "--json")).rows
    assert {row["customer"]: row["answer"] for row in listed} == {
        quick.name: "revoked",
        silent.name: None,
        away.name: None,
    }
    assert [row["channel"] for row in bounced] == [away.address]
    assert len(mails(mailbox, quick.address)) == 1
    kept = b"".join(path.read_bytes() for path in installation.folder.glob("leakwatch.db*"))
    assert quick.key[10:-10].encode() not in kept + installation.log.read_bytes()


@pytest.mark.acceptance
async def test_kill_9_between_acceptance_and_commit_sends_that_mail_twice_under_one_message_id(
    installation: Installation, site: PasteSite, mailbox: Box
) -> None:
    owners = customers(4, seed=62)
    installation.sources = f'[[source]]\nuse = "demo-paste"\nbase_url = "{site.url}"\nrate = "100/s"'
    installation.email = "connections = 1\n"
    installation.define("demo-paste", DEFINITION)
    await installation.install(owners)
    for number, owner in enumerate(owners):
        site.publish(f"paste {number}", owner.key)
    for _ in range(KILLS):
        daemon = await installation.start()
        mailbox.victim = daemon.pid
        await daemon.wait()
    async with installation.daemon():
        await until(lambda: {c.address for c in owners} <= {to for _, to, _ in mailbox.mails}, "everybody has mail")
        await asyncio.sleep(1)
    for owner in owners:
        assert len({mail["Message-ID"] for mail in mails(mailbox, owner.address)}) == 1
    every = [mail["Message-ID"] for to in {to for _, to, _ in mailbox.mails} for mail in mails(mailbox, to)]
    # The mail that met the kill, and at most the one whose commit it met: nothing else came twice.
    assert KILLS <= len(every) - len(set(every)) <= 2 * KILLS

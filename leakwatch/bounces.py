"""Mail that comes back: a report marks its delivery, and warns the operator that a customer cannot be reached.

It does no more: whoever has had the mail can forge one. Reports are read from a Maildir, or come by LMTP (`lmtp.py`).
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from leakwatch import metrics
from leakwatch.announce import Announcer, Once
from leakwatch.errors import DatabaseDown, MailBounced
from leakwatch.model import now
from leakwatch.notify import Returns, dsn
from leakwatch.store import bounces
from leakwatch.store.bounces import Returned
from leakwatch.store.database import Database, Transaction

log: Final = structlog.get_logger(__name__)
_MOST: Final = 500  # mails of one look at a Maildir


class Intake(Enum):
    """What a mail was."""

    STRANGE = "strange"  # to no address of ours
    NOTHING = "nothing"  # to an address of ours, but no report of a failure
    REPORT = "report"


class Bounces:
    """Takes mails that came back."""

    def __init__(self, *, database: Database, announcer: Announcer, returns: Returns) -> None:
        self._database = database
        self._announcer = announcer
        self._returns = returns

    def is_ours(self, address: str) -> bool:
        """Whether an address is a return path that we have made."""
        return self._returns.delivery(address) is not None

    async def take(self, recipients: Sequence[str], content: bytes) -> Intake:
        """Take one mail, in one transaction with what it says. Raises DatabaseDown."""
        number = next((n for address in recipients if (n := self._returns.delivery(address)) is not None), None)
        if number is None:
            return Intake.STRANGE
        report = dsn.report(content)
        if report is None:
            log.info("a mail to a return path reports no failure", delivery=number)
            return Intake.NOTHING
        facts = {"action": report.action, "status": report.status, "detail": report.detail}
        async with self._database.transaction() as tx:
            returned = await bounces.add(tx, number, **facts, now=now())
            if returned is not None:
                tx.on_commit(partial(metrics.bounced, report.action))
                tx.on_commit(partial(log.warning, "mail came back", delivery=number, **facts))
                if report.action == bounces.FAILED and returned.customer is not None:
                    await self._warn(tx, returned, report)
        return Intake.REPORT

    async def watch(self, maildir: Path, every: float) -> None:
        """Look into a Maildir again and again, until cancelled."""
        told = ""
        while True:
            try:
                await self.look(maildir)
                told = ""
            except DatabaseDown:
                pass  # its owner tells of that; the mails stay where they are
            except OSError as error:
                if told != str(error):
                    log.error("the Maildir of bounces cannot be read", reason=str(error))  # noqa: TRY400 - it says it all
                told = str(error)
            except Exception:  # without this task nobody would know
                log.exception("bounces are not read")
            await asyncio.sleep(every)

    async def look(self, maildir: Path) -> int:
        """Take what is new in a Maildir, and move it to what has been seen; return how many mails. Raises OSError."""
        found = await asyncio.to_thread(_new, maildir)
        for path in found:
            content = await asyncio.to_thread(_content, path)
            if content is not None:
                taken = await self.take(dsn.recipients(content), content)
                # Seen only after it is written down: who dies between the two reads it again, and knows it.
                await asyncio.to_thread(_seen, path, "" if taken is Intake.STRANGE else "S")
        return len(found)

    async def _warn(self, tx: Transaction, returned: Returned, report: dsn.Report) -> None:
        address = returned.channel_url.removeprefix("mailto:")
        detail = (
            f"{returned.customer} cannot be reached at {address}: notice {returned.notice_id} came back "
            f"({report.status or 'no status'}: {report.detail}). Give them another address, then "
            f"`leakwatch notices retry {returned.notice_id}`."
        )
        once = Once(f"{address} bounced", timedelta(days=1))
        await self._announcer.alarm(tx, MailBounced.reason, detail, once=once)


def _new(maildir: Path) -> list[Path]:
    return sorted(path for path in (maildir / "new").iterdir() if path.is_file())[:_MOST]


def _content(path: Path) -> bytes | None:
    """Read a mail, as far as a report can be long; None: somebody else has taken it."""
    try:
        with path.open("rb") as file:
            return file.read(dsn.LONGEST)
    except FileNotFoundError:
        return None


def _seen(path: Path, flags: str) -> None:
    folder = path.parent.parent / "cur"
    folder.mkdir(exist_ok=True)
    path.rename(folder / f"{path.name.partition(':')[0]}:2,{flags}")

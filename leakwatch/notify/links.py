"""How a notice can be answered and checked: addresses that only we can have made.

Everything that a customer opens lies under ``/a/``, so that nothing else of us need be reachable from outside.

=============================  ====================================================================================
``/a/``                        where a reference is checked
``/a/<token>``                 the customer's page: shows a notice, and takes the answer
``/a/stop/<token>``            ends the reminders of a notice, and does nothing else
=============================  ====================================================================================
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, final

from leakwatch.signing import Opened, Signer

DESK: Final = "/a/"
STOP_PATH: Final = "/a/stop/"
PAGE, STOP, FORM, REFERENCE = "page", "stop", "form", "reference"  # what a signature is for
_GROUP: Final = 4  # characters of a reference between two hyphens


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """How a reader can answer a notice, and see that it is genuine."""

    page: str  # the address of the customer's page
    stop: str  # the address at which reminders are ended
    until: datetime  # when both expire
    desk: str  # where a reference is checked, as a reader types it
    reference: str  # 42-k7qm-2xpd-9abc


@final
class Links:
    """Makes the addresses, and reads them."""

    def __init__(self, public_url: str, signer: Signer, *, valid: float) -> None:
        """`public_url` is where customers reach us, without a slash at its end; `valid` is in seconds."""
        self.public_url = public_url
        self._signer = signer
        self._valid = timedelta(seconds=valid)

    def answering(self, notice_id: int, at: datetime) -> Answering:
        """Return how a notice is answered that is sent now."""
        until = at + self._valid
        return self._answering(
            notice_id,
            page=self._signer.token(PAGE, notice_id, until),
            stop=self._signer.token(STOP, notice_id, until),
            until=until,
        )

    def shown(self, notice_id: int, at: datetime) -> Answering:
        """Return the same for who only looks at a notice: with addresses that open nothing."""
        return self._answering(notice_id, page="…", stop="…", until=at + self._valid)

    def page(self, token: str) -> str:
        """Return the address of the page that a token opens."""
        return f"{self.public_url}{DESK}{token}"

    def notice(self, token: str) -> Opened | None:
        """Return the notice that a page's token names, or None for what is no token of ours."""
        return self._signer.opened(PAGE, token)

    def stopped(self, token: str) -> Opened | None:
        """Return the notice whose reminders a token ends, or None."""
        return self._signer.opened(STOP, token)

    def form(self, last_answer: int, notice_id: int, expires: datetime) -> str:
        """Return what a form carries that we have shown: it is good until somebody answers."""
        return self._signer.token(f"{FORM} {notice_id}", last_answer, expires)

    def submitted(self, form: str, notice_id: int) -> Opened | None:
        """Return the last answer as of which a form was shown, or None for a form that we never have."""
        return self._signer.opened(f"{FORM} {notice_id}", form)

    def reference(self, notice_id: int) -> str:
        """Return what proves to who asks us that a notice is ours."""
        code = self._signer.code(REFERENCE, notice_id)
        return "-".join([str(notice_id), *(code[at : at + _GROUP] for at in range(0, len(code), _GROUP))])

    def referred(self, reference: str) -> int | None:
        """Return the notice that a reference names, or None for one that is none of ours."""
        number, *groups = "".join(reference.split()).split("-")
        if not (number.isascii() and number.isdigit() and len(number) < 19):  # noqa: PLR2004 - BIGINT's
            return None
        return int(number) if self._signer.vouches(REFERENCE, int(number), "".join(groups)) else None

    def _answering(self, notice_id: int, *, page: str, stop: str, until: datetime) -> Answering:
        return Answering(
            page=self.page(page),
            stop=f"{self.public_url}{STOP_PATH}{stop}",
            until=until,
            desk=f"{self.public_url}{DESK}".partition("://")[2],
            reference=self.reference(notice_id),
        )

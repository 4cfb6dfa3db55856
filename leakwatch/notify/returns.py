"""Where mail comes back to that does not arrive: an address for each delivery, which only we can have made.

The envelope's sender is ``bounces+NUMBER-CODE@issuer.example`` (VERP): who reports a failure to it has had our mail, or
has seen it on its way. That is all it proves. A report can be forged by its recipient, so it warns and does no more.
"""

import re
from email.utils import parseaddr
from typing import Final, final

from leakwatch.signing import Signer

_PURPOSE: Final = "return path"
_TAG: Final = re.compile(r"(\d{1,18})-([0-9a-z]{12})")


@final
class Returns:
    """Makes return paths under one mailbox of the operator's, and reads them."""

    def __init__(self, mailbox: str, signer: Signer) -> None:
        """`mailbox` is the address to which the others are added, with a `+` between."""
        self._local, _, self._domain = parseaddr(mailbox)[1].rpartition("@")
        self._signer = signer

    def address(self, delivery_id: int) -> str:
        """Return where a delivery comes back to."""
        return f"{self._local}+{delivery_id}-{self._signer.code(_PURPOSE, delivery_id)}@{self._domain}"

    def delivery(self, address: str) -> int | None:
        """Return the delivery that an address names, in any case, or None for an address that we have not made."""
        local, _, domain = address.strip().strip("<>").lower().rpartition("@")
        mailbox, _, tag = local.rpartition("+")
        found = _TAG.fullmatch(tag)
        if found is None or (mailbox, domain) != (self._local.lower(), self._domain.lower()):
            return None
        number, code = int(found[1]), found[2]
        return number if self._signer.vouches(_PURPOSE, number, code) else None

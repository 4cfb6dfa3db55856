"""Receives webhooks of leakwatch, and takes those alone that leakwatch has signed, lately, and for the first time.

Standard library only, Python 3.11 or later:

    WEBHOOK_SECRET=whsec_… python3 receive_webhook.py 8080

The specification is at https://www.standardwebhooks.com; its libraries do the same as `verify`.
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from collections import OrderedDict
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

WINDOW = 300  # seconds by which a clock may be wrong, and for which an old message can be replayed
REMEMBERED = 100_000  # messages: more than come within the time for which leakwatch tries again
LONGEST = 1_000_000  # bytes


def verify(headers: Mapping[str, str], body: bytes, secret: str, *, now: float) -> tuple[str, dict[str, Any]]:
    """Return a message's id and what it says. Raises ValueError for one that leakwatch has not signed just now."""
    number, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
    if not (timestamp.isascii() and timestamp.isdigit()) or abs(now - int(timestamp)) > WINDOW:
        raise ValueError("too old, or from the future")
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.digest(key, f"{number}.{timestamp}.".encode() + body, hashlib.sha256)
    wanted = "v1," + base64.b64encode(mac).decode()
    # There are several while leakwatch changes from one secret to the next.
    if not any(hmac.compare_digest(wanted.encode(), given.encode()) for given in headers["webhook-signature"].split()):
        raise ValueError("not signed with our secret")
    return number, json.loads(body)


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 for what it has taken, now or before; anything else is sent again later."""

    secret = os.environ.get("WEBHOOK_SECRET", "")
    taken: ClassVar[OrderedDict[str, None]] = OrderedDict()  # in yours: a table, in the transaction of what you do

    def do_POST(self) -> None:
        """Take one message."""
        body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), LONGEST))
        try:
            number, event = verify({k.lower(): v for k, v in self.headers.items()}, body, self.secret, now=time.time())
        except (KeyError, ValueError) as error:
            self.send_error(HTTPStatus.UNAUTHORIZED, explain=str(error))
            return
        if number not in self.taken:
            self.take(event)
            self.taken[number] = None
            if len(self.taken) > REMEMBERED:
                self.taken.popitem(last=False)
        self.send_response(HTTPStatus.NO_CONTENT)
        self.end_headers()

    def take(self, event: dict[str, Any]) -> None:
        """Do what is yours to do: disable the key, open a ticket."""
        finding = event["data"]
        where = finding["places"][0]["url"] if finding["places"] else "?"
        sys.stdout.write(
            f"{event['type']}: key {finding['key_id'] or finding['masked']} of {finding['customer']}: {where}\n"
        )
        sys.stdout.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing of every request."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()

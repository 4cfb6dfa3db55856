"""The mail server: a few connections that are kept, one transaction at a time on each.

What becomes of a try:

======================================  ==========================================================================
no connection, TLS, AUTH, the greeting  `MailUnreachable`: every notice would fare so; it waits for the server or
or the sender                           the operator
4xx                                     `MailDeferred`: the server asks for another try
5xx for the recipient or the message    `MailRefused`: another try would hear the same
silence once the message was sent       `MailUnreachable`: it may have been taken; the next try carries the same
                                        Message-ID, by which a mail program knows a second copy
======================================  ==========================================================================
"""

import asyncio
import os
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parseaddr
from typing import Final
from urllib.parse import unquote

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPDataError,
    SMTPException,
    SMTPHeloError,
    SMTPRecipientRefused,
    SMTPResponse,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPServerDisconnected,
    SMTPStatus,
    SMTPTimeoutError,
)

from leakwatch.config import EmailConfig
from leakwatch.errors import ConfigError, DeliveryError, MailDeferred, MailRefused, MailUnreachable
from leakwatch.notify.cleaning import clean
from leakwatch.values import is_loopback

_IDLE: Final = 30.0  # seconds that an unused connection is kept: servers close theirs after a minute or more
_SAID: Final = 200  # characters of a server's reply that are kept
_PORTS: Final = {"smtps": 465, "smtp": 587, "smtp+insecure": 25}
_FULL: Final = re.compile(r"(?!.*\.(localdomain|arpa)$)([a-z0-9-]+\.)+[a-z][a-z0-9-]+", re.IGNORECASE)
_GREETING: Final = re.compile(r"\b(?:helo|ehlo)\b", re.IGNORECASE)  # many a server waits with it until RCPT
_AWAY: Final = 421  # the server closes the connection
_AUTH_WANTED: Final = 530
_AGAIN: Final = "it is tried again; see that it runs and that email.smtp names it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A message as the server sees it."""

    sender: str
    recipient: str
    content: bytes
    utf8: bool  # an address holds more than ASCII


class _Stale(Exception):
    """A kept connection had ended before anything was sent on it."""


class MailServer:
    """The operator's mail server. Raises ConfigError when it cannot be used as it is configured."""

    def __init__(self, config: EmailConfig, password: str | None, tls: ssl.SSLContext | None = None) -> None:
        """`tls` says whom to trust; without it the system's authorities, or those in SSL_CERT_FILE."""
        self._url = config.server
        self._host = self._url.hostname or ""
        self._port = self._url.port or _PORTS[self._url.scheme]
        self._user = unquote(self._url.username) if self._url.username else None
        self._password = password
        self._sender = config.sender
        self._helo = config.helo
        self._timeout = config.timeout
        self._check()
        self._tls = tls or ssl.create_default_context()
        self._turns = asyncio.Semaphore(config.connections)
        self._idle: dict[SMTP, asyncio.TimerHandle] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def send(self, envelope: Envelope) -> SMTPResponse:
        """Hand one message over and return the server's reply. Raises DeliveryError; see above."""
        async with self._turns:
            with self._explained():
                return await self._send(envelope)

    async def probe(self) -> None:
        """Connect and log in, as for a message, and send none. Raises DeliveryError."""
        async with self._turns:
            with self._explained():
                self._keep(await self._connected())

    async def close(self) -> None:
        """Take leave of the server."""
        for smtp in tuple(self._idle):
            self._leave(smtp)
        await asyncio.gather(*self._closing)

    async def _send(self, envelope: Envelope) -> SMTPResponse:
        while self._idle:
            kept, timer = self._idle.popitem()
            timer.cancel()
            if kept.is_connected:
                try:
                    return await self._transact(kept, envelope, kept=True)
                except _Stale:
                    break  # nothing was sent, so a second try cannot make a second copy
        return await self._transact(await self._connected(), envelope)

    async def _connected(self) -> SMTP:
        scheme = self._url.scheme
        if self._helo is None:
            self._helo = await asyncio.to_thread(_own_name, self._sender)  # it may ask a resolver
        smtp = SMTP(
            hostname=self._host,
            port=self._port,
            username=self._user,
            password=self._password if self._user else None,
            local_hostname=self._helo,
            timeout=self._timeout,
            use_tls=scheme == "smtps",
            start_tls=scheme == "smtp",
            tls_context=self._tls,
        )
        await smtp.connect()
        try:
            if smtp.is_ehlo_or_helo_needed:  # logging in has said it already
                await _greet(smtp)
        except BaseException:
            smtp.close()
            raise
        return smtp

    async def _transact(self, smtp: SMTP, envelope: Envelope, *, kept: bool = False) -> SMTPResponse:
        """Send on one connection; it is kept unless the transaction left it in doubt."""
        usable = False
        try:
            await self._address(smtp, envelope, kept=kept)
            response = await self._hand_over(smtp, envelope)
            usable = True
        except SMTPResponseException:
            usable = await _reset(smtp)
            raise
        else:
            return response
        finally:
            if usable and smtp.is_connected:
                self._keep(smtp)
            else:
                smtp.close()

    async def _address(self, smtp: SMTP, envelope: Envelope, *, kept: bool) -> None:
        encoding = "utf-8" if envelope.utf8 else "ascii"
        try:
            await smtp.mail(envelope.sender, options=_options(smtp, envelope), encoding=encoding)
        except (SMTPServerDisconnected, SMTPSenderRefused) as error:
            if kept and getattr(error, "code", _AWAY) == _AWAY:
                raise _Stale from error
            raise
        await smtp.rcpt(envelope.recipient, encoding=encoding)

    async def _hand_over(self, smtp: SMTP, envelope: Envelope) -> SMTPResponse:
        try:
            return await smtp.data(envelope.content)
        except (SMTPServerDisconnected, SMTPTimeoutError) as error:
            raise MailUnreachable(
                f"{self._name} fell silent while it took the message, and may have it",
                mend="it is tried again under the same Message-ID",
            ) from error

    def _keep(self, smtp: SMTP) -> None:
        self._idle[smtp] = asyncio.get_running_loop().call_later(_IDLE, self._leave, smtp)

    def _leave(self, smtp: SMTP) -> None:
        self._idle.pop(smtp).cancel()
        task = asyncio.get_running_loop().create_task(_quit(smtp))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (SMTPException, OSError) as error:
            raise self._failure(error) from error

    @property
    def _name(self) -> str:
        return f"the mail server {self._host}:{self._port}"

    def _failure(self, error: SMTPException | OSError) -> DeliveryError:
        """Say what went wrong in words that help: what to change, or that it goes on by itself."""
        cause: BaseException = error.__cause__ or error
        match error:
            case SMTPResponseException():
                return self._answered(error)
            case _ if isinstance(cause, ssl.SSLCertVerificationError):
                return MailUnreachable(
                    f"the certificate of {self._name} is not trusted: {clean(cause.verify_message, _SAID)}",
                    mend="name the server in email.smtp as its certificate does; SSL_CERT_FILE names other authorities",
                )
            case SMTPTimeoutError():
                return MailUnreachable(f"{self._name} did not answer in {self._timeout:g} s", mend=_AGAIN)
            case SMTPServerDisconnected():
                return MailUnreachable(f"{self._name} closed the connection", mend=_AGAIN)
            case OSError():
                return MailUnreachable(f"there is no connection to {self._name}: {_words(cause)}", mend=_AGAIN)
            case _:  # STARTTLS or AUTH is not offered
                return MailUnreachable(
                    f"{self._name} does not offer what email.smtp asks for: {clean(error.message, _SAID)}",
                    mend="smtps:// is TLS from the start, smtp:// is STARTTLS, a user is for servers that know AUTH",
                )

    def _answered(self, error: SMTPResponseException) -> DeliveryError:
        said = f"{self._name} answered {error.code} {clean(error.message, _SAID)}".rstrip()
        if error.code == SMTPStatus.invalid_response:
            return MailUnreachable(f"{self._name} does not speak SMTP: {clean(error.message, _SAID)}", mend=_AGAIN)
        if isinstance(error, SMTPHeloError) or _GREETING.search(error.message):
            mend = f"it was greeted as {self._helo}: name this machine in email.helo as it wants it"
            return MailUnreachable(said, mend=mend, code=error.code)
        if 400 <= error.code < 500:  # noqa: PLR2004 - RFC 5321's transient replies
            return MailDeferred(said, mend="it is tried again later", code=error.code)
        if isinstance(error, SMTPAuthenticationError) or error.code == _AUTH_WANTED:
            mend = "check the user in email.smtp and the password in its file"
            return MailUnreachable(said, mend=mend, code=error.code)
        if isinstance(error, SMTPRecipientRefused | SMTPDataError) and error.code >= 500:  # noqa: PLR2004 - RFC 5321
            return MailRefused(said, mend="correct the address, then retry the notice", code=error.code)
        from_us = isinstance(error, SMTPSenderRefused)
        mend = "it must take mail from email.from, sent by this host" if from_us else _AGAIN
        return MailUnreachable(said, mend=mend, code=error.code)

    def _check(self) -> None:
        if self._url.scheme == "smtp+insecure" and not is_loopback(self._host):
            message = f"smtp+insecure://{self._host} would send notices in the clear over a network"
            raise ConfigError(message, mend="write smtps:// or smtp://; smtp+insecure:// is for localhost")
        if self._user and not self._password:
            message = f"there is no password for {self._user} on {self._host}"
            raise ConfigError(message, mend="name its file in email.password_file, or set LEAKWATCH_SMTP_PASSWORD")


def _options(smtp: SMTP, envelope: Envelope) -> list[str]:
    options = [f"SIZE={len(envelope.content)}"] if smtp.supports_extension("size") else []
    if not envelope.utf8:
        return options
    if not smtp.supports_extension("smtputf8"):
        raise MailRefused("the mail server does not take addresses beyond ASCII", mend="register another address")
    return [*options, "SMTPUTF8"]


def _own_name(sender: str) -> str:
    """Return what this machine calls itself: its full name where it has one, else the domain of the sender."""
    name = socket.getfqdn()
    return name if _FULL.fullmatch(name) else parseaddr(sender)[1].rpartition("@")[2].encode("idna").decode()


async def _greet(smtp: SMTP) -> None:
    """Say who we are, to a server of RFC 821's days as well."""
    try:
        await smtp.ehlo()
    except SMTPHeloError as error:
        if error.code < 500:  # noqa: PLR2004 - RFC 5321: it does not know the command
            raise
        await smtp.helo()


async def _reset(smtp: SMTP) -> bool:
    """End a transaction that was refused; return whether the connection may serve another."""
    try:
        await smtp.rset()
    except (SMTPException, OSError):
        return False
    return True


async def _quit(smtp: SMTP) -> None:
    try:
        await smtp.quit()
    except (SMTPException, OSError):
        pass  # it went first
    finally:
        smtp.close()


def _words(error: BaseException) -> str:
    """Return what the system calls an error: asyncio's own words are of calls and tuples."""
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number and number > 0 else clean(str(error), _SAID)

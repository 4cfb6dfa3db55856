"""A real mail server on loopback that misbehaves on demand, and an authority that vouches for it."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from leakwatch.config import EmailConfig


@dataclass
class Mailbox:
    """What the server did, and what it is told to answer: the first of a list at each command, then 250."""

    mail: list[str] = field(default_factory=list)
    rcpt: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    silent: bool = False  # take a message and never answer
    hang_up: str = ""  # at this command: MAIL, RCPT, DATA or RSET
    greylist: bool = False  # defer every recipient once
    received: list[tuple[str, list[str], EmailMessage]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    transports: list[asyncio.Transport] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if session not in self.sessions:
            self.sessions.append(session)
        self._perhaps_hang_up(server, "MAIL")
        if self.mail:
            return self.mail.pop(0)
        envelope.mail_from = address
        self.options += options
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        self._perhaps_hang_up(server, "RCPT")
        if self.greylist and address not in self.seen:
            self.seen.add(address)
            return "451 4.7.1 Greylisted, come back later"
        if self.rcpt:
            return self.rcpt.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_RSET(self, server: SMTP, _session: Session, _envelope: Envelope) -> str:  # noqa: N802 - likewise
        self._perhaps_hang_up(server, "RSET")
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - likewise
        self._perhaps_hang_up(server, "DATA")
        content = envelope.content
        assert isinstance(content, bytes)
        self.raw.append(content)
        mail = message_from_bytes(content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.received.append((envelope.mail_from or "", list(envelope.rcpt_tos), mail))
        if self.silent:
            await asyncio.sleep(60)
        return self.data.pop(0) if self.data else "250 2.0.0 Queued as 4711"

    def authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        good = (data.login, data.password) == (b"mailer@issuer", b"correct")
        self.logins.append(f"{mechanism} {good}")
        return AuthResult(success=good, handled=good)

    def _perhaps_hang_up(self, server: SMTP, command: str) -> None:
        if self.hang_up == command:
            self.hang_up = ""
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()


@asynccontextmanager
async def serving(
    box: Mailbox, *, port: int = 0, tls: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[int]:
    """Serve a mailbox on 127.0.0.1: with `tls` from the start, or what aiosmtpd's options say."""

    def made() -> SMTP:
        protocol = SMTP(box, enable_SMTPUTF8=True, loop=asyncio.get_running_loop(), **options)
        connected = protocol.connection_made

        def noted(transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            box.transports.append(transport)
            connected(transport)

        protocol.connection_made = noted  # type: ignore[method-assign] # to hang up on it
        return protocol

    server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", port, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for transport in box.transports:
            transport.abort()
        await asyncio.sleep(0)


@asynccontextmanager
async def saying(greeting: bytes, answer: bytes = b"") -> AsyncIterator[int]:
    """Serve something that greets, and then says the same to whatever it hears."""
    greeted: list[asyncio.Transport] = []

    class Greeter(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            greeted.append(transport)
            transport.write(greeting)

        def data_received(self, _data: bytes) -> None:
            greeted[-1].write(answer)

    server = await asyncio.get_running_loop().create_server(Greeter, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for transport in greeted:
            transport.abort()
        await asyncio.sleep(0)


async def eventually(happens: Callable[[], Awaitable[bool] | bool]) -> None:
    """Wait until something outside our event loop's reach is so: a peer's transport, a row of the database."""
    async with asyncio.timeout(20):
        while True:
            answer = happens()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.01)


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def config(smtp: str, **more: Any) -> EmailConfig:
    facts = {"from": "Example AI Security <security@issuer.example>", "smtp": smtp, "timeout": 5.0, "connections": 2}
    return EmailConfig.model_validate({**facts, **more})


class Authority:
    """A certificate authority with one server under it."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = folder / "authority.pem"
        certificate = self._certificate(self._name, self._key).sign(self._key, hashes.SHA256())
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def trusting(self) -> ssl.SSLContext:
        """Return a client that trusts this authority."""
        return ssl.create_default_context(cafile=str(self.file))

    def server(self, host: str = "localhost") -> ssl.SSLContext:
        """Return a server whose certificate names a host."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        certificate = self._certificate(subject, key, host).sign(self._key, hashes.SHA256())
        file = self._folder / f"{host}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(file)
        return context

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, host: str | None = None
    ) -> x509.CertificateBuilder:
        day, at = timedelta(days=1), datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(at - day)
            .not_valid_after(at + day)
            .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
        )
        if host is None:
            return builder
        names = [x509.DNSName(host), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        return builder.add_extension(x509.SubjectAlternativeName(names[: 1 + (host == "localhost")]), critical=False)

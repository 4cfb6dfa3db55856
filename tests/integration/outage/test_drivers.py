"""What may follow the `?` of a Postgres URL, and what a connection is told."""

import socket
from typing import Any

import pytest
from sqlalchemy import make_url, text

from leakwatch.errors import ConfigError, DatabaseDown
from leakwatch.store.database import Database
from tests.integration.outage.server import PASSWORD, Server


def _with(url: str, **words: str) -> Database:
    return Database(make_url(url).update_query_dict(words).render_as_string(hide_password=False))


@pytest.mark.postgres
async def test_settings_of_the_server_can_stand_in_the_url(postgres_url: str) -> None:
    database = _with(postgres_url, application_name="leak watch", statement_timeout="5000", sslmode="prefer")
    async with database.reading() as tx:
        assert (await tx.execute(text("SHOW application_name"))).scalar() == "leak watch"
        assert (await tx.execute(text("SHOW statement_timeout"))).scalar() == "5s"
    await database.close()


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"nonsense": "1"}, 'unrecognized configuration parameter "nonsense": after its \\? stand sslmode'),
        ({"sslmode": "never"}, "`sslmode` parameter must be one of"),
        ({"ssl": "require"}, 'parameter "ssl" cannot be changed'),
        ({"sslmode": "verify-full", "sslrootcert": "/no/such.crt"}, "sslrootcert: there is no file /no/such.crt"),
    ],
)
async def test_words_that_cannot_be_used_are_named(postgres_url: str, words: dict[str, str], says: str) -> None:
    database = _with(postgres_url, **words)
    with pytest.raises(ConfigError, match=f"database.url: {says}"):
        async with database.reading():
            pass
    await database.close()


@pytest.mark.postgres
async def test_a_connection_over_tcp_notices_that_the_other_end_is_gone(server: Server) -> None:
    database = Database(server.url, password=PASSWORD)
    async with database.reading() as tx:
        driver: Any = (await tx.connection.get_raw_connection()).driver_connection
        connected = driver._transport.get_extra_info("socket")
        assert connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
    await database.close()


@pytest.mark.postgres
async def test_a_server_that_wants_tls_is_not_talked_to_without(server: Server) -> None:
    """This Postgres has no TLS: what insists on it is refused, and not let through in the clear."""
    database = _with(server.url, sslmode="require")
    with pytest.raises(DatabaseDown, match="rejected SSL upgrade"):
        async with database.reading():
            pass
    await database.close()

"""What is registered, kept in memory as it is in the database: the sieve that scanning needs."""

import asyncio
from typing import final

from leakwatch.core import DigestSieve
from leakwatch.pepper import Pepper
from leakwatch.store import registry
from leakwatch.store.database import Database


@final
class Registered:
    """The sieve of the registered keys. Who scans refreshes it first: a key is known from when its import committed."""

    def __init__(self, database: Database, pepper: Pepper) -> None:
        self._database = database
        self._one_at_a_time = asyncio.Lock()
        self._version: str | None = None
        self._newest = 0
        self.sieve = DigestSieve(pepper)

    async def refresh(self) -> DigestSieve:
        """Bring the sieve up to date, if anything was registered since, and return it."""
        async with self._one_at_a_time, self._database.reading() as tx:
            version = await registry.version(tx)
            if version == self._version:
                return self.sieve
            newest = await registry.newest(tx)
            add = self.sieve.extend if self._version is None else self.sieve.fill
            async for digests in registry.digests(tx, after=self._newest):
                add(digests)
            self._version, self._newest = version, newest
        return self.sieve

"""What is registered, asked of the configured database by a process of its own.

Root becomes the service's user for the database, and must stay root for the files that it wants to be scanned.
"""

import asyncio
from collections.abc import Collection, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Final, final

from leakwatch import config as configuration
from leakwatch import identity
from leakwatch.config import Config
from leakwatch.pepper import Pepper
from leakwatch.registered import Registered
from leakwatch.store import registry
from leakwatch.store.opening import opened
from leakwatch.survey.inspector import Known

_TOGETHER: Final = 10_000  # digests that are asked for at once

Owners = dict[bytes, list[tuple[str, str]]]
"""By digest as it is stored: customers, and what they call the key."""


@final
class Register:
    """The configured register of keys."""

    def __init__(self, aside: ProcessPoolExecutor, path: Path) -> None:
        self._aside = aside
        self._path = path

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator["Register"]:
        """Ask by a configuration's file. Raises ConfigError and StoreError, like every question."""
        with ProcessPoolExecutor(1, get_context("spawn")) as aside:
            yield cls(aside, path)

    def known(self) -> Known:
        """Return what is registered."""
        return self._aside.submit(_known, self._path).result()

    def owners(self, digests: Collection[bytes]) -> Owners:
        """Return whose these digests are; those that nobody's are left out."""
        return self._aside.submit(_owners, self._path, [*digests]).result()


def _known(path: Path) -> Known:
    config = _config(path)
    return asyncio.run(_read(config))


async def _read(config: Config) -> Known:
    async with opened(config) as database:
        secret = config.pepper()
        pepper = Pepper(secret)
        async with database.reading() as tx:
            await registry.check_pepper(tx, pepper.fingerprint)
        sieve = await Registered(database, pepper).refresh()
        return Known(secret, tuple(config.matching.schemes), sieve.numbers)


def _owners(path: Path, digests: list[bytes]) -> Owners:
    return asyncio.run(_look_up(_config(path), digests))


async def _look_up(config: Config, digests: list[bytes]) -> Owners:
    owners: Owners = {}
    async with opened(config) as database, database.reading() as tx:
        names = {customer.id: customer.name for customer in await registry.customers(tx)}
        for at in range(0, len(digests), _TOGETHER):
            found = await registry.lookup(tx, digests[at : at + _TOGETHER])
            for digest, keys in found.items():
                owners[digest] = [(names[key.customer_id], key.label) for key in keys if key.customer_id in names]
    return owners


def _config(path: Path) -> Config:
    identity.assume(path)
    return configuration.load(path)

"""What the process asks that has the service's rights: the database, whose keys these are."""

import asyncio
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from leakwatch import config as configuration
from leakwatch import identity
from leakwatch.config import Config
from leakwatch.pepper import Pepper
from leakwatch.registered import Registered
from leakwatch.store import registry
from leakwatch.store.opening import opened
from leakwatch.survey.inspector import Known
from leakwatch.survey.owners import Owners
from leakwatch.survey.processes import end_with_parent

_TOGETHER: Final = 10_000  # digests that are asked for at once


def known(path: Path) -> Known:
    """Return what is registered. Raises ConfigError and StoreError."""
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


def owners(path: Path, digests: Collection[bytes]) -> Owners:
    """Return whose some digests are. Raises ConfigError and StoreError."""
    return asyncio.run(_look_up(_config(path), [*digests]))


async def _look_up(config: Config, digests: Sequence[bytes]) -> Owners:
    found: Owners = {}
    async with opened(config) as database, database.reading() as tx:
        names = {customer.id: customer.name for customer in await registry.customers(tx)}
        for at in range(0, len(digests), _TOGETHER):
            for digest, keys in (await registry.lookup(tx, digests[at : at + _TOGETHER])).items():
                found[digest] = [(names[key.customer_id], key.label) for key in keys if key.customer_id in names]
    return found


def _config(path: Path) -> Config:
    if identity.assume(path):
        end_with_parent()
    return configuration.load(path)

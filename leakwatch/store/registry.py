"""Customers, their channels, and their keys by digest alone."""

import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter, itemgetter
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, func, or_, select, update

from leakwatch.errors import WrongPepper
from leakwatch.model import RegisteredKey, Registration, now
from leakwatch.store import given, settings
from leakwatch.store.database import Transaction, batches
from leakwatch.store.tables import channel, customer, finding, job, registered_key, source

_PEPPER: Final = "pepper_fingerprint"
_VERSION: Final = "registry_version"
_MANY: Final = 10_000  # digests that are read at once
_CHANGEABLE: Final = ("scheme", "provider", "label", "key_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """What came of registering: a key that was there before is known, retired or not."""

    added: int
    known: int
    readdressed: Mapping[str, frozenset[str]] = field(
        default_factory=dict
    )  # customers told elsewhere too: where before


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """An owner of keys, with the channels that are told and counts of what is live."""

    id: int
    name: str
    locale: str
    created_at: datetime
    removed_at: datetime | None
    channels: tuple[str, ...]
    keys: int
    open_findings: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A registered key as it is listed."""

    id: int
    customer: str
    scheme: str
    provider: str
    label: str
    key_id: str
    created_at: datetime
    retired_at: datetime | None


async def bind_pepper(tx: Transaction, fingerprint: str) -> None:
    """Bind the registry to the pepper. Raises WrongPepper for another one once there is anything under the first."""
    await check_pepper(tx, fingerprint)
    await settings.put(tx, _PEPPER, fingerprint)


async def check_pepper(tx: Transaction, fingerprint: str) -> None:
    """Raise WrongPepper unless what is here was made under this pepper, or nothing is here yet."""
    bound = await settings.get(tx, _PEPPER)
    if bound not in (None, fingerprint) and await _is_used(tx):
        message = "the registry was built under another pepper: nothing would ever match"
        raise WrongPepper(message, mend="start with the pepper that the keys were imported under")


async def _is_used(tx: Transaction) -> bool:
    """Whether there is anything that a pepper has keyed or sealed: keys, checkpoints, jobs."""
    keyed = (
        select(registered_key.c.id),
        select(source.c.name).where(source.c.checkpoint.is_not(None)),
        select(job.c.id),
    )
    return any([(await tx.execute(query.limit(1))).first() is not None for query in keyed])


async def register(tx: Transaction, rows: Sequence[Registration], keyed: Callable[[bytes], bytes]) -> Registered:
    """Register keys with their owners and channels; again changes nothing but what differs, and revives.

    `keyed` makes of a digest the HMAC that is stored. Of several rows with the same owner and key the last one holds.
    """
    await settings.put(tx, _VERSION, secrets.token_hex(8))  # first: two who register do so one after the other
    owners = await _customers(tx, {row.customer: row.locale for row in rows})
    told = {(row.customer, row.email, row.channels) for row in rows}
    wanted = {(owners[name], url) for name, email, more in told for url in _urls(email, more)}
    before = await _live_channels(tx, set(owners.values()))
    readdressed = {owner for owner, url in wanted if owner in before and url not in before[owner]}
    await _open_channels(tx, wanted)
    keys = {(keyed(row.digest), owners[row.customer]): row for row in rows}
    # In order: the index grows twice as fast, and two imports of the same keys do not wait for each other.
    added = await _add_keys(tx, dict(sorted(keys.items(), key=itemgetter(0))))
    moved = {name: frozenset(before[owner]) for name, owner in owners.items() if owner in readdressed}
    return Registered(added=added, known=len(keys) - added, readdressed=moved)


async def settle(tx: Transaction) -> None:
    """Make lookups quick after many keys were registered."""
    await tx.analyze(registered_key)


async def version(tx: Transaction) -> str:
    """Return what is another text from when more keys are registered."""
    return await settings.get(tx, _VERSION) or ""


async def newest(tx: Transaction) -> int:
    """Return the id of the key that was registered last, or 0. Of two the one that came to be known first is less."""
    newest: int = (await tx.execute(select(func.coalesce(func.max(registered_key.c.id), 0)))).scalar_one()
    return newest


async def digests(tx: Transaction, *, after: int = 0) -> AsyncIterator[Sequence[bytes]]:
    """Yield the digests of all keys after an id, retired ones too, in order and many at a time."""
    query = select(registered_key.c.digest).order_by(registered_key.c.digest)
    query = query.where(registered_key.c.id > after) if after else query
    async with tx.connection.stream_scalars(query) as found:
        async for some in found.partitions(_MANY):
            yield some


async def lookup(tx: Transaction, digests: Collection[bytes]) -> dict[bytes, list[RegisteredKey]]:
    """Return the live keys with these digests; one digest may have several owners."""
    if not digests:
        return {}
    found: dict[bytes, list[RegisteredKey]] = defaultdict(list)
    asked = given.table(tx, {"digest": list(digests)})
    columns = (registered_key.c[name] for name in ("id", "customer_id", "provider", "label", "key_id", "digest"))
    query = select(*columns).join_from(asked, registered_key, registered_key.c.digest == asked.c.digest)
    live = query.where(registered_key.c.retired_at.is_(None))
    for number, owner, provider, label, key_id, digest in (await tx.execute(live)).all():
        key = RegisteredKey(id=number, customer_id=owner, provider=provider, label=label, key_id=key_id)
        found[digest].append(key)
    return dict(found)


async def add_customer(tx: Transaction, *, name: str, locale: str, channels: Iterable[str]) -> int:
    """Add a customer or bring one back, add these channels to theirs, and return their id."""
    number = (await _customers(tx, {name: locale}))[name]
    await _open_channels(tx, [(number, url) for url in dict.fromkeys(channels)])
    return number


async def remove_customer(tx: Transaction, name: str) -> bool:
    """Remove a customer, with their keys and channels; return whether there was one."""
    at = now()
    removed = update(customer).where(customer.c.name == name, customer.c.removed_at.is_(None))
    number = (await tx.execute(removed.values(removed_at=at).returning(customer.c.id))).scalar()
    if number is None:
        return False
    for table in (registered_key, channel):
        live = table.c.customer_id == number, table.c.retired_at.is_(None)
        await tx.execute(update(table).where(*live).values(retired_at=at))
    await _close_findings(tx, select(registered_key.c.id).where(registered_key.c.customer_id == number), at)
    return True


async def retire_channel(tx: Transaction, name: str, url: str) -> bool:
    """Tell a customer no more on one of their channels. Returns whether it was one."""
    owner = select(customer.c.id).where(customer.c.name == name).scalar_subquery()
    live = channel.c.customer_id == owner, channel.c.url == url, channel.c.retired_at.is_(None)
    return (await tx.execute(update(channel).where(*live).values(retired_at=now()))).rowcount > 0


async def customers(tx: Transaction) -> list[Customer]:
    """Return the customers that are not removed, by name."""
    return await _read_customers(tx, customer.c.removed_at.is_(None))


async def customer_named(tx: Transaction, name: str) -> Customer | None:
    """Return a customer, removed or not."""
    return next(iter(await _read_customers(tx, customer.c.name == name)), None)


async def keys(tx: Transaction, *, customer_name: str | None = None) -> list[Key]:
    """Return the keys that are not retired, of one customer or of all, oldest first."""
    wanted: list[ColumnElement[bool]] = [registered_key.c.retired_at.is_(None)]
    if customer_name is not None:
        wanted.append(customer.c.name == customer_name)
    fields = [f for f in Key.__dataclass_fields__ if f != "customer"]
    columns = [registered_key.c[field] for field in fields]
    query = select(customer.c.name.label("customer"), *columns).join_from(registered_key, customer)
    rows = await tx.execute(query.where(*wanted).order_by(registered_key.c.id))
    return [Key(**row) for row in rows.mappings()]


async def retire_keys(tx: Transaction, ids: Sequence[int]) -> int:
    """Let these keys match no more; return how many did until now."""
    retired = 0
    for batch in batches(ids):
        live = registered_key.c.id.in_(batch), registered_key.c.retired_at.is_(None)
        retired += (await tx.execute(update(registered_key).where(*live).values(retired_at=now()))).rowcount
        await _close_findings(tx, batch, now())
    return retired


async def _close_findings(tx: Transaction, key_ids: Select[Any] | Collection[int], at: datetime) -> None:
    """Close what was found of retired keys: should one be registered again, its owner is told anew."""
    still_open = finding.c.key_id.in_(key_ids), finding.c.closed_at.is_(None)
    await tx.execute(update(finding).where(*still_open).values(closed_at=at))


async def operator_channels(tx: Transaction, urls: Sequence[str]) -> None:
    """Make the operator's channels those of the configuration: add, revive and retire."""
    ours = channel.c.customer_id.is_(None)
    gone = update(channel).where(ours, channel.c.retired_at.is_(None), channel.c.url.not_in(urls))
    await tx.execute(gone.values(retired_at=now()))
    if urls:
        await _upsert_channels(tx, [(None, url) for url in dict.fromkeys(urls)], ["url"], index_where=ours)


async def operator_urls(tx: Transaction) -> list[str]:
    """Return the operator's live channels."""
    ours = channel.c.customer_id.is_(None), channel.c.retired_at.is_(None)
    return list((await tx.execute(select(channel.c.url).where(*ours).order_by(channel.c.id))).scalars())


def urls(row: Registration) -> tuple[str, ...]:
    """Return the channels that a row names."""
    return tuple(_urls(row.email, row.channels))


def _urls(email: str, channels: tuple[str, ...]) -> Iterable[str]:
    return (f"mailto:{email}", *channels) if email else channels


async def _live_channels(tx: Transaction, owners: Collection[int]) -> dict[int, set[str]]:
    """Return the channels of these customers, of those that have any."""
    found: dict[int, set[str]] = defaultdict(set)
    query = select(channel.c.customer_id, channel.c.url).where(channel.c.retired_at.is_(None))
    for batch in batches(owners):
        for owner, url in await tx.execute(query.where(channel.c.customer_id.in_(batch))):
            found[owner].add(url)
    return dict(found)


async def _customers(tx: Transaction, locales: Mapping[str, str]) -> dict[str, int]:
    """Make sure of these customers, by name with their locale; return their ids."""
    if not locales:
        return {}
    # In one order everywhere, or two imports of the same customers wait for each other.
    columns: dict[str, given.Values] = {"name": sorted(locales), "locale": [locales[name] for name in sorted(locales)]}
    insert = given.insert(tx, customer, columns, created_at=now())
    changed = {"locale": insert.excluded.locale, "removed_at": None}
    upsert = insert.on_conflict_do_update(index_elements=["name"], set_=changed)
    return dict((await tx.execute(upsert.returning(customer.c.name, customer.c.id))).all())


async def _open_channels(tx: Transaction, channels: Collection[tuple[int, str]]) -> None:
    await _upsert_channels(tx, sorted(channels), ["customer_id", "url"])


async def _upsert_channels(
    tx: Transaction,
    channels: Sequence[tuple[int | None, str]],
    unique: list[str],
    *,
    index_where: ColumnElement[bool] | None = None,
) -> None:
    rows = [{"customer_id": owner, "url": url, "created_at": now()} for owner, url in channels]
    if not rows:
        return
    upsert = tx.insert(channel).on_conflict_do_update(
        index_elements=unique,
        index_where=index_where,
        set_={"retired_at": None},
        where=channel.c.retired_at.is_not(None),
    )
    await tx.execute(upsert, rows)


async def _add_keys(tx: Transaction, rows: Mapping[tuple[bytes, int], Registration]) -> int:
    """Add keys by digest and owner, or change those that are there and differ; return how many were added."""
    if not rows:
        return 0
    columns: dict[str, given.Values] = {
        "digest": [digest for digest, _ in rows],
        "customer_id": [owner for _, owner in rows],
        **{name: list(map(attrgetter(name), rows.values())) for name in _CHANGEABLE},
    }
    insert = given.insert(tx, registered_key, columns, created_at=now())
    added = (await tx.execute(insert.on_conflict_do_nothing())).rowcount
    if added < len(rows):
        news = {name: insert.excluded[name] for name in _CHANGEABLE}
        differs = or_(registered_key.c.retired_at.is_not(None), *(registered_key.c[n] != v for n, v in news.items()))
        unique, changed = ["digest", "customer_id"], {**news, "retired_at": None}
        await tx.execute(insert.on_conflict_do_update(index_elements=unique, set_=changed, where=differs))
    return added


async def _read_customers(tx: Transaction, wanted: ColumnElement[bool]) -> list[Customer]:
    """Read customers with their channels and counts: one query for each, whatever their number."""
    rows = (await tx.execute(select(customer).where(wanted).order_by(customer.c.name))).mappings().all()
    urls: dict[int, list[str]] = defaultdict(list)
    live_channels = select(channel.c.customer_id, channel.c.url).join_from(channel, customer)
    query = live_channels.where(wanted, channel.c.retired_at.is_(None)).order_by(channel.c.id)
    for number, url in await tx.execute(query):
        urls[number].append(url)
    live_keys = select(customer.c.id, func.count()).join_from(registered_key, customer)
    live_keys = live_keys.where(wanted, registered_key.c.retired_at.is_(None)).group_by(customer.c.id)
    counts = dict((await tx.execute(live_keys)).all())
    exposed = select(customer.c.id, func.count()).join_from(finding, registered_key).join(customer)
    exposed = exposed.where(wanted, finding.c.closed_at.is_(None)).group_by(customer.c.id)
    open_findings = dict((await tx.execute(exposed)).all())
    return [
        Customer(
            **row,
            channels=tuple(urls[row["id"]]),
            keys=counts.get(row["id"], 0),
            open_findings=open_findings.get(row["id"], 0),
        )
        for row in rows
    ]

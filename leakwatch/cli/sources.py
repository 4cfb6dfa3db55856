"""`leakwatch sources`: the places that are watched."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click

from leakwatch import definitions
from leakwatch.cli.frame import WRONG, Frame, json_option, run, show, visible, with_database
from leakwatch.engine.embedded import EmbeddedEngine
from leakwatch.errors import FetchError, InputError
from leakwatch.fetch import Poll, Session, Source, Trace, poll, resolve
from leakwatch.model import Document, Reference
from leakwatch.scan import Scanner, shipped
from leakwatch.store import sources
from leakwatch.store.database import Database
from leakwatch.store.sources import SourceState
from leakwatch.watch import poll_job

_SHOWN = 20  # documents that a test prints


@click.group("sources")
def group() -> None:
    """The places that are watched."""


@group.command("list")
@json_option
@with_database
async def list_(frame: Frame, database: Database, *, as_json: bool) -> None:
    """List the places that are watched, and how each fares."""
    async with database.reading() as tx:
        states = {state.name: state for state in await sources.overview(tx)}
    rows = [_row(source, states.get(source.name)) for source in resolve(frame.config)]
    show(rows, as_json=as_json, empty=f"no source is configured in {frame.config.path}")


@group.command()
@json_option
@click.pass_obj
def available(frame: Frame, *, as_json: bool) -> None:
    """List the definitions that `use` can name."""
    found = [definitions.load(path) for path in definitions.available(frame.config.definitions_folder)]
    show([{name: getattr(d, name) for name in ("name", "kind", "title", "verified")} for d in found], as_json=as_json)


@group.command()
@click.argument("name")
@json_option
@click.pass_obj
def test(frame: Frame, *, name: str, as_json: bool) -> int:
    """Show what a poll would yield, and where a selector finds nothing. Nothing is stored, and nobody is told.

    Fetches the listing once, from its beginning, and none of the documents. Exit status 1 when it yields nothing.
    """
    source, trace = _named(frame, name), Trace()

    async def once() -> Poll:
        async with Session(frame.config.http) as session:
            return await poll(session, source, None, trace)

    try:
        polled, failure = run(once()), None
    except FetchError as error:
        polled, failure = None, error
    found: list[Document | Reference] = [*polled.batch.documents, *polled.batch.references] if polled else []
    redact = Scanner(shipped()).redact
    items = [{key: redact(value) for key, value in _item(one).items()} for one in found]
    if as_json:
        click.echo(json.dumps(_report(trace, items, failure), indent=2, ensure_ascii=False))
    else:
        for line in _lines(source, trace, items, failure):
            click.echo(visible(line))
    return WRONG if failure or not found else 0


@group.command("poll")
@click.argument("name")
@with_database
async def poll_(frame: Frame, database: Database, *, name: str) -> None:
    """Have the daemon poll a source now, instead of when it is due."""
    source = _named(frame, name)
    async with database.transaction() as tx:
        made = await EmbeddedEngine(database).enqueue(tx, [poll_job(source.name)])
    click.echo(f"{name} is polled next" if made else f"{name} is being polled already", err=True)


def _named(frame: Frame, name: str) -> Source:
    for source in resolve(frame.config):
        if source.name == name:
            return source
    raise InputError(
        f"no source is named {name}", mend=f"see `leakwatch sources list`, or add it to {frame.config.path}"
    )


def _row(source: Source, state: SourceState | None) -> dict[str, Any]:
    return {
        "name": source.name,
        "uses": source.definition.name,
        "base_url": source.base_url,
        "state": "new" if state is None or not state.polls else "failing" if state.failures else "ok",
        "failures": state.failures if state else 0,
        "reason": state.reason if state else None,
        "detail": state.detail if state else None,
        "polls": state.polls if state else 0,
        "documents": state.documents if state else 0,
        "succeeded_at": state.succeeded_at if state else None,
        "next_poll_at": state.next_poll_at if state else None,
    }


def _item(found: Document | Reference) -> dict[str, str]:
    reference = found.reference if isinstance(found, Document) else found
    facts = {name: getattr(reference, name) for name in ("id", "version", "url", "page", "title", "author", "path")}
    at = reference.published_at
    inline = {"text": f"{len(found.text)} characters in the listing"} if isinstance(found, Document) else {}
    return {**facts, "published_at": at.isoformat() if at else "", **inline}


def _report(trace: Trace, items: list[dict[str, str]], failure: FetchError | None) -> dict[str, Any]:
    request = {name: value for name, value in asdict(trace).items() if name != "listing"}
    listing = trace.listing
    return {
        "request": request,
        "selectors": {"items": listing.items, **listing.hits} if listing else {},
        "notes": list(listing.notes) if listing else [],
        "documents": items,
        "failure": {"reason": failure.reason, "message": failure.message, "mend": failure.mend} if failure else None,
    }


def _lines(source: Source, trace: Trace, items: list[dict[str, str]], failure: FetchError | None) -> Iterator[str]:
    yield f"GET {trace.url or source.listing_url}"
    if trace.status:
        yield (
            f"  {trace.status} {trace.content_type} {trace.charset}: {trace.wire:,} bytes, {trace.size:,} unpacked, "
            f"{trace.redirects} redirects, {trace.seconds:.2f} s"
        )
    if trace.listing is not None:
        definition = source.definition
        yield f"listing.items ({definition.listing.items or definition.kind}): {trace.listing.items} found"
        for name, hits in trace.listing.hits.items():
            selector = getattr(definition.fields, name.removeprefix("fields."))
            yield f"  {name} ({selector}): " + (f"in {hits}" if hits else "NOT FOUND in any item")
        yield from (f"  note: {note}" for note in trace.listing.notes)
    for item in items[:_SHOWN]:
        yield f"· {item['url']}"
        yield from (f"    {name}: {value}" for name, value in item.items() if value and name != "url")
    if len(items) > _SHOWN:
        yield f"and {len(items) - _SHOWN} more"
    yield f"{failure.reason}: {failure}" if failure else f"{len(items)} documents"

"""`leakwatch sources`: the places that are watched."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from leakwatch import coverage, definitions
from leakwatch.cli.frame import WRONG, Frame, json_option, run, show, visible, with_database
from leakwatch.cli.trying import Trial, item, rules, scans, sent
from leakwatch.coverage import Judged, State
from leakwatch.engine.embedded import EmbeddedEngine
from leakwatch.errors import FetchError, InputError
from leakwatch.fetch import Session, Source, Trace, disabled, poll, resolve
from leakwatch.fetch.draft import draft
from leakwatch.fetch.recording import quoted, sample
from leakwatch.model import Document, Reference, now
from leakwatch.scan import Scanner, shipped
from leakwatch.store import sources
from leakwatch.store.database import Database
from leakwatch.store.sources import SourceState
from leakwatch.toml import parse as parse_toml
from leakwatch.units import Rate
from leakwatch.watch import poll_job

_KEPT: Final = (
    "polls",
    "documents",
    "news_at",
    "latency",
    "interval",
    "gaps",
    "left",
    "quota",
    "bytes",
    "canary_at",
    "succeeded_at",
    "next_poll_at",
)
_COLUMNS: Final = ("name", "state", "uses", "base_url", "failures", "reason", "detail", *_KEPT, "errors")
_NARROW: Final = ("name", "state", "uses", "polls", "documents", "news_at", "gaps", "next_poll_at", "detail")
_DEFINED: Final = (
    "name",
    "title",
    "kind",
    "base_url",
    "enabled",
    "verified",
    "terms",
    "abuse",
    "takedown",
    "notes",
    "every",
    "rate",
    "parameters",
    "token",
    "hosts",
)


@click.group("sources")
def group() -> None:
    """The places that are watched."""


@group.command("list")
@click.option("--wide", is_flag=True, help="Every figure that is kept.")
@json_option
@with_database
async def list_(frame: Frame, database: Database, *, wide: bool, as_json: bool) -> None:
    """List the places that are watched, and how each fares."""
    async with database.reading() as tx:
        states = {state.name: state for state in await sources.overview(tx)}
        errors = {name: await sources.errors(tx, name) for name in states}
    rows = [_row(source, states.get(source.name), errors.get(source.name, {})) for source in resolve(frame.config)]
    rows += [
        {**dict.fromkeys(_COLUMNS), "name": name, "state": "off", "detail": why} for name, why in disabled(frame.config)
    ]
    shown = rows if wide or as_json else [{name: row[name] for name in _NARROW} for row in rows]
    show(shown, as_json=as_json, empty=f"no source is configured in {frame.config.path}")


@group.command("show")
@click.argument("name")
@json_option
@click.pass_obj
def show_(frame: Frame, *, name: str, as_json: bool) -> None:
    """Show a definition: what it reads, on which terms, and what it was verified against."""
    definition = definitions.load(definitions.find(name, frame.config.definitions_folder))
    show([{"setting": n, "value": getattr(definition, n)} for n in _DEFINED if getattr(definition, n)], as_json=as_json)


@group.command()
@json_option
@click.pass_obj
def available(frame: Frame, *, as_json: bool) -> None:
    """List the definitions that `use` can name."""
    found = [definitions.load(path) for path in definitions.available(frame.config.definitions_folder)]
    columns = ("name", "kind", "title", "enabled", "verified")
    show([{name: getattr(d, name) for name in columns} for d in found], as_json=as_json)


@group.command()
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@click.option("--scan", "count", default=3, show_default=True, help="Documents to fetch and scan.")
@click.option("--record", type=click.Path(path_type=Path, dir_okay=False), help="Append the listing, as a sample.")
@json_option
@click.pass_obj
def test(frame: Frame, *, name: str, dry_run: bool, count: int, record: Path | None, as_json: bool) -> int:  # noqa: PLR0913 - its options
    """Show what a poll would yield, step by step. Nothing is stored, and nobody is told.

    Reads the listing from its beginning and some of the documents. Exit status 1 when there is none.
    """
    source = _named(frame, name)
    if dry_run:
        for line in sent(frame.config.http, source):
            click.echo(visible(line))
        return 0
    scanner = Scanner(shipped())
    trial = run(_tried(frame, source, scanner, count))
    if as_json:
        click.echo(json.dumps(trial.report(), indent=2, ensure_ascii=False))
    else:
        for line in trial.lines():
            click.echo(visible(line))
    if record is not None and trial.trace.text:
        day = now().date()
        text = sample(source, trial.trace.text, scanner.redact, day=day, url=f"GET {trial.trace.url}")
        with record.open("a", encoding="utf-8") as file:
            file.write(f"\n{text}")
        click.echo(f"the listing is recorded in {record}: look through it before you share it", err=True)
    return WRONG if trial.failure or not trial.items else 0


async def _tried(frame: Frame, source: Source, scanner: Scanner, count: int) -> Trial:
    trace, failure, found = Trace(), None, list[Document | Reference]()
    async with Session(frame.config.http) as session:
        robots = await rules(session, source)
        try:
            polled = await poll(session, source, None, trace)
            found = [*polled.batch.documents, *polled.batch.references]
        except FetchError as error:
            failure = error
        scanned = await scans(session, source, scanner, found[: max(0, count)])
    items = [{key: scanner.redact(value) for key, value in item(one).items()} for one in found]
    return Trial(
        source=source,
        robots=robots,
        trace=trace,
        items=items,
        scanned=scanned,
        failure=failure,
        redact=scanner.redact,
    )


@group.command()
@click.argument("url")
@click.option("--name", help="What to call it.  [default: after the host]")
@click.pass_obj
def new(frame: Frame, *, url: str, name: str | None) -> None:
    """Look at a page or feed, and draft a definition that reads it.

    Prints the definition, with the page as its sample. Save it as NAME.toml into the folder of your definitions.
    """
    called = name or re.sub(r"[^a-z0-9]+", "-", (urlsplit(url).hostname or "site").removeprefix("www.")).strip("-")
    looked = run(_looked(frame, url))
    redact = Scanner(shipped()).redact
    found = draft(looked, url)
    head = found.toml(called)
    placeholder = '[[sample]]\norigin = "constructed"\nsource = "nothing"\nbody = ""\nexpect = []\n'
    definition = parse_toml(f"{head}\n{placeholder}", definitions.Definition, file=f"{called}.toml")
    source = _plain(definition, definition.base_url)
    recorded = sample(source, looked, redact, day=now().date(), url=f"GET {url}")
    click.echo(f"{redact(head)}\n{recorded}")
    count = recorded.count("[[sample.expect]]")
    click.echo(f"{found.kind}: {count} documents; save it as {frame.config.definitions_folder / called}.toml", err=True)


async def _looked(frame: Frame, url: str) -> str:
    listing = f'[listing]\nurl = {quoted(url)}\nitems = "a"\n[fields]\nid = "."\nurl = "."\n'
    plain = f'name = "new"\ntitle = "new"\nkind = "html"\n{listing}'
    blank = '[[sample]]\norigin = "constructed"\nsource = "nothing"\nbody = ""\nexpect = []\n'
    source = _plain(parse_toml(f"{plain}{blank}", definitions.Definition, file=url), url)
    async with Session(frame.config.http) as session:
        return (await session.get(url, source=source)).text()


def _plain(definition: definitions.Definition, base_url: str) -> Source:
    """A source that nothing is configured of yet."""
    facts = {"every": 60.0, "rate": Rate(1, 1.0), "concurrency": 1, "max_bytes": 10_000_000}
    return Source(name=definition.name, definition=definition, base_url=base_url, **facts)  # type: ignore[arg-type]


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


def _row(source: Source, state: SourceState | None, errors: Mapping[str, int]) -> dict[str, Any]:
    judged = coverage.judge(source, state, now()) if state else Judged(state=State.NEW)
    known = {name: getattr(state, name) if state else None for name in _KEPT}
    return {
        "name": source.name,
        "state": judged.state.value,
        "uses": source.definition.name,
        "base_url": source.base_url,
        "failures": state.failures if state else 0,
        "reason": state.reason if state else None,
        "detail": (state.detail if state else None) or judged.why or None,
        **known,
        "errors": ", ".join(f"{reason} {count}" for reason, count in errors.items()) or None,
    }

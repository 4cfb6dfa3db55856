"""`leakwatch sources`: the places that are watched."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from leakwatch import coverage, definitions
from leakwatch.cli.ending import WRONG
from leakwatch.cli.frame import Frame, run, visible
from leakwatch.cli.stored import with_database
from leakwatch.cli.tables import json_option, show
from leakwatch.cli.trying import Trial, item, rules, scans, sent
from leakwatch.config import SourceConfig
from leakwatch.coverage import Judged, State
from leakwatch.engine.embedded import EmbeddedEngine
from leakwatch.errors import FetchError, InputError
from leakwatch.fetch import Session, Source, Trace, disabled, poll, resolve
from leakwatch.fetch.draft import Draft, draft
from leakwatch.fetch.recording import quoted, sample
from leakwatch.fetch_jobs import FETCH
from leakwatch.model import Document, Reference, now
from leakwatch.scan import Scanner, shipped
from leakwatch.store import sources
from leakwatch.store.database import Database
from leakwatch.store.sources import SourceState
from leakwatch.toml import parse as parse_toml
from leakwatch.units import Rate
from leakwatch.watch import poll_job

_TOLD_ANYWAY: Final = ("enabled", "verified", "terms")  # nothing is an answer, too
_BLANK: Final = '[[sample]]\norigin = "constructed"\nsource = "nothing"\nbody = ""\nexpect = []\n'
_KEPT: Final = (
    "polls",
    "documents",
    "fetched",
    "gone",
    "refused",
    "missing",
    "waiting",
    "news_at",
    "latency",
    "interval",
    "gaps",
    "left",
    "missed",
    "pushed_at",
    "lfs",
    "submodules",
    "quota",
    "bytes",
    "canary_at",
    "succeeded_at",
    "next_poll_at",
)
_COLUMNS: Final = ("name", "state", "uses", "base_url", "failures", "reason", "detail", "waiting", *_KEPT, "errors")
_NARROW: Final = ("name", "state", "uses", "polls", "documents", "waiting", "missed", "news_at", "gaps")
_LAST: Final = ("next_poll_at", "detail")
_WORST_FIRST: Final = (*State, "off")
_DEFINED: Final = (
    "name",
    "title",
    "kind",
    "base_url",
    "listing",
    "search",
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
    "push",
    "catchup",
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
        waiting = await EmbeddedEngine(database).waiting(tx, FETCH)
    rows = [
        _row(source, states.get(source.name), errors.get(source.name, {})) | {"waiting": waiting.get(source.name, 0)}
        for source in resolve(frame.config)
    ]
    uses = {entry.key: entry.use for entry in frame.config.sources}
    rows += [
        {**dict.fromkeys(_COLUMNS), "name": name, "state": "off", "uses": uses[name], "detail": why}
        for name, why in disabled(frame.config)
    ]
    if as_json:
        show(rows, as_json=True)
        return
    rows.sort(key=lambda row: _WORST_FIRST.index(row["state"]))  # what needs a person stands on top
    if not wide or not rows:
        narrow = [{name: row[name] for name in (*_NARROW, *_LAST)} for row in rows]
        show(narrow, as_json=False, empty=f"no source is configured in {frame.config.path}")
        return
    for row in rows:  # so many columns fit no screen
        show([{"source": name, "": value} for name, value in row.items() if value is not None], as_json=False)
        click.echo()


@group.command("show")
@click.argument("name")
@json_option
@click.pass_obj
def show_(frame: Frame, *, name: str, as_json: bool) -> None:
    """Show a definition: what it reads, on which terms, and what it was verified against."""
    uses = {entry.key: entry.use for entry in frame.config.sources}
    definition = definitions.load(definitions.find(uses.get(name, name), frame.config.definitions_folder))
    known = {n: getattr(definition, n) for n in _DEFINED}
    rows = {n: value for n, value in known.items() if value or n in _TOLD_ANYWAY}
    if not as_json:
        rows = {n: _said(definition, n, value) for n, value in rows.items()}
    show([{"setting": n, "value": value} for n, value in rows.items()], as_json=as_json)


def _said(definition: definitions.Definition, name: str, value: Any) -> Any:  # noqa: C901, PLR0911 - one for each setting
    """A setting as a person reads it."""
    match name:
        case "verified":
            return value or "nothing yet: made from documents"
        case "terms":
            return " ".join(value.split()) or "nobody has written down what the site's terms and robots.txt say"
        case "enabled":
            return value or "no: read its terms, then write enabled = true"
        case "every":
            fastest, slowest = definition.fastest or value, definition.slowest or value
            return f"{value:g} s" if fastest == slowest else f"{value:g} s, between {fastest:g} and {slowest:g} s"
        case "listing":
            first = definition.index.url if definition.index else value.url
            return " ".join(filter(None, (value.method, first or ", ".join(definition.urls), value.items)))
        case "parameters":
            return ", ".join(f"{n} = {default}" if default else f"{n} (say which)" for n, default in value.items())
        case "token":
            needed = "needed" if value.required else "not needed"
            return f"in the header {value.header}, {needed}: token_file" + (" or apps" if value.app else "")
        case "search":
            pace = f", {value.rate} with each token" if value.rate else ""
            return f"for {len(value.words)} words{pace}: {', '.join(value.words)}"
        case "push":
            shows = "the secret" if value.check == "secret" else "a signature of the body"
            return f"POST /hooks/NAME with {shows} in the header {value.header}: push_secret_file"
        case "catchup":
            return f"after a gap GET {value.url}, once in {value.every:g} s at most"
    return " ".join(value.split()) if isinstance(value, str) else value


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
@click.option("--find", "words", default="", help="Words that the documents hold: says whether each was read.")
@click.option("--record", type=click.Path(path_type=Path, dir_okay=False), help="Append the listing, as a sample.")
@json_option
@click.pass_obj
def test(  # noqa: PLR0913 - its options
    frame: Frame, *, name: str, dry_run: bool, count: int, words: str, record: Path | None, as_json: bool
) -> int:
    """Show what a poll would yield, step by step. Nothing is stored, and nobody is told.

    NAME is a source, or a definition of which nothing is configured yet. Reads the listing from its beginning and
    some of the documents. Exit status 1 when there is none, none can be read, or none holds the words.
    """
    source = _tryable(frame, name)
    if dry_run:
        for line in sent(frame.config.http, source):
            click.echo(visible(line))
        return 0
    scanner = Scanner(shipped())
    trial = run(_tried(frame, source, scanner, count, words))
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
    return 0 if trial.is_good else WRONG


async def _tried(frame: Frame, source: Source, scanner: Scanner, count: int, words: str) -> Trial:
    trace, failure, found = Trace(), None, list[Document | Reference]()
    async with Session(frame.config.http, frame.config.git) as session:
        robots = await rules(session, source)
        try:
            polled = await poll(session, source, None, trace)
            found = [*polled.batch.documents, *polled.batch.references]
        except FetchError as error:
            failure = error
        scanned = await scans(session, source, scanner, found[: max(0, count)], words)
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
@click.option("--save", is_flag=True, help="Write it into the folder of your definitions, not to the screen.")
@click.pass_obj
def new(frame: Frame, *, url: str, name: str | None, save: bool) -> None:
    """Look at a page or feed, and draft a definition that reads it.

    The definition has the page as its sample. `# TO DO` marks what only you can find out.
    """
    called = name or _called(url)
    looked = run(_looked(frame, url))
    redact = Scanner(shipped()).redact
    found = draft(looked, url)
    head = found.toml(called)
    definition = parse_toml(f"{head}\n{_BLANK}", definitions.Definition, file=f"{called}.toml")
    source = _plain(definition, definition.base_url)
    recorded = sample(source, looked, redact, day=now().date(), url=f"GET {url}")
    text, path = f"{redact(head)}\n{recorded}", frame.config.definitions_folder / f"{called}.toml"
    if save:
        _write(path, text)
    else:
        click.echo(text, nl=False)
    for line in (
        f"{found.kind}: {recorded.count('[[sample.expect]]')} documents",
        *_next_steps(found, path, saved=save),
    ):
        click.echo(visible(redact(line)), err=True)


def _called(url: str) -> str:
    """A definition's name after an address."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or "site"
    except ValueError:
        host = "site"
    name = re.sub(r"[^a-z0-9]+", "-", host.removeprefix("www.")).strip("-")
    return f"site-{name}" if name[:1].isdigit() else name


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise InputError(f"{path} is there already", mend="give it another --name, or remove the file") from None
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}"
        raise InputError(message, mend="run it as who may, or leave --save out and save what is printed") from None


def _next_steps(found: Draft, path: Path, *, saved: bool) -> Iterator[str]:
    """Yield what is left to do, in order."""
    name = path.stem
    yield from (f"to do: {one}" for one in found.undone)
    yield from (
        f"the page names a feed, mostly the better listing: leakwatch sources new {feed}" for feed in found.feeds
    )
    yield f"{'it is in' if saved else 'save it as'} {path}, then"
    yield f"  leakwatch sources test {name}       # are these its documents, and is each text found?"
    yield f'  [[source]] with use = "{name}"      # into the configuration; then SIGHUP, and it is watched'


async def _looked(frame: Frame, url: str) -> str:
    listing = f'[listing]\nurl = {quoted(url)}\nitems = "a"\n[fields]\nid = "."\nurl = "."\n'
    plain = f'name = "new"\ntitle = "new"\nkind = "html"\n{listing}'
    source = _plain(parse_toml(f"{plain}{_BLANK}", definitions.Definition, file=url), url)
    async with Session(frame.config.http, frame.config.git) as session:
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


def _tryable(frame: Frame, name: str) -> Source:
    """Return a source by its name, or a definition as it stands, of which nothing is configured yet."""
    config = frame.config
    is_watched = any(entry.key == name for entry in config.sources)
    is_defined = any(path.stem == name for path in definitions.available(config.definitions_folder))
    if is_watched or not is_defined:
        return _named(frame, name)
    definition = definitions.load(definitions.find(name, config.definitions_folder))
    if (
        not definition.base_url
        or "" in definition.parameters.values()
        or (definition.token and definition.token.required)
    ):
        message = f"{definition.title} can be anywhere: nothing is configured of it yet"
        raise InputError(message, mend=f'add a [[source]] with use = "{name}" to {config.path}')
    return resolve(config.model_copy(update={"sources": [SourceConfig(use=name, enabled=True)]}))[0]


def _named(frame: Frame, name: str) -> Source:
    for source in resolve(frame.config):
        if source.name == name:
            return source
    for off, why in disabled(frame.config):
        if off == name:
            raise InputError(f"source {name} is off", mend=why)
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

"""`leakwatch detectors`: what formats are known."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from random import Random
from typing import Any

import click

from leakwatch.cli.ending import WRONG
from leakwatch.cli.frame import visible
from leakwatch.cli.tables import json_option, show
from leakwatch.errors import InputError
from leakwatch.scan import Detector, failures, shipped


@click.group("detectors")
def group() -> None:
    """The formats of keys that are known."""


@group.command("list")
@click.option("--provider", help="Only of providers whose name holds this.")
@click.option("--confidence", type=click.Choice(["doc", "peers", "inferred", "memory"]), help="Only known from there.")
@click.option("--bare/--marked", default=None, help="Only formats without a marker of their own, or with one.")
@click.option("--markdown", is_flag=True, help="Print the table of docs/formats.md.")
@json_option
def list_(*, provider: str | None, confidence: str | None, bare: bool | None, markdown: bool, as_json: bool) -> None:
    """List the formats, with how sure each is and where such a key is revoked."""
    chosen = [
        detector
        for detector in shipped()
        if (provider or "").casefold() in detector.provider.casefold()
        and confidence in (None, detector.confidence)
        and bare in (None, detector.bare)
    ]
    if markdown:
        click.echo("\n".join(table(chosen)))
        return
    show([(_whole if as_json else _row)(d) for d in chosen], as_json=as_json, empty="no format is like that")


@group.command("show")
@click.argument("identifier", metavar="ID")
def show_(*, identifier: str) -> None:
    """Show all that is known of a format: what customers digest, how its keys are revoked, from where that is."""
    for name, lines in _facts(_named(identifier)):
        for title, line in zip(chain([name + ":"], repeat("")), filter(None, lines), strict=False):
            click.echo(f"{title:18}{line}")


@group.command()
@click.argument("identifiers", metavar="[ID]...", nargs=-1)
@click.option("--provider", help="Only of providers whose name holds this.")
def test(*, identifiers: Sequence[str], provider: str | None) -> int:
    """Try the examples and counterexamples of these formats, or of all, with newly made keys."""
    chosen = [_named(identifier) for identifier in identifiers] or shipped()
    detectors = [d for d in chosen if (provider or "").casefold() in d.provider.casefold()]
    failed = failures(detectors, Random())  # noqa: S311 - synthetic keys protect nothing
    for failure in failed:
        click.echo(failure, err=True)
    click.echo(f"{len(detectors)} formats tried, {len(failed)} failures")
    return WRONG if failed else 0


def _named(identifier: str) -> Detector:
    """Return the format with an id. Raises InputError."""
    detector = next((detector for detector in shipped() if detector.id == identifier), None)
    if detector is None:
        raise InputError(f"no format has the id {visible(identifier)}", mend="see `leakwatch detectors list`")
    return detector


def table(detectors: Iterable[Detector]) -> Iterator[str]:
    """Yield the lines of the table of formats that the documents hold."""
    yield "| Id | Provider | Key | Found | Group | Known from | Steps from |"
    yield "|---|---|---|---|---|---|---|"
    for d in detectors:
        found, source = "token" if d.bare else "marker", d.revocation.confidence
        yield f"| `{d.id}` | {d.provider} | {d.name} | {found} | {d.group} | {d.confidence} | {source} |"


def _row(detector: Detector) -> dict[str, Any]:
    return {
        "id": detector.id,
        "provider": detector.provider,
        "name": detector.name,
        "kind": "bare" if detector.bare else "marked",
        "confidence": detector.confidence,
        "context": list(detector.context),
        "env_vars": list(detector.env_vars),
        "revoked_at": detector.revocation.page,
    }


def _whole(detector: Detector) -> dict[str, Any]:
    """A row with what a table has no room for."""
    return _row(detector) | {
        "group": detector.group,
        "canonical": detector.canonical,
        "sources": list(detector.sources),
        "revocation_confidence": detector.revocation.confidence,
        "revocation_source": detector.revocation.source,
    }


def _facts(detector: Detector) -> Iterator[tuple[str, Sequence[str]]]:
    """What is known of a format: the name of each fact, and a line or several."""
    how, guide = detector.revocation, detector.guide
    yield "Format", [detector.name]
    yield "Provider", [detector.provider]
    yield "Found", ["as a token, and named by what stands around it" if detector.bare else "by its marker"]
    yield "Pattern", [detector.pattern]
    yield "Group", [f"{detector.group}: others look the same"] if detector.group else []
    yield "Customers digest", [detector.canonical or "the key as the provider shows it"]
    yield "Structure check", [detector.check]
    yield "Context", [", ".join(detector.context)]
    yield "Variables", [", ".join(detector.env_vars)]
    yield "Belongs to", [detector.pair]
    yield "Note", [detector.note]
    yield "Known from", [detector.confidence, *detector.sources]
    yield "Revoked at", [how.page]
    yield "Steps", [guide.said(step) for step in how.steps]
    yield "By program", [f"{c.method} {c.address}: {c.effect}; needs {c.needs} ({c.confidence})" for c in how.api]
    yield "Steps known from", [how.confidence, how.source]

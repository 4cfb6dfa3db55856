"""`leakwatch detectors`: what formats are known."""

from random import Random

import click

from leakwatch.cli.frame import WRONG, json_option, show
from leakwatch.scan import failures, shipped


@click.group("detectors")
def group() -> None:
    """The formats of keys that are known."""


@group.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """List the formats, with how sure each is and from where."""
    rows = [
        {
            "id": detector.id,
            "provider": detector.provider,
            "name": detector.name,
            "confidence": detector.confidence,
            "env_vars": list(detector.env_vars),
            "revoked_at": detector.revocation.page,
        }
        for detector in shipped()
    ]
    show(rows, as_json=as_json)


@group.command()
def test() -> int:
    """Try every format's examples and counterexamples, with newly made keys."""
    detectors = shipped()
    failed = failures(detectors, Random())  # noqa: S311 - synthetic keys protect nothing
    for failure in failed:
        click.echo(failure, err=True)
    click.echo(f"{len(detectors)} formats tried, {len(failed)} failures")
    return WRONG if failed else 0

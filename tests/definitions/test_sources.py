"""Every definition that comes with leakwatch does what its samples say."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from leakwatch.definitions import Definition, Expected, Sample, available, load
from leakwatch.fetch import Source, parse
from leakwatch.model import Document, Reference
from leakwatch.units import Rate

FILES = sorted(available(Path("no-such-folder")))
SAMPLES = [
    pytest.param(path, index, id=f"{path.stem}-{index}") for path in FILES for index in range(len(load(path).samples))
]


def source_of(definition: Definition, sample: Sample) -> Source:
    return Source(
        name=definition.name,
        definition=definition,
        base_url=sample.base_url,
        every=60.0,
        rate=Rate(1, 1.0),
        concurrency=1,
        max_bytes=10_000_000,
    )


def found(source: Source, sample: Sample) -> list[Document | Reference]:
    listing = parse(source, sample.body, source.listing_url)
    return [*listing.documents, *listing.references]


def differences(got: Document | Reference, expected: Expected) -> dict[str, tuple[object, object]]:
    """Compare what is expected with what was found; facts that are not named are not compared."""
    reference = got.reference if isinstance(got, Document) else got
    text = got.text if isinstance(got, Document) else None
    wanted = expected.model_dump(exclude_none=True)
    actual: dict[str, object] = {name: getattr(reference, name, None) for name in wanted}
    if "text" in wanted:
        actual["text"] = text
    if "published_at" in wanted:
        wanted["published_at"] = datetime.fromisoformat(wanted["published_at"])
    return {name: (actual[name], wanted[name]) for name in wanted if actual[name] != wanted[name]}


def test_there_are_definitions() -> None:
    assert {path.stem for path in FILES} >= {"bepasty", "bepasty-api", "feed"}


@pytest.mark.parametrize(("path", "index"), SAMPLES)
def test_a_sample_yields_what_it_says(path: Path, index: int) -> None:
    definition = load(path)
    sample = definition.samples[index]

    got = found(source_of(definition, sample), sample)

    assert [differences(one, expected) for one, expected in zip(got, sample.expect, strict=True)] == [
        {} for _ in sample.expect
    ]


@pytest.mark.parametrize(("path", "index"), SAMPLES)
def test_nothing_that_a_sample_yields_shows_itself(path: Path, index: int) -> None:
    definition = load(path)
    sample = definition.samples[index]

    shown = repr(found(source_of(definition, sample), sample))

    assert not any(expected.title and expected.title in shown for expected in sample.expect)


def test_a_sample_that_is_wrong_is_noticed() -> None:
    definition = load(FILES[0])
    sample = definition.samples[0]
    one = found(source_of(definition, sample), sample)[0]
    reference = one.reference if isinstance(one, Document) else one

    assert differences(replace(reference, title="other"), sample.expect[0]) != {}
    assert differences(reference, Expected(text="a text")) == {"text": (None, "a text")}

"""Every definition that comes with leakwatch does what its samples say."""

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from leakwatch.definitions import Definition, Expected, Sample, available, load
from leakwatch.fetch import Source, kinds, parse
from leakwatch.fetch.opening import listed
from leakwatch.model import Document, Reference
from leakwatch.pushes import read
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
        parameters={name: value or "example" for name, value in definition.parameters.items()},
    )


def found(source: Source, sample: Sample) -> list[Document | Reference]:
    if source.definition.kind in ("urls", "folder", "git"):
        return []  # of these a listing says nothing of what there is
    if sample.of == "index":
        return [Reference(url="", id=name, version=version) for name, version in kinds.named(source, sample.body)]
    if sample.of == "open":
        opened = listed(source, Reference(url="", id=sample.parent), sample.body, source.base_url)
        return [*opened.documents, *opened.references]
    if sample.of == "push":
        return [*read(source, sample.body).references]
    listing = parse(source, sample.body, source.listing_url, sample.index)
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
    assert len(FILES) >= 25


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_says_on_which_terms_it_is_read_and_who_takes_documents_down(path: Path) -> None:
    definition = load(path)
    assert definition.terms.strip()
    assert definition.kind == "folder" or definition.abuse.startswith(("mailto:", "https://"))
    assert definition.verified or all(sample.origin == "constructed" for sample in definition.samples)
    assert (
        "loopback" in definition.verified or not definition.verified or definition.kind == "folder"
    )  # what was run anywhere else says so here first


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_none_asks_a_site_for_more_than_its_rate(path: Path) -> None:
    definition = load(path)
    fastest = min(definition.fastest or definition.every, definition.every)
    assert fastest >= 15
    if definition.base_url and not definition.verified:
        assert definition.rate is not None


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
    definition = load(next(path for path in FILES if path.stem == "bepasty"))
    sample = definition.samples[0]
    one = found(source_of(definition, sample), sample)[0]
    reference = one.reference if isinstance(one, Document) else one

    assert differences(replace(reference, title="other"), sample.expect[0]) != {}
    assert differences(reference, Expected(text="a text")) == {"text": (None, "a text")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_definition_says_what_is_known_of_robots_txt(path: Path) -> None:
    definition = load(path)
    assert "robots" in f"{definition.terms} {definition.notes}"


@pytest.mark.parametrize(("files", "withheld"), [(299, 0), (300, 1)])
def test_of_a_change_with_as_many_files_as_github_shows_one_counts_as_missed(files: int, withheld: int) -> None:
    definition = load(next(path for path in FILES if path.stem == "github-events"))
    source = source_of(definition, definition.samples[0])
    change = {"files": [{"sha": f"{n}", "filename": "a", "patch": "+1"} for n in range(files)]}
    opened = listed(source, Reference(url="", id="1"), json.dumps(change), source.base_url)
    assert (len(opened.documents), opened.withheld) == (files, withheld)

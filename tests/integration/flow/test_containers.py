"""From a document that is a container to a finding that says where in it the key stands."""

import gzip
from pathlib import Path

import pytest

from leakwatch import pipeline
from leakwatch.containers.opener import Opener
from leakwatch.fetch import Trace, folder
from leakwatch.fetch.page import Page
from leakwatch.metrics import REGISTRY
from leakwatch.model import Document, Reference
from leakwatch.store import findings, sources
from tests.installation import customers
from tests.integration.flow.conftest import Flow
from tests.unit.containers.making import database, slow, tarred, zipped
from tests.unit.fetch.sites import source as site_source


def document(body: bytes, *, path: str = "", number: int = 1) -> Document:
    reference = Reference(url=f"https://place.example/files/{number}.zip", id=str(number), path=path)
    return Page(url=reference.url, status=200, body=body).document(reference)


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_a_key_in_a_container_is_a_finding_with_the_way_to_it(flow: Flow) -> None:
    owners = customers(2, seed=71)
    await flow.register(*owners)
    wheel = zipped({"dir/.env": f"A=b\n  KEY={owners[0].key}\n".encode(), "x": b"x"})
    before = counted("leakwatch_members_total"), counted("leakwatch_documents_total")
    await flow.process(
        document(gzip.compress(tarred({"package/a.whl": wheel})), path="what.tgz"),
        document(database("CREATE TABLE t (x)", "INSERT INTO t VALUES (?)", rows=[(owners[1].key,)]), number=2),
    )

    async with flow.database.reading() as tx:
        found = await findings.findings(tx)
        exposures = await findings.exposures(tx, [one.id for one in found])
        [state] = await sources.overview(tx)
    places = {place.path: place.position for exposure in exposures for place in exposure.places}
    at = places["what.tgz!/package/a.whl!/dir/.env"]
    assert (at.line, at.column) == (2, 7)
    assert places.keys() == {"what.tgz!/package/a.whl!/dir/.env", "2.zip!/t"}
    assert counted("leakwatch_members_total") == before[0] + 4
    assert counted("leakwatch_documents_total") == before[1] + 2
    assert state.documents == 2


async def test_a_key_in_the_name_of_a_member_is_found_and_stored_redacted(flow: Flow) -> None:
    [owner] = customers(1, seed=72)
    await flow.register(owner)
    await flow.process(document(zipped({f"{owner.key}.txt": b"x"})))

    async with flow.database.reading() as tx:
        [finding] = await findings.findings(tx)
        [exposure] = await findings.exposures(tx, [finding.id])
    assert exposure.places[0].path.startswith("1.zip!/")
    assert owner.key[8:-8] not in repr(exposure)


async def test_a_container_that_takes_too_long_is_told_and_holds_up_nobody(
    flow: Flow, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    [owner] = customers(1, seed=73)
    await flow.register(owner)
    monkeypatch.setattr(opener, "_limits", type(opener._limits)(seconds=1))
    before = counted("leakwatch_members_cut_total", reason="opener_timed_out")
    outcome = await flow.process(document(slow()), document(zipped({"a": owner.key.encode()}), number=2))
    assert len(outcome.matches) == 1
    assert outcome.failures == ()
    assert counted("leakwatch_members_cut_total", reason="opener_timed_out") == before + 1


async def test_a_container_full_of_keys_is_bounded_and_told(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "_MOST", 5)
    owners = customers(8, seed=74)
    await flow.register(*owners)
    before = counted("leakwatch_candidates_skipped_total")
    outcome = await flow.process(document(zipped({owner.name: owner.key.encode() for owner in owners})))
    assert 0 < len(outcome.matches) <= 5
    assert counted("leakwatch_candidates_skipped_total") >= before + 3


async def test_a_container_in_a_watched_folder_is_opened(flow: Flow, tmp_path: Path) -> None:
    [owner] = customers(1, seed=75)
    await flow.register(owner)
    watched = tmp_path / "watched"
    watched.mkdir()
    watched.joinpath("backup.zip").write_bytes(zipped({"dir/.env": owner.key.encode()}))
    toml = 'name = "site"\ntitle = "A folder"\nkind = "folder"\n'
    source = site_source(watched.as_uri(), toml)
    polled = await folder.poll(source, None, Trace())
    fetched = [await folder.fetch(source, reference) for reference in polled.batch.references]
    outcome = await flow.process(*fetched, source=source)
    assert [match.reference.path for match in outcome.matches] == ["backup.zip!/dir/.env"]
    assert owner.key not in repr(fetched)


@pytest.mark.parametrize("body", [b"text", zipped({"a": b"b"})])
def test_only_what_is_a_container_keeps_its_bytes(body: bytes) -> None:
    page = Page(url="", status=200, body=body, truncated=True)
    found = page.document(Reference(url="", id=""))
    assert found.raw == (body if body.startswith(b"PK") else None)
    assert found.text == page.text()
    assert found.truncated

"""Files as they come: large, packed, in other encodings, broken; each key is told once, where it stands."""

import gzip
import io
import pickle
import zipfile
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest

from benchmarks.recall import variable
from leakwatch.core import DigestSieve
from leakwatch.model import Document, Field
from leakwatch.pepper import Pepper
from leakwatch.scan import Detector, Scan, Scanner
from leakwatch.scan.synthetic import fill
from leakwatch.survey import Hit, Inspected, Inspector, Job, Known, Likelihood
from tests.unit.scan.making import MARKED, made, named

KEY = made(named("groq"), 1)
BARE = fill("{hex:32}", Random(2))
SECRET = b"s" * 32


def known(*keys: str) -> Known:
    pepper = Pepper(SECRET)
    sieve = DigestSieve(pepper)
    sieve.fill([pepper.hmac(sha256(key.encode()).digest()) for key in keys])
    return Known(SECRET, ("sha256",), sieve.numbers)


@pytest.fixture(scope="module")
def inspector() -> Iterator[Inspector]:
    with closing(Inspector(None)) as inspector:
        yield inspector


@pytest.fixture(scope="module")
def knowing() -> Iterator[Inspector]:
    with closing(Inspector(known(BARE))) as inspector:
        yield inspector


def looked_into(inspector: Inspector, data: bytes, name: str = "file") -> Inspected:
    inspected = Inspected()
    inspector.stream(io.BytesIO(data), name, inspected)
    return inspected


def shown(inspected: Inspected) -> list[Hit]:
    return [hit for hit in inspected.hits if hit.likelihood is not Likelihood.UNLIKELY]


def places(inspected: Inspected) -> list[tuple[str, int, int]]:
    return [(hit.path, hit.line, hit.column) for hit in shown(inspected)]


def test_a_key_is_told_masked_by_its_place(inspector: Inspector) -> None:
    inspected = looked_into(inspector, f"one\ntwo {KEY}\n".encode())
    [hit] = shown(inspected)
    assert hit[:6] == ("file", Field.TEXT, 2, 5, "groq", f"gsk_…{KEY[-4:]}")
    assert hit.likelihood is Likelihood.LIKELY
    assert KEY.encode() not in pickle.dumps(inspected)  # as it goes from process to process


def test_what_is_registered_is_found_without_a_marker_and_digested(knowing: Inspector) -> None:
    [hit] = looked_into(knowing, f"{BARE}\n".encode()).hits
    assert hit.digests == (Pepper(SECRET).hmac(sha256(BARE.encode()).digest()),)
    assert BARE not in repr(hit)


@pytest.mark.parametrize("detector", MARKED, ids=lambda detector: detector.id)
def test_keys_of_every_marked_format_are_shown(inspector: Inspector, detector: Detector) -> None:
    assert shown(looked_into(inspector, f"{variable(detector)} = {made(detector, 7)}\n".encode()))


def test_a_large_file_is_read_in_windows_and_a_key_between_them_found_once(inspector: Inspector) -> None:
    line = b"nothing to see on this line\n"
    before = line * (15_999_000 // len(line))
    inspected = looked_into(
        inspector, before + b"-" * (15_999_980 - len(before)) + KEY.encode() + b"\n" + line * 10_000
    )
    assert places(inspected) == [("file", before.count(b"\n") + 1, 15_999_980 - len(before) + 1)]
    assert inspected.size == 15_999_980 + len(KEY) + 1 + len(line) * 10_000


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le", "latin-1"])
def test_other_encodings_are_read(inspector: Inspector, encoding: str) -> None:
    hits = shown(looked_into(inspector, f"caf\xe9 {KEY}\n".encode(encoding)))
    assert [hit.masked for hit in hits] == [f"gsk_…{KEY[-4:]}"]
    assert hits[0].line == 1


def test_a_container_is_opened_and_its_member_named(inspector: Inspector) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conf/.env", f"A=1\nKEY={KEY}\n")
        archive.writestr("inner.gz", gzip.compress(made(named("groq"), 2).encode()))
    inspected = looked_into(inspector, packed.getvalue(), "a.zip")
    assert places(inspected) == [("a.zip!/conf/.env", 2, 5), ("a.zip!/inner.gz!/inner", 1, 1)]
    assert inspected.files == 1


def test_a_bomb_is_cut_off_and_counted(inspector: Inspector) -> None:
    inspected = looked_into(inspector, gzip.compress(b"\0" * 300_000_000, 9), "bomb.gz")
    assert sum(inspected.left.values()) > 0
    assert not inspected.problems


def test_what_begins_within_another_key_is_not_shown_as_one_of_its_own(inspector: Inspector) -> None:
    inspected = looked_into(inspector, f"GROQ={KEY}\n".encode())
    assert [hit.detector for hit in shown(inspected)] == ["groq"]
    assert {hit.why for hit in inspected.hits if hit not in shown(inspected)} == {"a part of the key before it"}


def test_a_key_whose_first_line_looks_like_another_is_told_as_what_it_is(inspector: Inspector) -> None:
    key = made(named("openai-project"), 1)
    [hit] = shown(looked_into(inspector, f"KEY={key[:60]}\n{key[60:]}\n".encode()))
    assert (hit.detector, hit.line, hit.column) == ("openai-project", 1, 5)


def test_a_key_in_a_files_name_is_told_and_masked_there(inspector: Inspector, tmp_path: Path) -> None:
    path = tmp_path / f"{KEY}.txt"
    path.write_text("harmless")
    inspected = inspector.files(Job((str(path), str(tmp_path / f"gone {KEY}")), 8))
    assert [hit.field for hit in shown(inspected)] == [Field.PATH]
    assert KEY not in inspected.hits[0].path
    [problem] = inspected.problems
    assert KEY not in problem
    assert "No such file" in problem


def test_a_file_that_breaks_its_scan_is_told_and_the_others_are_scanned(
    inspector: Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = Scanner.scan

    def breaks(self: Scanner, document: Document, sieve: DigestSieve | None = None, *, strangers: bool) -> Scan:
        if "break" in document.text:
            raise ValueError(KEY)
        return scan(self, document, sieve, strangers=strangers)

    monkeypatch.setattr(Scanner, "scan", breaks)
    broken, whole = looked_into(inspector, b"break"), looked_into(inspector, KEY.encode())
    [problem] = broken.problems
    assert "ValueError in " in problem
    assert KEY not in problem
    assert whole.hits

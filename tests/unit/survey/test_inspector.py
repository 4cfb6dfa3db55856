"""Files as they come: large, packed, in other encodings, broken; each key is told once, where it stands."""

import gzip
import io
import lzma
import pickle
import sqlite3
import tarfile
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
from tests.unit.containers.making import printed
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
    assert [path for path, _ in inspected.problems] == ["bomb.gz"]


def holders() -> dict[str, bytes]:
    """One key in containers that hold it as it is, glued to what follows."""
    stored, tar, database = io.BytesIO(), io.BytesIO(), sqlite3.connect(":memory:")
    with zipfile.ZipFile(stored, "w") as archive:
        archive.writestr("a.env", KEY)
    with tarfile.open(fileobj=tar, mode="w") as folder:
        member = tarfile.TarInfo("a.env")
        member.size = len(KEY)
        folder.addfile(member, io.BytesIO(KEY.encode()))
    database.execute("CREATE VIRTUAL TABLE texts USING fts5(words)")
    database.execute("INSERT INTO texts VALUES (?)", (KEY,))
    database.commit()
    stored_xz = lzma.compress(KEY.encode())
    return {
        "stored.zip": stored.getvalue(),
        "cut.zip": stored.getvalue()[:-40],
        "a.tar": tar.getvalue(),
        "a.db": database.serialize(),
        "a.xz": stored_xz,
        "cut.xz": stored_xz[:-20],
        "a.pdf": printed(KEY.encode()),
    }


@pytest.mark.parametrize("name", holders())
def test_a_key_that_a_container_shows_as_well_is_told_once_and_in_its_member(inspector: Inspector, name: str) -> None:
    [hit] = looked_into(inspector, holders()[name], name).hits
    assert hit.path.startswith(f"{name}!/")


def test_packing_is_left_alone_whatever_was_cut_of_files_before(inspector: Inspector) -> None:
    inspected = looked_into(inspector, gzip.compress(b"\0" * 300_000_000, 9), "bomb.gz")
    inspector.stream(io.BytesIO(holders()["stored.zip"]), "stored.zip", inspected)
    assert [hit.path for hit in inspected.hits] == ["stored.zip!/a.env"]


def test_a_part_of_a_key_that_is_registered_is_told_all_the_same() -> None:
    inner = KEY[1:47]  # what another format takes it for
    with closing(Inspector(known(inner))) as inspector:
        hits = looked_into(inspector, f"GROQ={KEY}\n".encode()).hits
    assert [hit.masked[-4:] for hit in hits] == [KEY[-4:], inner[-4:]]
    assert hits[1].digests == (Pepper(SECRET).hmac(sha256(inner.encode()).digest()),)


@pytest.mark.parametrize("text", ["{key}\n", "{key}ere\nabcT3BlbkFJ0aB1cD2eF3gH4iJ5kL6mN7\n"])
def test_of_all_ways_to_read_a_place_the_registered_one_is_shown(text: str) -> None:
    key = "sk-" + "some-words-here-and-th"
    with closing(Inspector(known(key))) as inspector:
        [hit] = looked_into(inspector, text.format(key=key).encode()).hits
    assert hit.masked[-4:] == key[-4:]
    assert hit.digests[0] == Pepper(SECRET).hmac(sha256(key.encode()).digest())


def encrypted() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a", KEY)
    data = bytearray(packed.getvalue())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (encrypted(), "encrypted"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(40), "packed in a way that is not known"),
        (gzip.compress(KEY.encode())[:-20], "broken"),
    ],
    ids=["encrypted", "of another kind", "cut off"],
)
def test_what_is_not_opened_is_told_by_its_name_and_why(inspector: Inspector, data: bytes, why: str) -> None:
    inspected = looked_into(inspector, data, f"{KEY}.x")
    assert any(why in told for _, told in inspected.problems)
    assert KEY not in repr(inspected)


def test_what_is_beyond_the_limits_of_a_text_is_told_by_its_name(inspector: Inspector) -> None:
    dense = "".join(f"sk-ant-{n:x}" for n in range(60_000))
    [(path, why), *_] = looked_into(inspector, dense.encode(), "dense").problems
    assert path == "dense"
    assert "scan it in parts" in why


def test_where_keys_were_looked_for_and_some_ways_to_read_them_left_is_counted_and_no_problem(
    inspector: Inspector,
) -> None:
    many = "".join(f"xai-{fill('{base64url:110}', Random(number))}\n\n" for number in range(900))
    inspected = looked_into(inspector, many.encode())
    assert inspected.left["curtailed"] > 0
    assert not inspected.problems


def test_what_begins_within_another_key_is_not_shown_as_one_of_its_own(inspector: Inspector) -> None:
    inspected = looked_into(inspector, f"GROQ={KEY}\n".encode())
    assert [hit.detector for hit in inspected.hits] == ["groq"]


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
    [(path_, why)] = inspected.problems
    assert KEY not in path_
    assert "No such file" in why


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
    [(_, why)] = broken.problems
    assert "ValueError in " in why
    assert KEY not in why
    assert whole.hits


@pytest.mark.parametrize("detector", ["xai-api", "openrouter", "github-app-refresh"])
@pytest.mark.parametrize("between", ["\n", '" + "', "<br/>\n", "\\\n"])
def test_a_broken_key_of_a_known_kind_is_shown_and_not_what_a_catch_all_takes_of_it(
    inspector: Inspector, detector: str, between: str
) -> None:
    key = made(named(detector), 1)
    [hit] = shown(looked_into(inspector, f'k = "{key[:-9]}{between}{key[-9:]}"\n\n'.encode()))
    assert (hit.detector, hit.masked[-4:]) == (detector, key[-4:])


def test_what_a_catch_all_takes_is_told_where_a_longer_reading_is_less_likely(inspector: Inspector) -> None:
    key = fill("sk-or-v1-{hex:60}", Random(1))
    [hit] = shown(looked_into(inspector, f"OPENROUTER_API_KEY={key}\nadded more\n".encode()))
    assert (hit.detector, hit.masked[-4:]) == ("openrouter-any", key[-4:])


def test_where_keys_are_registered_what_was_not_read_in_all_ways_is_a_problem(knowing: Inspector) -> None:
    many = "".join(f"xai-{fill('{base64url:110}', Random(number))}\n\n" for number in range(900))
    inspected = looked_into(knowing, many.encode())
    assert inspected.problems
    assert not inspected.left["curtailed"]

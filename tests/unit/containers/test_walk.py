"""What is taken out of containers of every kind, and of hostile ones, by the code that the worker runs."""

import bz2
import gzip
import io
import lzma
import random
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PageObject, PdfReader, PdfWriter
from pypdf.errors import LimitReachedError

from leakwatch.containers import packed
from leakwatch.containers.kinds import Kind, is_exhausted, sniff
from leakwatch.containers.limits import DEFAULT, Cut, Limits, Room
from leakwatch.containers.walk import Member, members
from tests.unit.containers.making import (
    HOLDERS,
    KEY,
    TEXT,
    database,
    objects,
    pdf,
    printed,
    streamed,
    tarred,
    with_packed_objects,
    zipped,
)


def walked(data: bytes, name: str = "what", limits: Limits = DEFAULT) -> tuple[list[Member], Mapping[Cut, int]]:
    room = Room(limits, len(data))
    return [*members(data, name, room)], room.cut


def paths(data: bytes, limits: Limits = DEFAULT) -> list[str]:
    return [member.path for member in walked(data, limits=limits)[0]]


@pytest.mark.parametrize("kind", HOLDERS)
def test_a_key_is_found_in_every_kind_under_the_path_of_its_member(kind: str) -> None:
    name, made, path = HOLDERS[kind]
    found, cut = walked(made(TEXT), name)
    assert [member.path for member in found if KEY.encode() in member.data] == [path]
    assert not cut


@pytest.mark.parametrize("inner", HOLDERS)
@pytest.mark.parametrize("outer", ["zip", "tar.gz", "zstd"])
def test_a_container_in_a_container_is_opened_too(outer: str, inner: str) -> None:
    found, cut = walked(HOLDERS[outer][1](HOLDERS[inner][1](TEXT)), HOLDERS[outer][0])
    assert any(KEY.encode() in member.data and member.path.endswith(HOLDERS[inner][2]) for member in found) or (
        inner in ("gzip", "bzip2", "xz", "zstd", "two gzips") and any(KEY.encode() in m.data for m in found)
    )
    assert not cut


def test_the_way_to_a_member_leads_through_all_that_holds_it() -> None:
    inner = zipped({"dir/.env": TEXT})
    assert paths(tarred({"a/inner.zip": inner, "b.tgz": gzip.compress(tarred({"c": b"x"}))})) == [
        "a/inner.zip!/dir/.env",
        "b.tgz!/c",
    ]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from(sorted(HOLDERS)), min_size=1, max_size=4),
    st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20),
)
def test_however_containers_are_nested_the_key_is_found(layers: list[str], name: str) -> None:
    data = TEXT
    for index, layer in enumerate(layers):
        holds_text = layer in ("SQLite", "PDF", "two gzips")
        data = zipped({name: data}) if index and holds_text else HOLDERS[layer][1](data)
    found, cut = walked(data)
    assert any(KEY.encode() in member.data for member in found), cut


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(sorted(HOLDERS)), st.randoms(use_true_random=False))
def test_nothing_that_is_broken_raises(kind: str, chance: random.Random) -> None:
    data = bytearray(HOLDERS[kind][1](TEXT))
    for _ in range(chance.randint(1, 20)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    walked(bytes(data[: chance.randint(1, len(data))]), limits=Limits(bytes=2_000_000))


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz", "zstd", "tar.gz", "tar", "SQLite"])
def test_of_what_was_cut_off_the_beginning_is_used(kind: str) -> None:
    noise = random.Random(1).randbytes(900_000).hex()
    text = TEXT * 100 + noise.encode()
    made = HOLDERS[kind][1](text)
    found, cut = walked(made[: len(made) - 300_000])
    if kind != "SQLite":  # whose pages hang together: what stands in a lost one is lost
        assert any(KEY.encode() in member.data for member in found)
    assert cut == {Cut.BROKEN: cut[Cut.BROKEN]}
    assert cut[Cut.BROKEN]


@pytest.mark.parametrize("make", [zipped, streamed])
@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2])
def test_members_of_a_zip_without_a_directory_are_sought(make: type, method: int) -> None:
    data = make({"a": b"x" * 100, "b/.env": TEXT, "c": b"y" * 100}, method)
    cut_off = data[: data.index(b"PK\x01\x02")]
    found, cut = walked(cut_off)
    assert [(member.path, member.data.startswith(TEXT)) for member in found][:2] == [("a", False), ("b/.env", True)]
    assert cut[Cut.BROKEN]


def test_a_directory_that_lies_is_not_believed() -> None:
    data = bytearray(zipped({"a": TEXT, "b": TEXT}))
    at = data.index(b"PK\x01\x02")
    data[at + 42 : at + 46] = struct.pack("<I", 7)  # where the first member should be
    assert paths(bytes(data)) == ["b"]
    data[at + 42 : at + 46] = struct.pack("<I", len(data) - 3)
    assert paths(bytes(data)) == ["b"]
    end = data.index(b"PK\x05\x06")
    data[end + 16 : end + 20] = struct.pack("<I", 0xFFFFFFF0)  # where it should be itself
    assert paths(bytes(data)) == ["a", "b"]


def test_what_only_looks_like_a_member_is_passed_over() -> None:
    assert walked(b"PK\x03\x04" + b"no member" * 9) == ([], {Cut.BROKEN: 1, Cut.METHOD: 1})
    assert walked(b"PK\x03\x04 cut within its head") == ([], {Cut.BROKEN: 1})


def test_the_newer_ways_to_pack_a_zip_are_known() -> None:
    for method, pack in ((93, zstandard.compress), (95, lzma.compress)):
        name, data = b"dir/.env", pack(TEXT)
        header = struct.pack("<4s2xHHHHIIIHH", b"PK\x03\x04", 0x800, method, 0, 0, 0, len(data), 0, len(name), 0)
        found, _ = walked(header + name + data)
        assert found == [Member("dir/.env", TEXT)]


def test_a_zips_comment_is_seen() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.comment = KEY.encode()
        archive.writestr("a", b"x")
    assert walked(buffer.getvalue())[0] == [Member("comment", KEY.encode()), Member("a", b"x")]


def test_what_is_encrypted_or_packed_in_an_unknown_way_is_counted() -> None:
    plain = zipped({"a": TEXT, "b/": b"", "c": TEXT})
    for offset, value, why in ((6, 1, Cut.ENCRYPTED), (8, 97, Cut.METHOD)):
        data = bytearray(plain)
        data[offset : offset + 2] = struct.pack("<H", value)
        at = data.index(b"PK\x01\x02")
        data[at + offset + 2 : at + offset + 4] = struct.pack("<H", value)
        found, cut = walked(bytes(data))
        assert [member.path for member in found] == ["c"]
        assert cut == {why: 1}


def test_an_encrypted_pdf_is_counted_unless_everybody_may_read_it() -> None:
    for password, why in (("secret", {Cut.ENCRYPTED: 1}), ("", {})):
        writer, buffer = PdfWriter(clone_from=PdfReader(io.BytesIO(printed(TEXT)))), io.BytesIO()
        writer.encrypt(password, "owner", algorithm="RC4-128")
        writer.write(buffer)
        found, cut = walked(buffer.getvalue())
        assert cut == why
        assert any(KEY.encode() in member.data for member in found) is (password == "")


def test_links_and_devices_are_counted_and_traversal_is_only_a_name() -> None:
    others = []
    for name, kind in (("link", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE), ("null", tarfile.CHRTYPE)):
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        others.append(info)
    folder = tarfile.TarInfo("folder")
    folder.type = tarfile.DIRTYPE
    found, cut = walked(tarred({"../../etc/cron.d/x": TEXT}, *others, folder))
    assert found == [Member("../../etc/cron.d/x", TEXT)]
    assert cut == {Cut.LINK: 3}
    assert paths(zipped({"/../../root/.ssh/x": TEXT})) == ["/../../root/.ssh/x"]
    assert not Path("/etc/cron.d/x").exists()


def test_of_a_sparse_file_what_is_stored_is_read() -> None:
    header = bytearray(tarred({"a": TEXT}, form=tarfile.GNU_FORMAT)[:512])
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[386:410] = b"%011o\0%011o\0" % (1 << 30, len(TEXT))  # a gigabyte of nothing, then the text
    header[483:495] = b"%011o\0" % ((1 << 30) + len(TEXT))
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    found, cut = walked(bytes(header) + TEXT.ljust(512, b"\0") + bytes(1024))
    assert found == [Member("a", TEXT)]
    assert not cut


def test_a_pdf_yields_pages_information_and_attachments() -> None:
    writer, buffer = (
        PdfWriter(clone_from=PdfReader(io.BytesIO(pdf(b"BT /F1 12 Tf 72 720 Td (x) Tj ET", 2)))),
        io.BytesIO(),
    )
    writer.add_metadata({"/Title": KEY})
    writer.add_attachment("env.zip", zipped({".env": TEXT}))
    writer.write(buffer)
    found, _ = walked(buffer.getvalue())
    assert [member.path for member in found] == ["page 1", "page 2", "information", "env.zip!/.env"]
    assert KEY.encode() in found[2].data
    assert [member.path for member in walked(pdf(b"").replace(b"/Info", b"/More"))[0]] == ["page 1"]
    assert walked(pdf(b"", 3), limits=Limits(pages=2))[1] == {Cut.PAGES: 1}


def test_a_page_that_is_broken_takes_no_other_with_it() -> None:
    unknown = b"<< /Filter /Unknown /Length 1 >>\nstream\nx\nendstream"
    good = pdf(b"BT /F1 12 Tf 72 720 Td (x) Tj ET", 2, unknown)
    found, cut = walked(good.replace(b"/Contents 3 0 R", b"/Contents 7 0 R", 1))
    assert [member.data for member in found] == [b"", b"x", b"a title"]
    assert cut == {Cut.BROKEN: 1}


def test_a_page_with_much_in_it_is_also_read_as_it_is_drawn() -> None:
    drawn = b"BT /F1 12 Tf 72 720 Td (%s) Tj ET " % KEY.encode()
    assert [member.path for member in walked(pdf(drawn))[0]] == ["page 1", "information"]
    found, _ = walked(pdf(drawn + b"%" + b"x" * 1_100_000))
    assert [member.path for member in found][:2] == ["page 1, as it is drawn", "page 1"]
    assert KEY.encode() in found[0].data


def test_what_pypdf_stops_reading_is_counted_as_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_page: PageObject) -> str:
        raise LimitReachedError

    monkeypatch.setattr(PageObject, "extract_text", refuse)
    assert walked(pdf(b""))[1] == {Cut.BYTES: 1}


@pytest.mark.parametrize("error", [ValueError, MemoryError])
def test_what_draws_a_page_may_be_broken(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def refuse(_page: PageObject) -> None:
        raise error

    monkeypatch.setattr(PageObject, "get_contents", refuse)
    assert walked(printed(TEXT))[1] == ({Cut.MEMORY: 1} if error is MemoryError else {})


@pytest.mark.parametrize("what", ["annotation", "link"])
def test_annotations_and_links_are_read_that_are_packed_with_other_objects(what: str) -> None:
    said = b"/Contents (%s)" if what == "annotation" else b"/A << /S /URI /URI (https://example.org/?k=%s) >>"
    note = b"<< /Type /Annot /Subtype /Text /Rect [0 0 9 9] " + said % KEY.encode() + b" >>"
    found, cut = walked(with_packed_objects(note))
    assert any(KEY.encode() in member.data for member in found)
    assert not cut


def test_a_pdf_that_goes_in_a_circle_ends() -> None:
    catalogue, tree = b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 1 >>"
    assert walked(objects(catalogue, tree))[1] == {Cut.BROKEN: 1}


def test_databases_yield_every_text_and_blob_and_what_is_packed_in_them() -> None:
    data = database(
        'CREATE TABLE "a ""b" (n, t, b)',
        "CREATE TABLE empty (x DEFAULT 'in the schema')",
        "CREATE VIEW v AS SELECT * FROM empty",
        'INSERT INTO "a ""b" VALUES (?, ?, ?)',
        rows=[(1, "text", b"\0blob\xff"), (2.5, None, zipped({".env": TEXT})), (3, "later", None)],
        log=True,
    )
    found, cut = walked(data)
    assert not cut
    contents = dict(found)
    assert contents['a "b'] == b"text\t\0blob\xff\n\nlater\n"
    assert contents['a "b/b!/.env'] == TEXT
    assert b"in the schema" in contents["sqlite_schema"]
    assert contents.keys() == {"sqlite_schema", 'a "b', 'a "b/b!/.env', "empty"}


def test_a_table_is_read_as_far_as_there_is_room() -> None:
    data = database("CREATE TABLE t (x)", "INSERT INTO t VALUES (?)", rows=[("x" * 1_000,)] * 100)
    found, cut = walked(data, limits=Limits(bytes=50_000))
    assert sum(len(member.data) for member in found) == 50_000
    assert cut == {Cut.BYTES: 1}


def test_nothing_that_a_schema_would_compute_is_computed() -> None:
    data = database("CREATE TABLE t (x, y AS (x || 'computed'))", "INSERT INTO t VALUES (?)", rows=[(KEY,)] * 3)
    found, cut = walked(data)
    assert dict(found)["t"] == f"{KEY}\n".encode() * 3
    assert not cut


def test_a_table_that_is_broken_takes_no_other_with_it() -> None:
    rows = [(f"row {number} " + "x" * 500,) for number in range(100)]
    data = database("CREATE TABLE a (x)", "CREATE TABLE b (x)", f"INSERT INTO b SELECT '{KEY}'", _A, rows=rows)
    last = data.rindex(b"row 99 ") // 4096 * 4096
    found, cut = walked(data[:last] + bytes(4096) + data[last + 4096 :])
    contents = dict(found)
    assert b"row 50 " in contents["a"]
    assert b"row 99 " not in contents["a"]
    assert KEY.encode() in contents["b"]
    assert cut == {Cut.BROKEN: 1}


_A = "INSERT INTO a VALUES (?)"


def test_deleted_rows_of_a_database_within_a_container_are_seen() -> None:
    data = database("CREATE TABLE t (x)", f"INSERT INTO t SELECT '{KEY}'", "DELETE FROM t")
    found, _ = walked(zipped({"a.db": data}))
    assert [member.path for member in found if KEY.encode() in member.data] == ["a.db"]


def test_a_bomb_is_cut_by_its_ratio_and_what_came_before_is_kept() -> None:
    zeros = bytes(50_000_000)
    for data in (gzip.compress(zeros), bz2.compress(zeros), zstandard.compress(zeros), zipped({"a": zeros, "b": TEXT})):
        [only], cut = walked(data)
        assert len(only.data) <= max(DEFAULT.least, DEFAULT.ratio * len(data))
        assert cut == {Cut.RATIO: 1}
    assert walked(zipped({"a": bytes(2_000)}), limits=Limits(bytes=1_000))[1] == {Cut.BYTES: 1}


def test_members_that_lie_over_one_another_are_bounded_all_the_same() -> None:
    kernel = zipped({"a": bytes(3_000_000)})
    at = kernel.index(b"PK\x01\x02")
    end = kernel.index(b"PK\x05\x06")
    count = 500
    tail = struct.pack("<4s4xHHIIH", b"PK\x05\x06", count, count, count * (end - at), at, 0)
    found, cut = walked(kernel[:at] + kernel[at:end] * count + tail)
    assert sum(len(member.data) for member in found) <= 10 * DEFAULT.least
    assert cut == {Cut.RATIO: 1}


def test_a_bomb_of_zips_in_zips_is_cut() -> None:
    data = zipped({f"{n}": bytes([n]) * 900_000 for n in range(16)})
    for level in range(5):
        data = zipped({f"{level}-{n}.zip": data + bytes([n]) for n in range(16)}, zipfile.ZIP_STORED)[:3_000_000]
    limits = Limits(bytes=20_000_000)
    found, cut = walked(data, limits=limits)
    assert sum(len(member.data) for member in found) <= limits.bytes
    assert cut[Cut.BYTES] == 1


def test_nesting_ends_and_the_innermost_is_given_as_it_is() -> None:
    data = TEXT
    for level in range(30):
        data = zipped({f"{level}.zip": data})
    [innermost], cut = walked(data)
    assert innermost.path.count("!/") == DEFAULT.depth
    assert innermost.data.startswith(b"PK")
    assert cut == {Cut.DEPTH: 1}


def test_what_holds_the_same_again_and_again_is_opened_once() -> None:
    inner = zipped({".env": TEXT})
    found, cut = walked(zipped({f"{n}.zip": inner for n in range(500)}))
    assert found == [Member("0.zip!/.env", TEXT)]
    assert not cut


def test_members_and_names_are_bounded() -> None:
    found, cut = walked(zipped({f"{n}": b"x" for n in range(10)}), limits=Limits(members=3))
    assert len(found) == 3
    assert cut == {Cut.MEMBERS: 1}
    found, cut = walked(zipped({"n" * 5_000: TEXT}))
    assert [len(member.path) for member in found] == [DEFAULT.name]
    assert cut == {Cut.NAME: 1}


def test_a_library_that_runs_out_of_memory_loses_one_container(monkeypatch: pytest.MonkeyPatch) -> None:
    def starve(*_: object, **__: object) -> None:
        raise MemoryError

    data = zipped({"a.tar": tarred({"x": b"x"}), "b": TEXT})
    paper = zipped({"a.pdf": printed(TEXT), "b": TEXT})
    monkeypatch.setattr(PageObject, "extract_text", starve)
    found, cut = walked(paper)
    assert [member.path for member in found] == ["a.pdf", "b"]
    assert cut == {Cut.MEMORY: 1}
    monkeypatch.setattr(tarfile, "open", starve)
    assert walked(data) == ([Member("b", TEXT)], {Cut.MEMORY: 1})


def test_what_cannot_be_opened_is_counted_and_what_is_no_container_has_no_members() -> None:
    assert walked(b"7z\xbc\xaf\x27\x1c" + bytes(100)) == ([], {Cut.METHOD: 1})
    assert walked(b"!<arch>\n" + bytes(100)) == ([], {Cut.METHOD: 1})
    assert walked(b"!<arch>\n/               " + bytes(100)) == ([], {}), "a library is read as it is"
    assert walked(TEXT) == ([], {})


def test_padding_behind_a_packed_file_is_no_fault() -> None:
    assert walked(gzip.compress(TEXT) + bytes(100), "a.gz") == ([Member("a", TEXT)], {})
    assert b"".join(packed.stored(b"x" * 3)) == b"xxx"


@pytest.mark.parametrize("kind", HOLDERS)
def test_a_kind_is_told_by_what_stands_in_it(kind: str) -> None:
    words = {"jar": "zip", "exe": "zip", "tgz": "gzip", "gz": "gzip", "bz2": "bzip2", "zst": "zstd", "db": "sqlite"}
    ending = HOLDERS[kind][0].rpartition(".")[2]
    assert sniff(HOLDERS[kind][1](TEXT)) == words.get(ending, ending)


def test_a_file_in_which_more_can_be_than_its_members_is_not_exhausted() -> None:
    exhausted = {kind for kind, (_, made, _) in HOLDERS.items() if is_exhausted(made(TEXT))}
    assert HOLDERS.keys() - exhausted == {"tar", "old tar", "SQLite", "PDF", "zip behind a program"}


def test_text_is_no_container() -> None:
    assert sniff(b"") is None
    assert sniff(b"BZh, said the bee, and other things") is None
    assert sniff(b"#!/bin/sh\necho" + b"x" * 600) is None
    assert sniff(bytes(2_000)) is None
    assert sniff(b"PK is Pakistan" * 100) is None
    assert sniff(b"a" * 148 + b"0000000 " + b"b" * 1_000) is None
    assert sniff(b"It begins with %PDF-1.7, and is no PDF") is None
    assert sniff(b"\n %PDF-1.7\n1 0 obj 2") is Kind.PDF

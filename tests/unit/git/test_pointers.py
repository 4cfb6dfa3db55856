"""What repositories point at: told as far as it may be shown, and never asked for."""

from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.git import Blob, Pointers, may_point, pointers
from leakwatch.model import Document, Reference

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"


def at(path: str, text: str) -> Document:
    return Document(reference=Reference(url="", id="", path=path), text=text)


def modules(*addresses: str) -> Document:
    return at(".gitmodules", "".join(f'[submodule "m"]\n\tpath = m\n\turl = {address}\n' for address in addresses))


def test_pointers_of_lfs_and_submodules_are_counted() -> None:
    found = pointers([at("a.bin", LFS), at("b.bin", LFS), modules("https://git.example.com/a.git", "../b")])
    assert found == Pointers(files=2, submodules=2, shown=("https://git.example.com/a.git",))
    assert (
        pointers([at("a.txt", "x"), at("sub/.gitmodules", "url = https://a.example.com"), at("c", LFS * 30)])
        == Pointers()
    )


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:word@git.example.com/a.git?token=b#c", ["https://git.example.com/a.git"]),
        ("ssh://git@git.example.com:2222/a.git", ["ssh://git.example.com:2222/a.git"]),
        ("git://8.8.8.8/a", ["git://8.8.8.8/a"]),
        ('"https://git.example.com/a.git"', ["https://git.example.com/a.git"]),
        ("  https://git.example.com/a.git \t", ["https://git.example.com/a.git"]),
        ("https://[2606:4700::1]:8443/a", ["https://[2606:4700::1]:8443/a"]),
        ("http://127.0.0.1/a", []),
        ("http://[::1]/a", []),
        ("https://intranet/a", []),
        ("http://git.example.com:99999/a", []),
        ("file:///etc/passwd", []),
        ("ext::sh -c id", []),
        ("git@git.example.com:a/b.git", []),
        ("https://[bad", []),
    ],
)
def test_only_an_address_in_public_is_shown_without_its_user(address: str, shown: list[str]) -> None:
    assert list(pointers([modules(address)]).shown) == shown


@given(st.text(max_size=200))
def test_anything_may_stand_in_such_a_file(text: str) -> None:
    found = pointers([at(".gitmodules", text), at(".gitmodules", f"url = {text}")])
    assert all("@" not in address.split("/")[2] for address in found.shown)


@pytest.mark.parametrize("line", ["url = a{}b", "url = {}b", "{}url", "url{}b", "url = a{}"])
def test_a_line_made_to_take_long_takes_twice_as_long_when_it_is_twice_as_long(line: str) -> None:
    def taken(size: int) -> float:
        document = at(".gitmodules", line.format(" " * size))
        began = perf_counter()
        pointers([document])
        return perf_counter() - began

    short = min(taken(20_000) for _ in range(3))  # a tenth of a millisecond, where it once took a second
    assert min(taken(320_000) for _ in range(3)) < 100 * max(short, 1e-4)


def test_a_blob_is_worth_a_look_by_its_name_or_its_beginning() -> None:
    blobs = [(".gitmodules", b""), ("a.bin", LFS.encode()), ("a.txt", b"x")]
    looked = [may_point(Blob(oid="", kind="blob", path=path, size=len(body), body=body)) for path, body in blobs]
    assert looked == [True, True, False]

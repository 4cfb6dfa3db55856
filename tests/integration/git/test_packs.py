"""Packs as git itself writes them, read without it."""

import os
import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from leakwatch.errors import TimedOut
from leakwatch.git import objects
from leakwatch.git.leash import Leash
from leakwatch.git.objects import Missing, Named
from leakwatch.git.packs import LARGEST, Object, Pack, Packs
from tests.integration.git.host import git

WORDS = [f"word{number}" for number in range(400)]


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository in which one file changed often, and is packed as deltas over deltas."""
    repository = tmp_path_factory.mktemp("grown") / "repository"
    git(repository.parent, "init", "--quiet", "--bare", "--initial-branch=main", str(repository))
    chance, text, stream = Random(3), list(WORDS), b""
    for number in range(40):
        text[chance.randrange(len(text))] = f"changed in {number}"
        noise = chance.randbytes(3000) if number % 10 == 0 else b"small %d" % number
        said = f"\n{' '.join(text)}\n".encode()
        stream += b"commit refs/heads/main\ncommitter A <a@b.example> %d +0000\ndata 3\none\n" % (number + 1)
        stream += b"M 644 inline text\ndata %d\n%b\nM 644 inline noise\ndata %d\n%b\n" % (
            len(said),
            said,
            len(noise),
            noise,
        )
    stream += b"tag v1\nfrom refs/heads/main\ntagger A <a@b.example> 1 +0000\ndata 3\none\n"
    git(repository, "fast-import", "--quiet", stdin=stream)
    git(repository, "repack", "-a", "-d", "-f", "-q", "--depth=40")
    return repository


@pytest.fixture
def repository(grown: Path, tmp_path: Path) -> Path:
    return shutil.copytree(grown, tmp_path / "repository")


def every(repository: Path) -> list[str]:
    return git(repository, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)").split()


@pytest.fixture
def leash(tmp_path: Path) -> Iterator[Leash]:
    with Leash(tmp_path / "home", agent="x", seconds=60, most_bytes=10**8, where="here") as held:
        yield held


def by_git(leash: Leash, repository: Path) -> dict[str, tuple[str, bytes] | None]:
    """What git says that there is."""
    named = [Named(oid=name, kind="") for name in every(repository)]
    return {blob.oid: (blob.kind, blob.body) for blob in objects.reading(leash, repository, named, cap=10**8)}


def read(repository: Path) -> dict[str, tuple[str, bytes] | None]:
    names = every(repository)
    with Packs([repository / "objects"]) as packs:
        return {names[number]: found and (found.kind, found.data) for number, found in packs.read(names)}


def packed(repository: Path) -> tuple[Path, Path]:
    [index] = (repository / "objects" / "pack").glob("*.idx")
    for file in (index, index.with_suffix(".pack")):
        file.chmod(0o600)
    return index, index.with_suffix(".pack")


def test_each_object_is_what_git_says_that_it_is(leash: Leash, repository: Path) -> None:
    expected = by_git(leash, repository)
    assert len(expected) > 150
    assert {kind for kind, _ in filter(None, expected.values())} == {"blob", "commit", "tag", "tree"}
    assert read(repository) == expected


@pytest.mark.parametrize(
    ("setting", "value"),
    [("_WINDOW", 200), ("_KEPT", 0), ("_KEPT", 5000), ("_FEW", 1)],
)
def test_so_it_is_however_little_is_kept_or_read_at_once(
    setting: str, value: int, leash: Leash, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"leakwatch.git.packs.{setting}", value)
    assert read(repository) == by_git(leash, repository)


def test_offsets_of_64_bits_are_read(leash: Leash, repository: Path) -> None:
    index, pack = packed(repository)
    index.unlink()
    git(repository, "index-pack", "--index-version=2,0x40", str(pack))
    assert read(repository) == by_git(leash, repository)


def test_what_is_not_plain_is_left_to_git(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read(repository)
    loose = git(repository, "hash-object", "-w", "--stdin", stdin=b"in no pack")
    with Packs([repository / "objects"]) as packs:
        assert [*packs.read([loose, "1" * 64, "no name"])] == [(0, None), (1, None), (2, None)]
    monkeypatch.setattr("leakwatch.git.packs.DEEPEST", 3)
    monkeypatch.setattr("leakwatch.git.packs._KEPT", 0)
    deep = read(repository)
    assert 5 < sum(found is None for found in deep.values()) < 100
    monkeypatch.setattr("leakwatch.git.packs._AT_HAND", 30)
    assert sum(found is None for found in read(repository).values()) > sum(found is None for found in deep.values())
    monkeypatch.setattr("leakwatch.git.packs.LARGEST", 1000)
    short = read(repository)
    assert all(found is None or len(found[1]) <= 1000 for found in short.values())
    assert all(found in (None, whole.get(name)) for some in (deep, short) for name, found in some.items())


def test_deltas_that_name_their_base_are_left_to_git(leash: Leash, repository: Path) -> None:
    git(repository, "-c", "repack.useDeltaBaseOffset=false", "repack", "-a", "-d", "-f", "-q")
    found, expected = read(repository), by_git(leash, repository)
    assert 30 < sum(content is None for content in found.values()) < len(expected)
    assert all(content in (None, expected[name]) for name, content in found.items())


def test_a_walk_reads_all_of_it_whoever_reads_it(
    leash: Leash, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leakwatch.git.packs.DEEPEST", 3)
    monkeypatch.setattr("leakwatch.git.packs._KEPT", 0)
    monkeypatch.setattr("leakwatch.git.objects._SLICE", 50)
    tip = git(repository, "rev-parse", "refs/tags/v1")
    folders = [repository / "objects"]
    blobs = [*objects.walking(leash, repository, [tip], folders=folders, there={}, cap=2000, missing=Missing())]
    expected = {name: found for name, found in by_git(leash, repository).items() if found and found[0] != "tree"}
    assert {blob.oid: (blob.kind, blob.size, blob.body) for blob in blobs} == {
        name: (kind, len(body), body[:2000]) for name, (kind, body) in expected.items()
    }
    assert len(blobs) == len(expected)
    assert {blob.path for blob in blobs if blob.kind == "blob"} == {"text", "noise"}


def test_a_walk_ends_with_the_time_that_it_has(leash: Leash, repository: Path) -> None:
    tip = git(repository, "rev-parse", "refs/tags/v1")
    folders = [repository / "objects"]
    found = objects.walking(leash, repository, [tip], folders=folders, there={}, cap=2000, missing=Missing())
    next(found)
    leash.kill()
    with pytest.raises(TimedOut):
        next(found)


def test_damage_is_left_to_git_and_brings_nothing_down(repository: Path) -> None:
    names = every(repository)
    index, pack = packed(repository)
    good = index.read_bytes(), pack.read_bytes()
    chance, left = Random(7), 0
    for number in range(40):
        for file, content in zip((index, pack), good, strict=True):
            broken = bytearray(content)
            for _ in range(40 if number % 2 else 0):
                broken[chance.randrange(8, len(broken))] = chance.randrange(256)
            file.write_bytes(broken[: chance.randrange(len(broken))] if number % 4 == 0 else broken)
        with Packs([repository / "objects"]) as packs:
            for _, found in packs.read(names):
                left += found is None
                assert found is None or len(found.data) <= LARGEST
    assert left


def test_what_is_no_file_is_not_waited_for_and_what_is_no_index_is_passed_over(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, pack = packed(repository)
    names = every(repository)
    for damaged in (index, pack):
        content = damaged.read_bytes()
        damaged.unlink()
        os.mkfifo(damaged)
        assert _left(repository, names) == len(names)
        damaged.unlink()
        damaged.write_bytes(content)
    assert _left(repository, names) == 0
    with monkeypatch.context() as patch:
        patch.setattr("leakwatch.git.packs._INDICES", 1000)
        assert _left(repository, names) == len(names)
    with monkeypatch.context() as patch:
        patch.setattr("leakwatch.git.packs.MOST", 0)
        assert _left(repository, names) == len(names)
    git(repository, "-c", "pack.indexVersion=1", "repack", "-a", "-d", "-f", "-q")
    assert _left(repository, names) == len(names)


def _left(repository: Path, names: list[str]) -> int:
    with Packs([repository / "objects"]) as packs:
        return sum(found is None for _, found in packs.read(names))


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\x33", Object("blob", b"abc")),
        (b"\x34", None),  # says that it is longer
        (b"\x32", None),  # or shorter
        (b"\xb3" + b"\x80" * 9 + b"\1", None),  # or without end
        (b"\x63\x01", None),  # lies before the beginning
        (b"\x73", None),  # names its base
        (b"", None),
    ],
)
def test_an_object_is_as_long_as_it_says_or_is_left_to_git(
    head: bytes, expected: Object | None, tmp_path: Path
) -> None:
    path = tmp_path / "some.pack"
    path.write_bytes(head + zlib.compress(b"abc") + bytes(100))
    with path.open("rb") as file:
        assert Pack(file.fileno(), b"\xfftOc\0\0\0\2" + bytes(1024 + 40)).read(0) == expected


def test_a_name_that_only_lies_across_two_others_is_not_there() -> None:
    one, other = b"\1" + b"\2" * 18 + b"\1", b"\1" + b"\3" * 19
    index = b"\xfftOc\0\0\0\2" + struct.pack(">256I", 0, *[2] * 255) + one + other + bytes(8)
    index += struct.pack(">II", 7, 9) + bytes(40)
    pack = Pack(0, index)
    assert (pack.find(one), pack.find(other)) == (7, 9)
    assert pack.find(one[19:] + other[:19]) is None
    assert pack.find(b"\2" * 20) is None


def _index(name: bytes, offset: bytes, behind: bytes = b"") -> bytes:
    """An index of one object; what is behind it are its far offset and two checksums."""
    fanout = struct.pack(">256I", *[int(first >= name[0]) for first in range(256)])
    return b"\xfftOc\0\0\0\2" + fanout + name + bytes(4) + offset + behind + bytes(40)


@pytest.mark.parametrize("offset", [b"\xff" * 8, b"\x80" + bytes(7), b"\x7f" + b"\xff" * 7])
def test_an_offset_beyond_all_files_is_left_to_git(offset: bytes, tmp_path: Path) -> None:
    path = tmp_path / "some.pack"
    path.write_bytes(bytes(100))
    with path.open("rb") as file:
        pack = Pack(file.fileno(), _index(b"n" * 20, b"\x80\0\0\0", offset))
        at = pack.find(b"n" * 20)
        assert at == int.from_bytes(offset)
        assert pack.read(at) is None


@pytest.mark.parametrize(
    "index",
    [
        _index(b"n" * 20, bytes(4), b"junk"),
        _index(b"n" * 20, bytes(4))[:-1],
        b"\xfftOc\0\0\0\2" + b"\1\0\0\0" + bytes(1060),
    ],
    ids=["longer", "shorter", "counts that fall"],
)
def test_an_index_that_git_refuses_is_refused(index: bytes) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        Pack(0, index)


def test_of_packs_that_both_say_that_they_have_an_object_git_chooses(leash: Leash, repository: Path) -> None:
    index, pack = packed(repository)
    names = every(repository)
    assert _left(repository, names) == 0
    for file in (index, pack):
        (file.parent / f"pack-0000{file.suffix}").write_bytes(file.read_bytes())
    assert _left(repository, names) == len(names)

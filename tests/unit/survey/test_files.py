"""Which files are looked at, and what is told of the others."""

import io
import os
from pathlib import Path

import pytest

from leakwatch.survey import Problem, is_endless
from leakwatch.survey.files import Bounded, Folders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.txt", "a/2", "a/1", ".git/packed", "a/.git/objects/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def looked_at(folders: Folders, root: Path) -> list[str]:
    return [str(Path(path).relative_to(root)) for job in folders.jobs() for path in job.paths]


def test_a_folder_is_walked_in_order_without_its_history(folder: Path) -> None:
    folders = Folders([folder], largest=1000)
    assert looked_at(folders, folder) == ["b.txt", "a/1", "a/2"]
    assert folders.left == {"history": 2}


def test_links_within_a_folder_and_special_files_are_left(folder: Path) -> None:
    (folder / "link").symlink_to(folder / "b.txt")
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    folders = Folders([folder], largest=1000)
    assert looked_at(folders, folder) == ["b.txt", "a/1", "a/2"]
    assert folders.left["special"] == 1
    assert folders.left["link"] == 1


@pytest.mark.parametrize(
    ("named", "told"),
    [
        (["b.txt", "b.txt", "a/../b.txt"], ["b.txt"]),
        (["a", "."], ["a/1", "a/2", "b.txt"]),
        ([".", "a", "a/1"], ["b.txt", "a/1", "a/2"]),
        (["a/2", "link", "."], ["a/2", "link", "a/1"]),
        ([".", ".git", ".git/packed"], ["b.txt", "a/1", "a/2", ".git/packed"]),
    ],
)
def test_a_file_is_looked_at_once_by_whatever_names(folder: Path, named: list[str], told: list[str]) -> None:
    (folder / "link").symlink_to(folder / "b.txt")
    folders = Folders([folder / name for name in named], largest=1000)
    assert looked_at(folders, folder) == told


def test_what_has_no_end_is_a_pipe_or_standard_input_that_somebody_names(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to(folder / "pipe")
    named = [Path("-"), folder / "pipe", folder / "link", folder / "b.txt", folder / "a"]
    assert [is_endless(path) for path in named] == [True, True, True, False, False]


def test_a_link_that_is_named_is_what_it_leads_to(folder: Path) -> None:
    (folder / "link").symlink_to(folder / "b.txt")
    assert looked_at(Folders([folder / "link"], largest=1000), folder) == ["link"]


def test_a_file_that_is_too_large_and_one_that_is_gone_are_told(folder: Path) -> None:
    folders = Folders([folder / "b.txt", folder / "gone"], largest=3)
    assert looked_at(folders, folder) == []
    assert [*folders.problems] == [
        Problem(str(folder / "b.txt"), "5 bytes, more than --max-size allows"),
        Problem(str(folder / "gone"), "No such file or directory"),
    ]


def test_small_files_are_taken_together_and_large_ones_alone(tmp_path: Path) -> None:
    for number in range(130):
        (tmp_path / f"{number:03}").write_text("x")
    (tmp_path / "large").write_bytes(b"x" * 4_000_001)
    jobs = [*Folders([tmp_path], largest=1 << 30).jobs()]
    assert [len(job.paths) for job in jobs] == [64, 64, 2, 1]
    assert jobs[-1].size == 4_000_001


def test_of_a_stream_no_more_is_read_than_is_allowed() -> None:
    bounded = Bounded(io.BytesIO(b"abcdefgh"), 5)
    assert [bounded.read(2), bounded.has_more(), bounded.read(9), bounded.read(), bounded.has_more()] == [
        b"ab",
        False,
        b"cde",
        b"",
        True,
    ]
    whole = Bounded(io.BytesIO(b"abc"), 3)
    assert whole.read() == b"abc"
    assert not whole.has_more()

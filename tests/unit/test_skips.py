"""A run that left something out does not look like one that did not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TEST = """
import pytest
@pytest.fixture
def server():
    pytest.skip("apt-get install nginx-light")
def test_with_a_server(server):
    raise AssertionError
def test_alone():
    pass
"""


@pytest.mark.parametrize(
    ("folder", "ci", "status", "says"),
    [
        ("peers", "true", 1, "apt-get install nginx-light"),
        ("systemd", "true", 1, "apt-get install nginx-light"),
        ("peers", "", 0, "NOT RUN: 1 tests"),
        ("unit", "true", 0, "NOT RUN: 1 tests"),
    ],
)
def test_what_is_skipped_fails_in_ci_and_is_counted_elsewhere(
    tmp_path: Path, folder: str, ci: str, status: int, says: str
) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "test_it.py").write_text(TEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.skips", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == status, ended.stdout + ended.stderr
    assert says in ended.stdout

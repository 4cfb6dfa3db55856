"""What the worker answers, and what it needs to start."""

import io
import json
import subprocess
import sys
from dataclasses import asdict

import pytest

from leakwatch.containers import frames, worker
from leakwatch.containers.limits import Limits
from tests.unit.containers.making import TEXT, zipped


def asked(data: bytes, name: str = "what.zip", limits: Limits | None = None) -> bytes:
    order = json.dumps({"name": name, "limits": asdict(limits or Limits())}).encode()
    return frames.head(frames.ASKED, len(order)) + order + frames.head(frames.BYTES, len(data)) + data


def answered(answers: bytes) -> list[tuple[bytes, bytes]]:
    stream, found = io.BytesIO(answers), []
    while stream.tell() < len(answers):
        found.append(frames.read(stream.read, b"PBE", 1 << 20))
    return found


def test_it_answers_one_document_after_the_other() -> None:
    answers = io.BytesIO()
    worker.serve(
        io.BytesIO(asked(zipped({"a": TEXT})) + asked(TEXT) + frames.head(frames.ASKED, 100) + b"half of it"), answers
    )
    assert answered(answers.getvalue()) == [(b"P", b"a"), (b"B", TEXT), (b"E", b"{}"), (b"E", b"{}")]


def test_it_says_what_was_cut() -> None:
    answers = io.BytesIO()
    worker.serve(io.BytesIO(asked(zipped({"a": TEXT, "b": TEXT}), limits=Limits(members=1))), answers)
    assert answered(answers.getvalue())[-1] == (b"E", b'{"members": 1}')


def test_as_a_process_it_does_the_same_and_ends_with_its_input() -> None:
    order = asked(zipped({"a": TEXT}))
    done = subprocess.run(
        [sys.executable, "-m", "leakwatch.containers.worker"], input=order, capture_output=True, check=True
    )
    assert done.stderr == b""
    assert answered(done.stdout)[0] == (b"P", b"a")


def test_it_imports_only_what_it_needs_so_that_it_starts_quickly() -> None:
    command = [sys.executable, "-I", "-X", "importtime", "-m", "leakwatch.containers.worker"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, env={})
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    heavy = {"pypdf", "sqlite3", "tarfile", "zipfile", "logging", "asyncio", "hyperscan", "pydantic", "sqlalchemy"}
    assert "zlib" in imported
    assert not heavy & imported


@pytest.mark.parametrize("frame", [frames.head(b"X", 1) + b"x", frames.head(frames.PATH, 99) + b"x" * 99])
def test_a_frame_that_is_not_expected_or_too_long_is_refused(frame: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - it says nothing, since what is in it could be a key
        frames.read(io.BytesIO(frame).read, frames.PATH, 10)

"""Files shared among processes: in order, and a process that dies is told."""

import os
import signal
from pathlib import Path

import pytest

from leakwatch.errors import ScanFailed
from leakwatch.survey import Crew, Job
from tests.unit.scan.making import made, named


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    paths = [tmp_path / f"{number:02}" for number in range(12)]
    for number, path in enumerate(paths):
        path.write_text(made(named("groq"), number))
    return [Job((str(path),), 60) for path in paths]


@pytest.mark.parametrize("processes", [1, 2])
def test_what_comes_of_jobs_comes_in_their_order(jobs: list[Job], processes: int) -> None:
    hits = [hit for inspected in Crew(None, processes).inspect(jobs) for hit in inspected.hits]
    assert [hit.path for hit in hits if hit.detector == "groq"] == [job.paths[0] for job in jobs]


def test_a_few_files_are_done_without_another_process(jobs: list[Job]) -> None:
    assert sum(inspected.files for inspected in Crew(None, 2).inspect(jobs[:2])) == 2


def test_a_process_that_dies_is_told(jobs: list[Job]) -> None:
    inspecting = Crew(None, 2).inspect(jobs)
    next(inspecting)
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    for child in map(int, children):
        if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text():
            os.kill(child, signal.SIGKILL)
    with pytest.raises(ScanFailed, match="has died"):
        list(Crew(None, 2).inspect([])) or list(inspecting) or pytest.fail("nobody noticed")

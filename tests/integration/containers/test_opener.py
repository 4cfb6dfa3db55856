"""Containers opened in real processes, and what becomes of those that hang, die or lie."""

import asyncio
import gzip
import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from leakwatch.containers import opener as module
from leakwatch.containers.limits import Cut, Limits
from leakwatch.containers.opener import Opener
from leakwatch.containers.walk import Member
from leakwatch.errors import OpenerCrashed, OpenerTimedOut
from tests.unit.containers.making import HOLDERS, KEY, TEXT, slow, tarred, zipped

BIG = tarred({f"{n}": Random(n).randbytes(3_000_000) for n in range(3)})  # more than pipe and buffer hold


@pytest.fixture
def opener() -> Iterator[Opener]:
    with closing(Opener()) as opener:
        yield opener


def workers(opener: Opener) -> list[int]:
    """The numbers of the processes that an opener has."""
    return [worker._process.pid for worker in (*opener._idle, *opener._busy)]


def until(condition: Callable[[], bool]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("it never came to be")


@pytest.mark.parametrize("kind", HOLDERS)
def test_a_key_is_found_in_every_kind(opener: Opener, kind: str) -> None:
    name, made, path = HOLDERS[kind]
    opened = opener.open(made(TEXT), name)
    assert [member.path for member in opened.members if KEY.encode() in member.data] == [path]
    assert not opened.cut


async def test_threads_open_containers_beside_one_another(opener: Opener) -> None:
    data = zipped({".env": TEXT})
    opened = await asyncio.gather(*(asyncio.to_thread(opener.open, data, "a.zip") for _ in range(8)))
    assert {one.members for one in opened} == {(Member(".env", TEXT),)}


def test_a_worker_is_used_again_but_not_for_ever(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SERVED", 3)
    seen: list[list[int]] = []
    for _ in range(4):
        opener.open(zipped({".env": TEXT}), "a.zip")
        seen.append(workers(opener))
    assert seen[0] == seen[1] != []
    assert seen[2] == []
    assert seen[3] not in ([], seen[0])


def test_a_worker_knows_no_secret_and_may_do_next_to_nothing(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAKWATCH_PEPPER", "secret")
    opener.open(zipped({KEY: TEXT}), KEY)
    [worker] = workers(opener)
    of = Path(f"/proc/{worker}")
    assert of.joinpath("environ").read_bytes() == b""
    assert KEY not in of.joinpath("cmdline").read_text()
    assert of.joinpath("oom_score_adj").read_text() == "1000\n"
    assert "NoNewPrivs:\t1" in of.joinpath("status").read_text()
    assert {file.readlink().name.partition(":")[0] for file in (of / "fd").iterdir()} == {
        "pipe",
        "null",
    }
    nothing = (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC)
    assert {resource.prlimit(worker, limit) for limit in nothing} == {(0, 0)}
    assert resource.prlimit(worker, resource.RLIMIT_AS) == (Limits().memory,) * 2


def test_a_worker_that_hangs_is_killed_and_the_next_document_is_opened() -> None:
    with closing(Opener(Limits(seconds=1))) as opener:
        opened = opener.open(slow(), "a.pdf")
        assert opened.cut == {OpenerTimedOut.reason: 1}
        assert workers(opener) == []
        assert opener.open(zipped({".env": TEXT}), "a.zip").members


def test_what_whoever_asked_does_meanwhile_does_not_count() -> None:
    with closing(Opener(Limits(seconds=1))) as opener:
        cut: Counter[str] = Counter()
        for _ in opener.members(BIG, "a.tar", cut):
            time.sleep(0.6)
        assert not cut


def test_a_worker_that_ends_itself_for_want_of_time_has_timed_out(opener: Opener) -> None:
    cut: Counter[str] = Counter()
    for _ in opener.members(BIG, "a.tar", cut):
        os.kill(workers(opener)[0], signal.SIGPROF)
    assert cut == {OpenerTimedOut.reason: 1}


def test_after_a_worker_was_killed_another_does_the_rest(opener: Opener) -> None:
    cut: Counter[str] = Counter()
    seen: list[str] = []
    for member in opener.members(BIG, "a.tar", cut):
        if not seen:
            os.kill(workers(opener)[0], signal.SIGKILL)
        seen.append(member.path)
    assert seen == ["0", "1", "2"]
    assert not cut


def test_a_document_under_which_two_workers_die_is_given_up_with_its_reason(opener: Opener) -> None:
    cut: Counter[str] = Counter()
    seen = []
    for member in opener.members(BIG, "a.tar", cut):
        seen.append(member.path)
        os.kill(workers(opener)[0], signal.SIGKILL)
    assert seen == ["0", "1"]
    assert cut == {OpenerCrashed.reason: 1}


def test_a_worker_that_died_in_its_sleep_is_replaced_unnoticed(opener: Opener) -> None:
    opener.open(zipped({".env": TEXT}), "a.zip")
    [worker] = workers(opener)
    os.kill(worker, signal.SIGKILL)
    until(lambda: not is_running(worker))
    opened = opener.open(zipped({".env": TEXT}), "a.zip")
    assert opened.members
    assert not opened.cut
    assert workers(opener) != [worker]


def test_memory_is_capped_and_the_next_document_is_opened() -> None:
    with closing(Opener(Limits(memory=200_000_000, bytes=1_000_000_000, ratio=10_000))) as opener:
        opened = opener.open(gzip.compress(bytes(300_000_000), 1), "a.gz")
        assert opened.cut.keys() <= {Cut.MEMORY, OpenerCrashed.reason}
        assert opened.cut
        assert opener.open(zipped({".env": TEXT}), "a.zip").members


def test_what_is_no_longer_wanted_is_not_waited_for(opener: Opener) -> None:
    several = opener.members(BIG, "a.tar", Counter())
    next(several)
    several.close()
    assert workers(opener) == []


def test_who_is_closed_ends_all_workers_and_starts_none() -> None:
    opener = Opener()
    cut: Counter[str] = Counter()
    several = opener.members(BIG, "a.tar", cut)
    next(several)
    opener.open(zipped({".env": TEXT}), "a.zip")
    numbers = workers(opener)
    assert len(numbers) == 2
    opener.close()
    assert len([*several]) < 2
    assert cut == {OpenerCrashed.reason: 1}
    until(lambda: not any(Path(f"/proc/{number}").exists() for number in numbers))
    assert opener.open(zipped({".env": TEXT}), "a.zip").cut == {OpenerCrashed.reason: 1}


@pytest.mark.parametrize("doing", ["waiting", "working"])
def test_a_worker_does_not_outlive_a_parent_that_is_killed(doing: str, tmp_path: Path) -> None:
    tmp_path.joinpath("slow.pdf").write_bytes(slow())
    program = f"""
        import threading, time
        from pathlib import Path
        from leakwatch.containers.limits import Limits
        from leakwatch.containers.opener import Opener

        opener = Opener(Limits(seconds=2))
        data = Path({str(tmp_path / "slow.pdf")!r}).read_bytes() if {doing == "working"} else b"x"
        threading.Thread(target=opener.open, args=(data, "a.pdf"), daemon=True).start()
        while not (opener._busy if {doing == "working"} else opener._idle):
            time.sleep(0.01)
        time.sleep(0.5)
        print(*[worker._process.pid for worker in (*opener._busy, *opener._idle)], flush=True)
        time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert Path(f"/proc/{worker}").exists()
        parent.kill()
    until(lambda: not is_running(worker))


def is_running(number: int) -> bool:
    """Whether a process runs: of one that nobody waits for something is left."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


ANSWERS = {
    "nonsense": "b'nonsense' * 9",
    "more members than there may be": "(b'P\\0\\0\\0\\1aB\\0\\0\\0\\1b') * 9",
    "a member that is too large": "b'P\\0\\0\\0\\1aB\\xff\\0\\0\\1b'",
    "counts that are none": "b'E\\0\\0\\0\\2[]'",
    "no JSON": "b'E\\0\\0\\0\\2xx'",
    "half an answer": "b'P\\0\\0'",
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_worker_in_the_hands_of_its_document_is_not_believed(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = f"import sys; sys.stdout.buffer.write({ANSWERS[answer]}); sys.stdout.flush(); sys.stdin.buffer.read(200)"
    monkeypatch.setattr(module, "_COMMAND", (sys.executable, "-c", program))
    with closing(Opener(Limits(members=3))) as opener:
        opened = opener.open(b"x" * 1000, "x")
    assert len(opened.members) <= 8
    assert opened.cut == {OpenerCrashed.reason: 1}


def test_of_what_a_worker_counts_only_words_that_we_know_become_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    said = '{"bytes": 2, "a strangers words": 3}'
    program = f"import sys; sys.stdout.buffer.write(b'E\\0\\0\\0\\x{len(said):02x}{said}'); sys.stdout.flush(); input()"
    monkeypatch.setattr(module, "_COMMAND", (sys.executable, "-c", program))
    with closing(Opener()) as opener:
        assert opener.open(b"x", "x").cut == {Cut.BYTES: 2}


def test_a_worker_that_cannot_be_started_or_limited_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Opener()) as opener:
        with monkeypatch.context() as patched:
            patched.setattr(module, "_COMMAND", ("/nowhere",))
            assert opener.open(zipped({".env": TEXT}), "x").cut == {OpenerCrashed.reason: 1}
        with monkeypatch.context() as patched:
            patched.setattr(resource, "prlimit", _refused)
            assert opener.open(zipped({".env": TEXT}), "x").cut == {OpenerCrashed.reason: 1}
        assert workers(opener) == []


def _refused(*_: object) -> None:
    raise PermissionError


def test_threads_have_workers_of_their_own(opener: Opener) -> None:
    started = [opener.members(BIG, "a.tar", Counter()) for _ in range(2)]
    for several in started:
        next(several)
    assert len(workers(opener)) == 2
    threads = [threading.Thread(target=list, args=(several,)) for several in started]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(workers(opener)) == 2

import os
import subprocess
import sys

import pytest

from leakwatch.engine import processes


def test_this_process_is_not_gone() -> None:
    assert not processes.is_gone(processes.this())


def test_a_process_that_has_ended_is_gone() -> None:
    program = "from leakwatch.engine import processes; print(processes.this(), end='')"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout
    assert ended.startswith(processes.this().split(":", 1)[0])
    assert processes.is_gone(ended)


def test_an_earlier_process_of_the_same_number_is_gone() -> None:
    host, number, start = processes.this().rsplit(":", 2)
    assert number == str(os.getpid())
    assert processes.is_gone(f"{host}:{number}:{int(start) - 1}")


def test_where_a_start_cannot_be_seen_the_number_has_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = processes.this()
    monkeypatch.setattr(processes, "_started", lambda _process: "")
    assert not processes.is_gone(mine)
    assert processes.this().endswith(f":{os.getpid()}:")


def test_the_process_of_another_user_is_not_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(_process: int, _signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", kill)
    assert not processes.is_gone(processes.this())


def test_of_another_host_nothing_is_known() -> None:
    assert not processes.is_gone("elsewhere.example:1:1")
    assert not processes.is_gone("")
    assert not processes.is_gone("nonsense")


def test_a_number_beyond_all_processes_is_gone() -> None:
    host = processes.this().split(":", 1)[0]
    assert processes.is_gone(f"{host}:{2**80}:1")

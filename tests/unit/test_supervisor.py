"""What systemd is told, on a socket like its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from leakwatch.supervisor import Supervisor
from tests.notified import Systemd


@pytest.fixture(params=["file", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    systemd = Systemd(str(tmp_path / "notify") if request.param == "file" else f"@leakwatch-test-{os.getpid()}")
    yield systemd
    systemd.socket.close()


def test_it_says_what_systemd_understands(systemd: Systemd) -> None:
    supervisor = Supervisor(systemd.environment)
    assert supervisor.listens

    supervisor.ready()
    assert systemd.heard() == {"READY": "1"}
    supervisor.stopping()
    assert systemd.heard() == {"STOPPING": "1"}
    supervisor.reloading()
    told = systemd.heard()
    assert told["RELOADING"] == "1"
    assert int(told["MONOTONIC_USEC"]) > 0


def test_a_start_that_has_to_wait_says_for_what_and_gets_more_time(systemd: Systemd) -> None:
    Supervisor(systemd.environment).waiting("the database is away")

    assert systemd.heard() == {"EXTEND_TIMEOUT_USEC": "60000000"}
    assert systemd.heard() == {"STATUS": "waiting: the database is away"}


def test_a_status_is_one_line_and_says_nothing_else(systemd: Systemd) -> None:
    supervisor = Supervisor(systemd.environment)

    supervisor.status("watching\nREADY=1\n" + "x" * 5000)

    told = systemd.heard()
    assert set(told) == {"STATUS"}
    assert told["STATUS"].startswith("watching READY=1 x")
    assert len(told["STATUS"]) == 300


def test_the_watchdog_is_fed_three_times_before_it_bites(systemd: Systemd) -> None:
    supervisor = Supervisor({**systemd.environment, "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())})
    assert supervisor.beat == 20.0

    supervisor.alive()

    assert systemd.heard() == {"WATCHDOG": "1"}


@pytest.mark.parametrize(
    "watchdog", [{}, {"WATCHDOG_USEC": "no"}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "0"}]
)
def test_a_watchdog_that_is_not_ours_is_not_fed(systemd: Systemd, watchdog: dict[str, str]) -> None:
    supervisor = Supervisor({**systemd.environment, **watchdog})

    supervisor.alive()

    assert systemd.heard_nothing()
    assert supervisor.beat == 20.0


def test_without_systemd_nothing_is_said() -> None:
    supervisor = Supervisor({})

    supervisor.ready()

    assert not supervisor.listens


def test_a_systemd_that_does_not_listen_is_no_reason_to_stop(tmp_path: Path) -> None:
    with capture_logs() as logged:
        Supervisor({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).ready()

    [event] = logged
    assert (event["said"], event["detail"]) == ("READY", "No such file or directory")

"""What ships in `packaging/`, looked at without a systemd that runs."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.systemd.machine import CHECKOUT

PACKAGING = CHECKOUT / "packaging"
UNIT = (PACKAGING / "systemd/leakwatch.service").read_text()


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit as it is installed, beside a program for it to start."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")
    program = tmp_path / "bin/leakwatch"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "leakwatch.service"
    unit.write_text(UNIT.replace("@PREFIX@", str(tmp_path)))
    return unit


def test_systemd_has_nothing_to_say_against_the_unit(unit: Path) -> None:
    verified = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)

    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")


def test_it_is_exposed_to_1_5_of_10_at_the_most(unit: Path) -> None:
    looked_at = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", unit],
        capture_output=True,
        text=True,
        check=False,
    )

    assert looked_at.returncode == 0, looked_at.stdout


def test_a_reload_is_kept_back_by_what_it_takes_over_and_by_nothing_else() -> None:
    first, second = re.findall(r"^ExecReload=(.*)$", UNIT, re.MULTILINE)

    assert first.endswith("/leakwatch.toml check --reload")
    assert second == "/bin/kill -HUP $MAINPID"


def test_every_secret_of_the_configuration_is_a_credential() -> None:
    example = (CHECKOUT / "config.example.toml").read_text()
    named = set(re.findall(r"\$\{CREDENTIALS_DIRECTORY\}/([\w-]+)", example))

    loaded = dict(re.findall(r"^LoadCredential=([\w-]+):(.*)$", UNIT, re.MULTILINE))

    of_sources = {"api-token", "proxy", "app-key", "push"}
    assert named == {"pepper", "smtp-password", "database-password", "signing", "webhook", *of_sources}
    assert loaded == {name: f"/etc/leakwatch/credentials/{name}" for name in named}
    assert set(re.findall(r"^SetCredential=([\w-]+):\\n$", UNIT, re.MULTILINE)) == named


def test_the_user_of_the_unit_is_the_one_that_the_command_line_becomes() -> None:
    from leakwatch.identity import SYSTEM, USER

    assert f"\nUser={USER}\n" in UNIT
    assert f"-c {SYSTEM}/leakwatch.toml run" in UNIT
    assert f"u {USER} " in (PACKAGING / "systemd/leakwatch.sysusers").read_text()


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"PREFIX": "opt/leakwatch"}, "no plain absolute path"),
        ({"PREFIX": "/"}, "no plain absolute path"),
        ({"PREFIX": "/opt/a b"}, "no plain absolute path"),
        ({"PREFIX": "/taken"}, "holds something else"),
        ({"PREFIX": "/free", "PYTHON": "/bin/false"}, "no Python 3.11"),
    ],
)
def test_an_installation_that_cannot_be_is_refused_before_it_begins(
    tmp_path: Path, environment: dict[str, str], says: str
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/file").touch()
    before = sorted(tmp_path.rglob("*"))

    refused = _packaging("install", DESTDIR=str(tmp_path), **environment)

    assert refused.returncode == 1
    assert says in refused.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_uninstalling_removes_nothing_that_it_has_not_installed(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "usr/local/bin").mkdir(parents=True)
    (tmp_path / "usr/local/bin/leakwatch").symlink_to("/elsewhere/leakwatch")
    before = sorted(tmp_path.rglob("*"))

    done = _packaging("uninstall", DESTDIR=str(tmp_path), PREFIX="/taken")

    assert (done.returncode, done.stderr) == (0, "")
    assert "is left as it is" in done.stdout
    assert sorted(tmp_path.rglob("*")) == before


def _packaging(action: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PACKAGING / "install", action],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )

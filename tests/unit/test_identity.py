"""Whose rights a command has."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from leakwatch import identity

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give it up")

SCRIPT = """\
import json, os, sys
from pathlib import Path
from leakwatch import identity
config, system, user = sys.argv[1:]
kept = open(config)
assumed = identity.assume(Path(config), system=Path(system), user=user)
try:
    os.setuid(0)
except PermissionError:
    back = False
else:
    back = True
print(json.dumps({
    "assumed": assumed, "ids": [*os.getresuid(), *os.getresgid()], "groups": os.getgroups(), "back": back,
    "home": os.environ["HOME"], "umask": os.umask(0), "kept": kept.read(),
}))
"""


def tried(config: Path, system: Path, user: str = "nobody") -> Any:
    """What becomes of a process of root's."""
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, config, system, user],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    return json.loads(ended.stdout)


@pytest.fixture
def system(tmp_path: Path) -> Path:
    folder = tmp_path / "system"
    folder.mkdir()
    (folder / "leakwatch.toml").write_text("kept open")
    return folder


@needs_root
@pytest.mark.parametrize("way", ["leakwatch.toml", "../system/leakwatch.toml"])
def test_root_becomes_the_service_for_good(system: Path, way: str) -> None:
    became = tried(system / way, system)

    nobody = [int(part) for part in Path("/etc/passwd").read_text().split("nobody:x:")[1].split(":")[:2]]
    assert became["assumed"]
    assert became["ids"] == [nobody[0]] * 3 + [nobody[1]] * 3
    assert set(became["groups"]) == {nobody[1]}
    assert not became["back"]
    assert became["umask"] == 0o077
    assert became["kept"] == "kept open"  # what was opened as root can be read on
    assert became["home"] != os.environ["HOME"]


@needs_root
def test_another_configuration_is_no_system_installation(system: Path, tmp_path: Path) -> None:
    (tmp_path / "leakwatch.toml").touch()

    assert not tried(tmp_path / "leakwatch.toml", system)["assumed"]


@needs_root
def test_without_the_user_root_stays_root(system: Path) -> None:
    stayed = tried(system / "leakwatch.toml", system, user="nobody-of-that-name")

    assert not stayed["assumed"]
    assert stayed["ids"] == [0] * 6


def test_who_is_not_root_stays_who_they_are(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert not identity.assume(system / "leakwatch.toml", system=system, user="root")

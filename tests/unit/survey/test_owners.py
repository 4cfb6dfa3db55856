"""The process that asks the database: whatever becomes of it, a scan says so, and it outlives none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from leakwatch.errors import ScanFailed
from leakwatch.survey import owners
from leakwatch.survey.owners import Register

BOUND = """\
import ctypes
from pathlib import Path
from leakwatch import identity
from leakwatch.errors import ConfigError
from leakwatch.survey import asked

# As where root gives up its rights, at which the kernel forgets with whom a process ends.
identity.assume = lambda path: ctypes.CDLL(None).prctl(1, 0) == 0
try:
    asked.known(Path("nowhere"))
except ConfigError:
    signal = ctypes.c_int()
    ctypes.CDLL(None).prctl(2, ctypes.byref(signal))
    print(signal.value)
"""


def test_who_has_given_up_rights_still_ends_with_its_parent() -> None:
    said = subprocess.run([sys.executable, "-c", BOUND], check=True, stdout=subprocess.PIPE, text=True)
    assert said.stdout == "9\n"


def _die(*_: object) -> None:
    os._exit(1)


def test_a_process_that_dies_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "_known", _die)
    with pytest.raises(ScanFailed, match="asks the database has died"), Register.opened(tmp_path) as register:
        register.known()

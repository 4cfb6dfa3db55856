"""Who holds a lease: a process by host, number and start, so that one which is gone is known to be."""

import os
import socket
from pathlib import Path
from typing import Final

_START: Final = 19  # of what follows the command's name in /proc/<pid>/stat: ticks from boot to the process's start


def this() -> str:
    """Return the name of this process: no other, before or after, has it."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def is_gone(owner: str) -> bool:
    """Whether a process is known to have ended; of another host's, nothing is known."""
    host, number, start = owner.rsplit(":", 2) if owner.count(":") > 1 else ("", "", "")
    if host != socket.gethostname() or not number.isdigit():
        return False
    if not _exists(int(number)):
        return True
    seen = _started(int(number))
    return bool(seen and start) and seen != start  # where a start cannot be seen, the number has to do


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True  # somebody else's
    return True


def _started(process: int) -> str:
    """When a process started, by a clock that never goes back; "" where that cannot be seen."""
    try:
        facts = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return facts.rpartition(")")[2].split()[_START]

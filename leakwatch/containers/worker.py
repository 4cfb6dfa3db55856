"""The process in which containers are opened: `python -I -m leakwatch.containers.worker`.

It is told nothing but documents, and answers with their members, over its standard input and output. It has no secret,
no configuration, no database and no environment; its parent limits what it may take, and kills it. It ends when its
input does, so it survives its parent by the processor time of one document at most.
"""

import ctypes
import json
import os
import signal
import sys
from contextlib import suppress
from typing import BinaryIO, Final

from leakwatch.containers import frames
from leakwatch.containers.limits import Limits, Room
from leakwatch.containers.walk import members

MOST: Final = 1 << 31  # bytes of a document: its parent has read it, and knows what is too large
_FIRST_TO_GO: Final = "1000"
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38


def serve(asked: BinaryIO, answers: BinaryIO) -> None:
    """Open documents until there are no more."""

    def take(size: int) -> bytes:
        data = asked.read(size)
        if len(data) < size:
            raise EOFError
        return data

    while True:
        try:
            _, order = frames.read(take, frames.ASKED, MOST)
            _, data = frames.read(take, frames.BYTES, MOST)
        except EOFError:
            return
        told = json.loads(order)
        _open(data, told["name"], Limits(**told["limits"]), answers)


def _open(data: bytes, name: str, limits: Limits, answers: BinaryIO) -> None:
    """Answer with a document's members, and with what was cut."""
    room = Room(limits, len(data))
    # Whatever the code of a library is lost in, the kernel ends this process: the parent, who waits less, may be gone.
    signal.setitimer(signal.ITIMER_PROF, limits.seconds + 1)
    for path, content in members(data, name, room):
        written = path.encode("utf-8", "replace")
        answers.write(frames.head(frames.PATH, len(written)) + written)
        answers.write(frames.head(frames.BYTES, len(content)))
        answers.write(content)
    cut = json.dumps(room.cut).encode()
    answers.write(frames.head(frames.END, len(cut)) + cut)
    answers.flush()
    signal.setitimer(signal.ITIMER_PROF, 0)


def confine() -> None:
    """Forbid what nothing here needs: a dump of this memory, other processes' looks into it, ever more rights.

    Where the machine's memory ends, this process does before its parent.
    """
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123 - pathlib takes time to import
        score.write(_FIRST_TO_GO)
    kernel = ctypes.CDLL(None)
    kernel.prctl(_PR_SET_DUMPABLE, 0)
    kernel.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def main() -> None:
    """Serve, with the standard output for answers alone: what a library prints goes where errors go."""
    confine()
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with os.fdopen(answers, "wb") as output:
        serve(sys.stdin.buffer, output)


if __name__ == "__main__":
    main()

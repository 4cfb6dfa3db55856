"""Who opens containers: hands documents to worker processes, and gives back what is in them.

Everything that a worker says is taken with the same care as the document: it may be the document that speaks.
"""

import json
import os
import resource
import select
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from time import monotonic
from typing import Final, final

from leakwatch.containers import frames
from leakwatch.containers.limits import DEFAULT, Cut, Limits
from leakwatch.containers.walk import Member
from leakwatch.errors import ContainerError, OpenerCrashed, OpenerTimedOut

SERVED: Final = 100  # documents of one worker, so that nothing lasts that one of them has done to it
_COMMAND: Final = (sys.executable, "-I", "-m", "leakwatch.containers.worker")
_CHUNK: Final = 1 << 20  # bytes that are read or written at once
_FILES: Final = 64  # that a worker may have open
_LIFE: Final = 3600  # seconds of processor time of a worker
_WORDS: Final = frozenset(Cut)
_LONGEST_WORDS: Final = 10_000  # bytes in which a worker tells what was cut


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """All that is in a container, and how often something was left alone for which reason."""

    members: tuple[Member, ...]
    cut: Mapping[str, int]


@final
class Opener:
    """Opens containers, each call in a worker of its own; workers are started when needed and used again.

    Any thread may call. Close it, or the workers end with this process.
    """

    def __init__(self, limits: Limits = DEFAULT) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()
        self._is_closed = False

    def members(self, data: bytes, name: str, cut: Counter[str]) -> Generator[Member, None, None]:
        """Yield what is in a container of that name, as it comes, and count in `cut` what was left alone, and why.

        A worker that dies is replaced, once; one that takes too long is killed. What came before that is kept.
        """
        told = 0
        try:
            try:
                for member in self._opened(data, name, cut):
                    told += 1
                    yield member
            except OpenerCrashed:
                yield from islice(self._opened(data, name, cut, fresh=True), told, None)
        except ContainerError as error:
            cut[error.reason] += 1

    def open(self, data: bytes, name: str) -> Opened:
        """Return all that is in a container of that name. Blocks, as `members` does: not for the event loop."""
        cut: Counter[str] = Counter()
        return Opened(members=tuple(self.members(data, name, cut)), cut=cut)

    def close(self) -> None:
        """End all workers. What is being opened is given up."""
        with self._lock:
            self._is_closed = True
            idle, busy = [*self._idle], [*self._busy]
            self._idle.clear()
        for worker in idle:
            worker.end()
        for worker in busy:
            worker.kill()  # and whoever waits for it ends it

    def _opened(self, data: bytes, name: str, cut: Counter[str], *, fresh: bool = False) -> Iterator[Member]:
        """Yield what one worker says. Raises ContainerError."""
        worker = self._taken(fresh=fresh)
        try:
            yield from worker.members(data, name, self._limits, cut)
        finally:
            self._returned(worker)

    def _taken(self, *, fresh: bool) -> "_Worker":
        with self._lock:
            if self._is_closed:
                raise OpenerCrashed("containers are no longer opened", mend="leakwatch is stopping")
            worker = None if fresh or not self._idle else self._idle.pop()
            if worker is None or not worker.is_alive():
                worker = _Worker(self._limits.memory)
            self._busy.add(worker)
            return worker

    def _returned(self, worker: "_Worker") -> None:
        """Keep a worker that has said all it had to say; end any other."""
        with self._lock:
            self._busy.discard(worker)
            is_kept = worker.is_ready and not self._is_closed
            if is_kept:
                self._idle.append(worker)
        if not is_kept:
            worker.end()


@final
class _Worker:
    """One process, and the talk with it."""

    def __init__(self, memory: int) -> None:
        """Start it, and limit it before it has been told anything. Raises OpenerCrashed."""
        try:
            self._process = subprocess.Popen(  # noqa: S603 - ourselves
                _COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # a traceback could show what is in the document
                bufsize=0,
                cwd="/",
                env={},  # it needs none, and ours may hold secrets
                process_group=0,  # whoever stops us by Ctrl-C does not mean it
            )
        except OSError as error:
            raise OpenerCrashed(f"it cannot be started ({error.strerror})", mend="see what the machine lacks") from None
        assert self._process.stdin is not None  # noqa: S101 - they are pipes
        assert self._process.stdout is not None  # noqa: S101 - likewise
        self._input, self._output = self._process.stdin, self._process.stdout
        self._buffer = bytearray()
        self._left = 0.0  # seconds that we still wait
        self._served = 0
        self.is_ready = False  # it has said all it had to say, and may be asked again
        self._limit(memory)

    def is_alive(self) -> bool:
        """Whether it still runs; what is left of one that does not is cleared away."""
        if self._process.poll() is None:
            return True
        self.end()
        return False

    def members(self, data: bytes, name: str, limits: Limits, cut: Counter[str]) -> Iterator[Member]:
        """Have it open a container. Raises ContainerError."""
        self.is_ready, self._left = False, limits.seconds
        order = json.dumps({"name": name, "limits": asdict(limits)}).encode()
        try:
            self._send(frames.head(frames.ASKED, len(order)) + order + frames.head(frames.BYTES, len(data)))
            self._send(data)
            yield from self._answers(limits, cut)
        except (EOFError, ValueError, TypeError, OSError):  # it is gone, or says what it never would
            raise self._why() from None

    def kill(self) -> None:
        """Have it stop, at once."""
        self._process.kill()

    def end(self) -> int:
        """Stop it, clear up after it, and return how it ended."""
        self._process.kill()
        for pipe in (self._input, self._output):
            pipe.close()
        return self._process.wait()

    def _limit(self, memory: int) -> None:
        limits = {
            resource.RLIMIT_AS: memory,
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_CPU: _LIFE,
            resource.RLIMIT_FSIZE: 0,  # it writes no file
            resource.RLIMIT_NOFILE: _FILES,
            resource.RLIMIT_NPROC: 0,  # it starts no process (root could)
        }
        try:
            for limit, most in limits.items():
                resource.prlimit(self._process.pid, limit, (most, most))
        except OSError:
            raise self._why() from None
        for pipe in (self._input, self._output):
            os.set_blocking(pipe.fileno(), False)

    def _answers(self, limits: Limits, cut: Counter[str]) -> Iterator[Member]:
        room, longest = limits.bytes, max(_LONGEST_WORDS, 4 * limits.name)
        for _ in range(limits.members + 1):
            letter, said = frames.read(self._take, frames.PATH + frames.END, longest)
            if letter == frames.END:
                cut.update(_words(said))
                self._served += 1
                self.is_ready = self._served < SERVED and not self._buffer
                return
            _, content = frames.read(self._take, frames.BYTES, room)
            room -= len(content)
            yield Member(said.decode("utf-8", "replace"), content)
        raise ValueError

    def _send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            self._wait(self._input.fileno(), select.POLLOUT)
            view = view[os.write(self._input.fileno(), view[:_CHUNK]) :]

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._wait(self._output.fileno(), select.POLLIN)
            if not (piece := os.read(self._output.fileno(), _CHUNK)):
                raise EOFError
            self._buffer += piece
        with memoryview(self._buffer) as view:
            taken = bytes(view[:size])
        del self._buffer[:size]
        return taken

    def _wait(self, pipe: int, event: int) -> None:
        """Wait for it, no longer than we may in all; what whoever asked does meanwhile does not count."""
        poll, began = select.poll(), monotonic()
        poll.register(pipe, event)
        if not poll.poll(max(0.0, self._left) * 1000):
            raise OpenerTimedOut("a container took too long", mend="what it yielded before was scanned")
        self._left -= monotonic() - began

    def _why(self) -> ContainerError:
        """End it, and return why it could not do its work."""
        if self.end() == -signal.SIGPROF:
            return OpenerTimedOut("a container took too long", mend="what it yielded before was scanned")
        return OpenerCrashed("the process that opens containers died", mend="what it yielded before was scanned")


def _words(said: bytes) -> dict[str, int]:
    """What a worker says was cut: of words that we know, so that no other becomes a metric's label."""
    counts = json.loads(said)
    if not isinstance(counts, dict):
        raise TypeError
    return {word: int(count) for word, count in counts.items() if word in _WORDS}

"""Processes that work for a survey: none of them outlives it, and Ctrl-C ends all of them at once.

A terminal sends Ctrl-C to all processes that it started. Those here never hear it: whoever started them does, and
kills them.
"""

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from typing import Final, ParamSpec, TypeVar, final

_PR_SET_PDEATHSIG: Final = 1

P = ParamSpec("P")
R = TypeVar("R")


@final
class Processes:
    """So many processes, each started when there is work for it."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    @classmethod
    @contextmanager
    def started(cls, count: int, begin: Callable[[], object] | None = None) -> Iterator["Processes"]:
        """Have processes, each of which begins with a call. When this ends by an exception, so do they."""
        # Not forked: hyperscan's memory and the threads of progress bars do not survive that.
        spawn, told = get_context("spawn"), (os.getpid(), begin)
        with ProcessPoolExecutor(count, spawn, initializer=_begin, initargs=told) as pool:
            try:
                yield cls(pool)
            except BaseException:
                with _deaf():
                    for process in active_children():
                        process.kill()
                    pool.shutdown(cancel_futures=True)
                raise

    def submit(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Have something done. A process that is started for it ends with the thread that asks."""
        with _deaf():
            return self._pool.submit(work, *args, **kwargs)


@contextmanager
def _deaf() -> Iterator[None]:
    """Hear Ctrl-C only afterwards; a process that is started meanwhile never does."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """Have the kernel end this process with the one that started it; it forgets that when rights are given up."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _begin(parent: int, begin: Callable[[], object] | None) -> None:
    """Begin to work, for as long as there is somebody to work for."""
    end_with_parent()
    if os.getppid() != parent:  # it was killed before that
        os._exit(1)
    if begin:
        begin()

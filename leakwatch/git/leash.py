"""git on a leash: nobody's configuration but ours, no hooks, no prompts, named protocols, an end for the whole group.

A repository is its owner's: its objects, its refs' names and what its server says are all a stranger's. What git is
told comes from one file that we write and from the environment that we make, never from the machine's, the user's or
the repository's own settings. Blocks: not for the event loop.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from fcntl import F_SETPIPE_SZ, fcntl
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import IO, Any, Final, Self

from leakwatch.errors import (
    BadContent,
    BadRedirect,
    Blocked,
    FetchError,
    ForbiddenAddress,
    Gone,
    RateLimited,
    ServerFault,
    TimedOut,
    TooLarge,
    Unreachable,
)

NO_PROTOCOL: Final = "none"  # nothing is fetched: what is missing stays missing
_MEMORY: Final = 3 * 2**20  # KiB of address space for one git: what it unpacks in memory is bounded by it
_BLOCK: Final = 512  # bytes, the unit of `ulimit -f`
_BEAT: Final = 0.2  # seconds between two looks at what a fetch has brought
_PIPE: Final = 1 << 20  # bytes that a git may be ahead of who reads it
_TOLD: Final = 20_000  # bytes of what git complains about
# The shell sets the limits before git begins, so that everything git starts has them.
_LIMITED: Final = ("/bin/sh", "-c", 'ulimit -f "$1" && ulimit -v "$2" && shift 2 && exec "$@"', "leakwatch-git")
_SETTINGS: Final = """\
# Written by leakwatch for the git that it runs: changes are lost.
[core]
	hooksPath = /dev/null
	fsmonitor = false
	bigFileThreshold = 16m
	packedGitWindowSize = 16m
	packedGitLimit = 256m
	deltaBaseCacheLimit = 64m
	logAllRefUpdates = false
[credential]
	helper =
[fetch]
	unpackLimit = 1
	fsckObjects = true
	recurseSubmodules = false
	writeCommitGraph = false
[fetch "fsck"]
	zeroPaddedFilemode = warn
	missingSpaceBeforeDate = warn
	missingSpaceBeforeEmail = warn
	missingEmail = warn
	missingNameBeforeEmail = warn
	badDate = warn
	badDateOverflow = warn
	badTimezone = warn
	badEmail = warn
	gitmodulesParse = warn
	gitmodulesUrl = warn
	gitmodulesPath = warn
[gc]
	auto = 0
[maintenance]
	auto = false
[pack]
	threads = 1
	windowMemory = 128m
[protocol]
	version = 2
[safe]
	directory = *
[http]
	followRedirects = false
	lowSpeedLimit = 200
	lowSpeedTime = 60
	saveCookies = false
"""
_COMPLAINTS: Final[Sequence[tuple[tuple[str, ...], type[FetchError], str, str]]] = (
    (
        ("error: 404", "not found", "does not appear to be a git repository", "no such file or directory"),
        Gone,
        "has no such repository",
        "it was removed or made private; else check the address",
    ),
    (
        ("error: 401", "error: 403", "could not read username", "authentication failed", "terminal prompts disabled"),
        Blocked,
        "keeps the repository from us",
        "it is private or gone; leakwatch reads what is public",
    ),
    (("error: 429",), RateLimited, "asks us to wait", "it is tried again; ask less of it with `rate` or `every`"),
    (("error: 5",), ServerFault, "cannot answer now", "it is tried again"),
    (
        ("error: 30", "redirect"),
        BadRedirect,
        "sends us to another address",
        "if the repository has moved, write where it is now",
    ),
    (
        ("not allowed", "unsupported protocol"),
        ForbiddenAddress,
        "wants another protocol",
        "git is spoken over https and http",
    ),
    (
        (
            *("fsck error", "error in object", "bad object", "invalid index-pack output", "unpack-objects failed"),
            *("bad pack", "corrupt", "inflate", "pack has", "out of memory", "cannot allocate", "malloc"),
        ),
        BadContent,
        "serves a repository that is not sound",
        "nothing of it is read; its owner has to mend it",
    ),
    (
        (
            *("could not resolve", "failed to connect", "couldn't connect", "connection", "ssl", "timed out"),
            *("hung up", "too slow", "early eof", "transfer closed", "empty reply"),
        ),
        Unreachable,
        "cannot be reached",
        "it is tried again",
    ),
)


class Leash:
    """Everything that one task has git do. It ends after so many seconds, and whatever still runs is killed then.

    Use it as a context manager. `kill` may be called from another thread.
    """

    def __init__(self, home: Path, *, agent: str, seconds: float, most_bytes: int, where: str) -> None:
        self._home = home
        self._agent = agent
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._where = where  # "source: host", for messages
        self._until = monotonic() + seconds
        self._processes: list[tuple[subprocess.Popen[bytes], IO[bytes]]] = []
        self._timer = threading.Timer(seconds, self.kill)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._is_over = False

    def __enter__(self) -> Self:
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        settings = self._home / "gitconfig"
        if not settings.exists() or settings.read_text() != _SETTINGS:
            written = settings.with_name(f"gitconfig.{os.getpid()}.{threading.get_ident()}")
            written.write_text(_SETTINGS)
            written.replace(settings)
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self.kill()
        for process, complaints in self._processes:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()
            complaints.close()

    def kill(self) -> None:
        """End whatever runs, with all that it started, and let nothing more begin."""
        with self._lock:
            self._is_over = True
            for process, _ in self._processes:
                _kill(process)

    def go_on(self) -> None:
        """Let work go on that no git does. Raises TimedOut when the time is over."""
        if self._is_over:
            raise self._late()

    def start(
        self,
        *arguments: str,
        repository: Path | None = None,
        protocols: str = NO_PROTOCOL,
        config: Mapping[str, str] | None = None,
        stdin: IO[bytes] | int = subprocess.DEVNULL,
        stdout: IO[bytes] | int = subprocess.PIPE,
    ) -> subprocess.Popen[bytes]:
        """Start one git, within its limits. Raises TimedOut when the time is over."""
        git = shutil.which("git")
        if git is None:
            message = "git is not installed"
            raise Unreachable(message, mend="install git 2.39 or later, or leave sources of git out")
        limits = (str(self._most_bytes // _BLOCK + 1), str(_MEMORY))
        command = (*_LIMITED, *limits, git, *(("--git-dir", str(repository)) if repository else ()), *arguments)
        complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the leash
        with self._lock:
            if self._is_over:
                complaints.close()
                raise self._late()
            process: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603 - git, with arguments of our own
                command,
                stdin=stdin,
                stdout=stdout,
                stderr=complaints,
                env=self._environment(protocols, config or {}),
                cwd=self._home,
                start_new_session=True,
                bufsize=_PIPE,
            )
            if process.stdout is not None:
                with suppress(OSError):  # others may have taken what the user may have
                    fcntl(process.stdout, F_SETPIPE_SZ, _PIPE)
            self._processes.append((process, complaints))
        return process

    def finish(self, process: subprocess.Popen[bytes], grown: Callable[[], int] | None = None) -> None:
        """Wait for a command that says nothing. Raises FetchError if it fails, or brings more than it may."""
        while True:
            try:
                process.wait(_BEAT if grown else None)
            except subprocess.TimeoutExpired:
                if grown and grown() > self._most_bytes:
                    _kill(process)
                    raise self._large() from None
            else:
                break
        # A part of git that met the limit dies without a word: what it left tells.
        if process.returncode and grown and grown() >= self._most_bytes:
            raise self._large()
        self.check(process)

    def read(self, *arguments: str, most: int, **how: Any) -> bytes:
        """Run a command and return what it says. Raises TooLarge beyond `most` bytes, FetchError if it fails."""
        process = self.start(*arguments, **how)
        assert process.stdout is not None  # noqa: S101 - a pipe, by default
        said = process.stdout.read(most + 1)
        if len(said) > most:
            _kill(process)
            raise self._large()
        self.check(process)
        return said

    def check(self, process: subprocess.Popen[bytes]) -> None:
        """Raise FetchError unless a command has ended well."""
        status = process.wait()
        if status == 0:
            return
        if self._is_over or monotonic() >= self._until:
            raise self._late()
        raise self._failed(self.complaints(process))

    def complaints(self, process: subprocess.Popen[bytes]) -> str:
        """Return the end of what a command has said on its second stream: a stranger's words in part, never shown."""
        file = next(file for one, file in self._processes if one is process)
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - _TOLD))
        return file.read(_TOLD).decode("utf-8", "replace").lower()

    def _failed(self, said: str) -> FetchError:
        for words, kind, what, mend in _COMPLAINTS:
            if any(word in said for word in words):
                return kind(f"{self._where} {what}", mend=mend, retry_after=60.0 if kind is RateLimited else None)
        message = f"{self._where}: git failed, for a reason that is not known here"
        return ServerFault(message, mend="it is tried again; try `git ls-remote` by hand")

    def _late(self) -> TimedOut:
        message = f"{self._where}: git did not finish within {self._seconds:g} s"
        return TimedOut(message, mend="it is tried again; if the repository is that large, raise git.timeout")

    def _large(self) -> TooLarge:
        message = f"{self._where} has more than {self._most_bytes:,} bytes for us"
        return TooLarge(message, mend="raise git.max_bytes if the repository is meant")

    def _environment(self, protocols: str, config: Mapping[str, str]) -> dict[str, str]:
        said = {"http.userAgent": self._agent, **config}
        numbered = {f"GIT_CONFIG_KEY_{n}": key for n, key in enumerate(said)}
        numbered |= {f"GIT_CONFIG_VALUE_{n}": value for n, value in enumerate(said.values())}
        home = str(self._home)
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": home,  # no .netrc, no .gitconfig, no keys for ssh
            "XDG_CONFIG_HOME": home,
            "LC_ALL": "C",
            "GIT_ALLOW_PROTOCOL": protocols,
            "GIT_ASKPASS": "/bin/false",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_CONFIG_COUNT": str(len(said)),
            "GIT_CONFIG_GLOBAL": str(self._home / "gitconfig"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_FLUSH": "0",
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_PROTOCOL_FROM_USER": "0",
            "GIT_SSH_COMMAND": "/bin/false",
            "GIT_TERMINAL_PROMPT": "0",
            "SSH_ASKPASS": "/bin/false",
            **numbered,
        }


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a command and all that it has started: they are one group, and nobody else is in it."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)

"""What is registered, asked of the configured database by a process of its own.

Root becomes the service's user for the database, and must stay root for the files that it wants to be scanned.
"""

from collections.abc import Callable, Collection, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import final

from leakwatch.errors import ScanFailed
from leakwatch.survey.inspector import Known
from leakwatch.survey.processes import P, Processes, R

Owners = dict[bytes, list[tuple[str, str]]]
"""By digest as it is stored: customers, and what they call the key."""


@final
class Register:
    """The configured register of keys."""

    def __init__(self, aside: Processes, path: Path) -> None:
        self._aside = aside
        self._path = path

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator["Register"]:
        """Ask by a configuration's file. Raises ConfigError and StoreError, like every question."""
        with Processes.started(1) as aside:
            yield cls(aside, path)

    def known(self) -> Known:
        """Return what is registered."""
        return self._answer(_known, self._path)

    def owners(self, digests: Collection[bytes]) -> Owners:
        """Return whose these digests are; those that nobody's are left out."""
        return self._answer(_owners, self._path, [*digests])

    def _answer(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return self._aside.submit(work, *args, **kwargs).result()
        except BrokenProcessPool as error:
            message = "the process that asks the database has died"
            raise ScanFailed(message, mend="scan once more, or with --offline") from error


def _known(path: Path) -> Known:
    from leakwatch.survey import asked  # noqa: PLC0415 - the store: only the process that asks has need of it

    return asked.known(path)


def _owners(path: Path, digests: Collection[bytes]) -> Owners:
    from leakwatch.survey import asked  # noqa: PLC0415 - likewise

    return asked.owners(path, digests)

"""What repositories point at and do not hold: files of LFS, submodules. Counted and told, where an operator looks."""

from collections.abc import Sequence
from typing import Final

import structlog

from leakwatch.git import pointers
from leakwatch.model import Document, Via
from leakwatch.store import sources
from leakwatch.store.database import Transaction

log: Final = structlog.get_logger(__name__)


async def tell(tx: Transaction, source: str, documents: Sequence[Document]) -> None:
    """Count what the objects among some documents point at. Nobody follows it."""
    found = pointers(document for document in documents if document.reference.via is Via.OBJECT)
    if found.files or found.submodules:
        await sources.pointed(tx, source, lfs=found.files, submodules=found.submodules)
        log.info("not followed", source=source, lfs=found.files, submodules=found.submodules, to=list(found.shown))

"""The frontier of a source: what is known to exist and not scanned yet. What goes first, and what there is no room for.

It lies in the fetch jobs: a listing, a poll and whatever opens into more adds to it, each fetch takes from it. Where
a definition bounds it, what is less likely to hold a key may fill less of it, so that there is always room for what
is likely; the rest is counted as missed and not remembered, so that it can be found in another way.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from leakwatch import metrics
from leakwatch.announce import Announcer, Once
from leakwatch.engine import Engine
from leakwatch.fetch.opening import Opened
from leakwatch.fetch.source import Source
from leakwatch.model import Reference, Via, now
from leakwatch.pipeline import Pipeline
from leakwatch.store import documents, sources
from leakwatch.store.database import Database, Transaction

LIKELY, USUAL, OPENING, UNLIKELY = 8, 10, 11, 14  # as priorities of jobs: lower goes first
_SHARES: Final = {LIKELY: 1.0, USUAL: 0.8, OPENING: 0.8, UNLIKELY: 0.5}  # of the frontier that each may fill
_LIKELY: Final = re.compile(
    r"(^|/)\.?env(\.|$)|\.env(\.|$)|\.(ipynb|envrc|toml|ya?ml|ini|cfg|conf|properties|tfvars|tfstate|npmrc|pypirc)$"
    r"|(^|/)(docker-compose|config|settings|secrets?|credentials?|constants?|\.?bash_history|\.?zsh_history)\b"
    r"|\b(openai|anthropic|claude|gpt|llm|langchain|huggingface|gemini|chatbot|agents?)\b",
    re.IGNORECASE,
)
_UNLIKELY: Final = re.compile(
    r"(^|/)(node_modules|vendor|third_party|site-packages|dist|\.yarn|Pods)/"
    r"|\.(min\.js|min\.css|map|svg|png|jpe?g|gif|webp|ico|woff2?|ttf|otf|eot|mp[34]|mov|avi|po|mo|lock|sum|parquet"
    r"|safetensors|bin|onnx|pt|h5)$|(^|/)(package-lock\.json|yarn\.lock|go\.sum|Cargo\.lock|poetry\.lock)$",
    re.IGNORECASE,
)
_LONGEST: Final = 500  # characters of a name that are looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """References, those that go first before the others, and how many there was no room for."""

    taken: tuple[Reference, ...]
    missed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """How many documents are known to exist and will not be looked at, by the cause."""

    full: int = 0  # the frontier had no room
    many: int = 0  # one page named them, beyond what its definition takes of one
    large: int = 0  # files in repositories, larger than the source takes
    withheld: int = 0  # the site shows no more


def priority(reference: Reference) -> int:
    """Return how soon a document is looked at, by what it is called."""
    name = (reference.path or reference.title or reference.id)[-_LONGEST:]
    if _UNLIKELY.search(name):
        return UNLIKELY
    if _LIKELY.search(name):
        return LIKELY
    return OPENING if reference.via is Via.GIT else USUAL


def foremost(source: Source, opened: Sequence[Opened]) -> tuple[list[Reference], Missed]:
    """Take of what each page names as many as the definition says: no single one shall spend what there is."""
    most = source.definition.open.most if source.definition.open else None
    taken = [reference for one in opened for reference in sorted(one.references, key=priority)[:most]]
    return taken, Missed(
        many=sum(len(one.references) for one in opened) - len(taken),
        large=sum(one.oversized for one in opened),
        withheld=sum(one.withheld for one in opened),
    )


def admit(references: Sequence[Reference], *, waiting: int, most: int | None) -> Admitted:
    """Take what a frontier has room for, of which so many documents wait already."""
    ordered = sorted(references, key=priority)
    if most is None:
        return Admitted(taken=tuple(ordered), missed=0)
    taken: list[Reference] = []
    for reference in ordered:
        if waiting + len(taken) < most * _SHARES[priority(reference)]:
            taken.append(reference)
    return Admitted(taken=tuple(taken), missed=len(ordered) - len(taken))


@final
class Frontier:
    """The frontiers of all sources, as they lie in the jobs of one queue."""

    def __init__(
        self, *, queue: str, database: Database, engine: Engine, pipeline: Pipeline, announcer: Announcer
    ) -> None:
        self._queue = queue
        self._database = database
        self._engine = engine
        self._pipeline = pipeline
        self._announcer = announcer

    async def admitted(
        self, source: Source, references: Sequence[Reference], *, leaving: int = 0, unbounded: int | None = None
    ) -> Admitted:
        """Take of new references what the source's frontier has room for, which so many are about to leave.

        `unbounded`: the room where its definition sets none; None: any.
        """
        most = source.definition.frontier or unbounded
        if most is None or not references:
            return admit(references, waiting=0, most=None)
        async with self._database.reading() as tx:
            waiting = (await self._engine.waiting(tx, self._queue)).get(source.name, 0) - leaving
            known = await documents.known(tx, {self._pipeline.identity(source, r) for r in references})
        new = [r for r in references if self._pipeline.identity(source, r) not in known]
        return admit(new, waiting=waiting, most=most)

    async def missed(self, tx: Transaction, source: Source, missed: Missed) -> None:
        """Count what will not be looked at, and tell of it: once a day for each source and cause."""
        larger = f"files in repositories larger than {source.max_bytes:,} bytes: raise max_bytes for those to come"
        for cause, count, why in (
            ("full", missed.full, "there was no room for them: more tokens, or a higher rate, make some"),
            ("many", missed.many, "one page named more than `open.most` of its definition"),
            ("large", missed.large, larger),
            ("withheld", missed.withheld, "the site says that they are there, and shows no more of them"),
        ):
            if count:
                metrics.missed(source.name, count)
                await sources.missed(tx, source.name, count, now())
                detail = f"Source {source.name}: {count} documents are known to exist and were not looked at; {why}. "
                detail += "`leakwatch sources list --wide` counts them."
                await self._announcer.alarm(tx, "missed", detail, once=Once(f"{source.name} missed {cause}"))

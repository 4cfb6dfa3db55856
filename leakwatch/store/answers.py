"""What customers have said to notices."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, insert, or_, select, update

from leakwatch.model import Answer
from leakwatch.store.database import Transaction, batches
from leakwatch.store.tables import answer, answer_finding, finding, notice, notice_finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One answer."""

    id: int
    notice_id: int  # whose link was followed
    word: Answer
    remark: str
    at: datetime
    findings: tuple[int, ...]


async def give(  # noqa: PLR0913 - an answer's own facts
    tx: Transaction, *, notice_id: int, word: Answer, remark: str, finding_ids: Collection[int], now: datetime
) -> int:
    """Write down an answer: for each finding it takes the place of the one before. Returns its id."""
    values = {"notice_id": notice_id, "word": word.value, "remark": remark, "at": now}
    number: int = (await tx.execute(insert(answer).values(**values).returning(answer.c.id))).scalar_one()
    about = sorted(set(finding_ids))
    if about:
        await tx.execute(insert(answer_finding), [{"answer_id": number, "finding_id": f} for f in about])
    for batch in batches(about):
        said = {"answer": word.value, "answered_at": now}
        await tx.execute(update(finding).where(finding.c.id.in_(batch)).values(said))
    return number


async def alone(tx: Transaction, notice_id: int) -> None:
    """Wait for whoever answers for the same findings just now, and have others wait for us."""
    told = select(notice_finding.c.finding_id).where(notice_finding.c.notice_id == notice_id)
    await tx.execute(select(notice.c.id).where(notice.c.id == notice_id).with_for_update())
    await tx.execute(select(finding.c.id).where(finding.c.id.in_(told)).order_by(finding.c.id).with_for_update())


async def last(tx: Transaction, notice_id: int) -> int:
    """Return the id of the last answer to a notice, or to another about one of its findings; 0: there is none."""
    told = select(notice_finding.c.finding_id).where(notice_finding.c.notice_id == notice_id)
    about = select(answer_finding.c.answer_id).where(answer_finding.c.finding_id.in_(told))
    query = select(func.max(answer.c.id)).where(or_(answer.c.notice_id == notice_id, answer.c.id.in_(about)))
    return (await tx.execute(query)).scalar() or 0


async def count(tx: Transaction, notice_id: int) -> int:
    """Return how often a notice's link was used to answer."""
    query = select(func.count()).select_from(answer).where(answer.c.notice_id == notice_id)
    number: int = (await tx.execute(query)).scalar_one()
    return number


async def of_notice(tx: Transaction, notice_id: int) -> list[Given]:
    """Return the answers to a notice, oldest first."""
    return await _read(tx, select(answer.c.id).where(answer.c.notice_id == notice_id))


async def of_finding(tx: Transaction, finding_id: int) -> list[Given]:
    """Return the answers about a finding, oldest first."""
    return await _read(tx, select(answer_finding.c.answer_id).where(answer_finding.c.finding_id == finding_id))


async def _read(tx: Transaction, numbers: Select[Any]) -> list[Given]:
    rows = (await tx.execute(select(answer).where(answer.c.id.in_(numbers)).order_by(answer.c.id))).mappings().all()
    about: dict[int, list[int]] = defaultdict(list)
    links = select(answer_finding).where(answer_finding.c.answer_id.in_(numbers)).order_by(answer_finding.c.finding_id)
    for row in (await tx.execute(links)).mappings():
        about[row["answer_id"]].append(row["finding_id"])
    return [
        Given(
            id=row["id"],
            notice_id=row["notice_id"],
            word=Answer(row["word"]),
            remark=row["remark"],
            at=row["at"],
            findings=tuple(about[row["id"]]),
        )
        for row in rows
    ]

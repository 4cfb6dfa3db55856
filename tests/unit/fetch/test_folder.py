"""A folder as a source: what is listed, when, and what is never followed."""

import asyncio
import os
from pathlib import Path

import pytest

from leakwatch.errors import Blocked, Gone
from leakwatch.fetch import Session, Source, fetch, folder, poll
from leakwatch.fetch.trace import Trace
from leakwatch.model import Document, Reference
from tests.unit.fetch.sites import http_config, source

TOML = 'name = "site"\ntitle = "A folder"\nkind = "folder"\n'


def watched(path: Path, **settings: object) -> Source:
    return source(path.as_uri(), TOML, **settings)


async def documents(path: Path, *references: Reference, **settings: object) -> list[Document]:
    async with Session(http_config()) as session:
        fetched = await fetch(session, watched(path, **settings), references)
    assert fetched.failures == ()
    return list(fetched.documents)


async def test_each_file_is_a_document_and_another_when_it_changes(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.env").write_text("one")
    (tmp_path / "sub" / "é 100%.txt").write_text("two")
    first = await folder.poll(watched(tmp_path), None, Trace())
    assert sorted(r.path for r in first.batch.references) == ["a.env", "sub/é 100%.txt"]
    assert sorted(d.text for d in await documents(tmp_path, *first.batch.references)) == ["one", "two"]
    (tmp_path / "a.env").write_text("three, longer")
    second = await folder.poll(watched(tmp_path), first.batch.checkpoint, Trace())
    changed = {(r.id, r.version) for r in second.batch.references} - {(r.id, r.version) for r in first.batch.references}
    assert [name for name, _ in changed] == ["a.env"]


async def test_what_was_listed_long_ago_is_not_listed_again(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("x")
    long_after = {"since": (tmp_path / "old").stat().st_ctime_ns + 10**10}
    assert (await folder.poll(watched(tmp_path), long_after, Trace())).batch.references == ()


async def test_links_are_not_followed_neither_in_the_listing_nor_put_there_later(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (outside / "secret").write_text("not for us")
    (inside / "link").symlink_to(outside / "secret")
    (inside / "dir").symlink_to(outside)
    assert (await folder.poll(watched(inside), None, Trace())).batch.references == ()
    for path in (inside / "link", inside / "dir" / "secret", outside / "secret", inside / ".." / "out" / "secret"):
        with pytest.raises(Blocked):
            await folder.fetch(watched(inside), Reference(url=f"file://{path}", id="x"))


async def test_a_file_that_is_gone_or_no_file_is_told_and_a_pipe_blocks_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("gone", "pipe", "gone/deeper"):
        with pytest.raises(Gone):
            await asyncio.wait_for(
                folder.fetch(watched(tmp_path), Reference(url=f"file://{tmp_path}/{name}", id="x")), 5
            )


async def test_a_long_file_is_cut_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "long").write_text("x" * 100)
    listed = (await folder.poll(watched(tmp_path), None, Trace())).batch.references
    [document] = await documents(tmp_path, *listed, max_bytes=10)
    assert (document.text, document.truncated) == ("x" * 10, True)


async def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    async with Session(http_config()) as session:
        with pytest.raises(Gone, match="there is no such folder"):
            await poll(session, watched(tmp_path / "none"))


async def test_the_kernel_says_when_something_changes(tmp_path: Path) -> None:
    stop, seen = asyncio.Event(), asyncio.Event()

    async def listen() -> None:
        async for _ in folder.changes(watched(tmp_path), stop):
            seen.set()

    task = asyncio.create_task(listen())
    for _ in range(100):  # until the watch is set up
        (tmp_path / "new").write_text(str(_))
        await asyncio.sleep(0.05)
        if seen.is_set():
            break
    stop.set()
    await asyncio.wait_for(task, 10)
    assert seen.is_set()

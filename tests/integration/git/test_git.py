"""Repositories over HTTP, from git's own back-end: what is found in them, once each, and named by its commit."""

import base64
import io
import zipfile
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from leakwatch.config import GitConfig
from leakwatch.errors import BadContent, BadRedirect, EmptyListing, FetchError, ForbiddenAddress, Gone
from leakwatch.fetch import Session, Source, fetch, poll
from leakwatch.fetch.polling import Fetched
from leakwatch.git import history, objects
from leakwatch.git.leash import Leash
from leakwatch.model import Document, Reference, Via
from leakwatch.scan import shipped, synthesize
from leakwatch.survey import Inspected, Inspector, Likelihood
from tests.integration.git.host import AUTHOR, Host, Repository
from tests.unit.fetch.sites import http_config, source

TOML = """
name = "site"
title = "A repository"
kind = "git"
[document]
file = "{repository}/blob/{commit}/{path}"
commit = "{repository}/commit/{commit}"
"""


def watched(repository: Repository, **settings: object) -> Source:
    return source(repository.url, TOML, **settings)


async def opened(session: Session, source: Source, *, settle: bool = True, via: Via = Via.GIT) -> list[Reference]:
    """Open a source's repository until nothing more is there; return the objects that it named."""
    found: list[Reference] = []
    asked = [Reference(url=source.base_url, id=source.base_url, via=via)]
    while asked:
        fetched = await fetch(session, source, asked)
        assert fetched.failures == ()
        for one in fetched.opened:
            found += one.references
            if settle:
                one.settle()
        asked = list(fetched.left)
    return found


async def texts(session: Session, source: Source, references: list[Reference]) -> dict[str, str]:
    """The text of each object, by its path; of what has none by its kind."""
    fetched = await fetch(session, source, references)
    assert fetched.failures == ()
    return {d.reference.path or f"{d.reference.version} {d.reference.id}": d.text for d in fetched.documents}


async def failure(session: Session, source: Source) -> FetchError:
    with pytest.raises(FetchError) as caught:
        await poll(session, source)
    return caught.value


async def test_every_ref_is_read_heads_tags_pull_requests_merge_requests_and_notes(
    host: Host, session: Session
) -> None:
    tools = host.create("tools")
    first = tools.commit({"a.env": "in main"}, "first")
    tools.git("tag", "--annotate", "v1", "--message=in a tag")
    tools.git("notes", "add", "--message=in a note")
    for ref in ("refs/pull/7/head", "refs/merge-requests/9/head", "refs/odd/place"):
        tools.commit({f"{ref}.txt": f"in {ref}"}, f"message of {ref}")
        tools.git("update-ref", ref, "HEAD")
        tools.git("reset", "--quiet", "--hard", first)
    tools.push()
    found = await texts(session, watched(tools), await opened(session, watched(tools)))
    all_of_it = "\n".join(found.values())
    for text in ("main", "a tag", "a note", "refs/pull/7/head", "refs/merge-requests/9/head", "refs/odd/place"):
        assert f"in {text}" in all_of_it
    assert "message of refs/pull/7/head" in all_of_it
    assert found["a.env"] == "in main"


async def test_only_what_is_new_is_named_and_only_that_is_fetched(host: Host, session: Session) -> None:
    tools = host.create("tools")
    tools.commit({f"{n}.txt": f"text {n}" * 1000 for n in range(20)})
    tools.push()
    at = watched(tools)
    first = await poll(session, at)
    assert {request.headers["User-Agent"] for request in host.requests} == {http_config().user_agent}
    assert len(await opened(session, at)) == 21
    asked = len(host.requests)
    again = await poll(session, at, first.batch.checkpoint)
    assert again.batch.references == ()
    assert await opened(session, at) == []
    assert all("upload-pack" not in r.path or int(r.headers["Content-Length"]) < 500 for r in host.requests[asked:])
    tools.commit({"3.txt": "changed"})
    tools.push()
    moved = await poll(session, at, first.batch.checkpoint)
    assert [r.via for r in moved.batch.references] == [Via.GIT]
    assert moved.batch.references[0].version != first.batch.references[0].version
    new = await opened(session, at)
    assert sorted(r.path for r in new) == ["", "3.txt"]
    assert (await texts(session, at, new))["3.txt"] == "changed"


async def test_what_was_rewritten_away_was_read_before_and_what_comes_instead_is_read(
    host: Host, session: Session
) -> None:
    tools = host.create("tools")
    tools.commit({"a.env": "first try"})
    tools.push()
    at = watched(tools)
    assert "first try" in (await texts(session, at, await opened(session, at)))["a.env"]
    tools.commit({"a.env": "second try"}, amend=True)
    tools.push()
    new = await opened(session, at)
    assert (await texts(session, at, new))["a.env"] == "second try"


async def test_a_commit_that_no_ref_names_any_more_is_read_where_the_host_serves_it(
    host: Host, session: Session
) -> None:
    tools = host.create("tools")
    tools.commit({"a.txt": "kept"})
    lost = tools.commit({"a.env": "pushed by mistake"})
    tools.push()
    tools.git("reset", "--quiet", "--hard", "HEAD~")
    tools.push()
    at = watched(tools)
    named = Reference(url=tools.url, id=tools.url, via=Via.GIT, commit=f"{lost} {'0' * 40} --upload-pack=x")
    fetched = await fetch(session, at, [named])
    found = await texts(session, at, list(fetched.opened[0].references))
    assert found["a.env"] == "pushed by mistake"


async def test_what_is_found_is_named_by_the_commit_that_brought_it(host: Host, session: Session) -> None:
    tools = host.create("tools")
    tools.commit({"config/a b#.env": "one"}, "first")
    brought = tools.commit({"config/a b#.env": "two"}, "Add settings")
    tools.commit({"config/a b#.env": "three"}, "Take it away")
    tools.push()
    at = watched(tools)
    references = await opened(session, at)
    fetched = await fetch(session, at, references)
    [two] = [d.reference for d in fetched.documents if d.text == "two"]
    located = await session.locate(at, two)
    assert located.page == f"{tools.url.removesuffix('.git')}/blob/{brought}/config/a%20b%23.env"
    assert (located.title, located.author, located.commit) == (f"{brought[:12]} Add settings", AUTHOR, brought)
    assert located.published_at is not None
    assert (located.id, located.version) == (two.id, two.version)
    [message] = [d.reference for d in fetched.documents if "Add settings" in d.text]
    assert (await session.locate(at, message)).page == f"{tools.url.removesuffix('.git')}/commit/{brought}"


async def test_what_came_in_a_merge_alone_is_found_and_named(host: Host, session: Session) -> None:
    tools = host.create("tools")
    base = tools.commit({"a.txt": "base"})
    tools.git("checkout", "--quiet", "-b", "side", base)
    tools.commit({"b.txt": "side"})
    tools.git("checkout", "--quiet", "main")
    tools.commit({"c.txt": "main"})
    tools.git("merge", "--quiet", "--no-commit", "--no-ff", "side")
    merge = tools.commit({"a.txt": "slipped in while merging"}, "merge")
    tools.push()
    at = watched(tools)
    fetched = await fetch(session, at, await opened(session, at))
    [slipped] = [d.reference for d in fetched.documents if d.text == "slipped in while merging"]
    assert (await session.locate(at, slipped)).commit == merge


async def test_a_large_file_is_left_at_the_host_and_counted(host: Host, session: Session) -> None:
    tools = host.create("tools")
    tools.commit({"small.env": "small", "large.bin": b"\0" * 50_000 + bytes(range(256)) * 4000})
    tools.push()
    at = watched(tools, max_bytes=10_000)
    fetched = await fetch(session, at, [Reference(url=tools.url, id="x", via=Via.GIT)])
    [one] = fetched.opened
    assert one.oversized == 1
    assert "large.bin" not in {r.path for r in one.references}
    assert (await texts(session, at, list(one.references)))["small.env"] == "small"


async def test_a_large_file_that_a_host_sends_all_the_same_is_cut(host: Host, session: Session) -> None:
    tools = host.create("tools")
    tools.commit({"large.txt": "x" * 50_000})
    tools.push()
    (tools.bare / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = true\n")  # knows no filters
    at = watched(tools, max_bytes=10_000)
    fetched = await fetch(session, at, await opened(session, at))
    [large] = [d for d in fetched.documents if d.reference.path == "large.txt"]
    assert (len(large.text), large.truncated) == (10_000, True)


async def test_more_than_one_job_lists_is_listed_in_several_and_nothing_twice(
    host: Host, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leakwatch.fetch.git.SLICE", 7)
    tools = host.create("tools")
    tools.commit({f"{n}.txt": f"text {n}" for n in range(30)})
    tools.push()
    found = await opened(session, watched(tools))
    assert len(found) == len({r.id for r in found}) == 31
    assert await opened(session, watched(tools)) == []


async def test_what_was_not_committed_is_named_again(host: Host, session: Session) -> None:
    tools = host.create("tools")
    tools.commit({"a.txt": "one"})
    tools.push()
    at = watched(tools)
    lost = await opened(session, at, settle=False)
    assert {r.id for r in await opened(session, at)} == {r.id for r in lost}


async def test_a_backlog_that_is_skipped_is_not_named_and_what_comes_later_is(host: Host, session: Session) -> None:
    tools = host.create("tools")
    tools.commit({"old.env": "old"})
    tools.push()
    at = watched(tools)
    assert await opened(session, at, via=Via.BACKLOG) == []
    tools.commit({"new.env": "new"})
    tools.push()
    assert {r.path for r in await opened(session, at)} == {"", "new.env"}


async def test_mirrors_make_room_for_each_other_and_one_that_went_is_fetched_again(
    host: Host, session: Session, tmp_path: Path
) -> None:
    at = []
    for name in ("one", "two"):
        repository = host.create(name)
        repository.commit({"noise.bin": Random(name).randbytes(200_000)})
        repository.push()
        at.append(watched(repository))
    config = GitConfig(folder=str(tmp_path / "tight"), budget=500_000, max_bytes=300_000)
    async with Session(http_config(), config) as tight:
        named = await opened(tight, at[0])
        await opened(tight, at[1])
        assert len([p for p in (tmp_path / "tight").iterdir() if p.is_dir()]) == 1
        assert "noise.bin" in await texts(tight, at[0], named)


async def test_an_empty_repository_is_told_unless_it_may_be_empty(host: Host, session: Session) -> None:
    tools = host.create("tools")
    assert isinstance(await failure(session, watched(tools)), EmptyListing)
    may = source(tools.url, TOML + "[listing]\nmay_be_empty = true\n")
    assert (await poll(session, may)).trace.listing is not None


async def test_a_repository_that_is_not_there_or_has_moved_is_told(host: Host, session: Session) -> None:
    host.create("other").commit({})
    assert isinstance(await failure(session, source(f"{host.url}/none.git", TOML)), Gone)
    assert isinstance(await failure(session, source(f"{host.url}/moved.git", TOML)), BadRedirect)


async def test_a_folder_of_this_machine_is_a_repository_too(host: Host, session: Session) -> None:
    tools = host.create("tools")
    tools.commit({"a.env": "local"})
    at = source(tools.work.as_uri(), TOML)
    assert len((await poll(session, at)).batch.references) == 1
    assert (await texts(session, at, await opened(session, at)))["a.env"] == "local"


async def test_an_object_that_is_gone_is_told(host: Host, session: Session) -> None:
    tools = host.create("tools")
    tools.commit({"a.env": "x"})
    tools.push()
    at = watched(tools)
    await opened(session, at)
    wanted = [Reference(url=f"git+{tools.url}", id=oid, via=Via.OBJECT) for oid in ("1" * 40, "--help")]
    fetched: Fetched = await fetch(session, at, wanted)
    assert [type(error) for _, error in fetched.failures] == [Gone, Gone]
    assert await session.locate(at, wanted[0]) == wanted[0]


@pytest.mark.parametrize("local", [True, False])
async def test_a_history_is_walked_whole_for_one_scan(host: Host, local: bool) -> None:
    tools = host.create("tools")
    tools.commit({"a.env": "one", "large.txt": "x" * 5000})
    tools.commit({"a.env": "two"}, "the message")
    tools.push()
    where = str(tools.work) if local else tools.url
    async with history(where, http=http_config(), git=GitConfig(), max_bytes=2000) as found:
        documents: list[Document] = list(found.documents)
    texts = [d.text for d in documents]
    assert {"one", "two"} <= set(texts)
    assert any("the message" in text for text in texts)
    assert (found.missing.count, sum(d.truncated for d in documents)) == ((0, 1) if local else (1, 0))


@pytest.mark.parametrize("plain", [True, False])
async def test_a_history_is_inspected_whether_or_not_most_of_it_is_only_skimmed(host: Host, plain: bool) -> None:
    chance = Random(11)
    keys = {d.id: synthesize(d, chance) for d in shipped() if d.id in {"groq", "anthropic-api", "openai-project"}}
    groq, anthropic, openai = (keys[name] for name in ("groq", "anthropic-api", "openai-project"))
    tools = host.create("tools")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("inner/.env", f"K={openai}")
    many = {f"{n}.txt": f"nothing here {n}\n" * 9000 for n in range(8)}
    brought = tools.commit({"a.env": f"A=1\nK={groq}\n", "wide.txt": f"K={anthropic}".encode("utf-16"), **many})
    message = tools.commit({"a.env": "A=1\n", "in.zip": packed.getvalue()}, f"away with {anthropic}")
    tools.commit({"b64.txt": base64.b64encode(f"-{groq}".encode())}, "hidden")
    inspected = Inspected()
    with closing(Inspector(None, plain=plain)) as inspector:
        async with history(str(tools.work), http=http_config(), git=GitConfig(), max_bytes=200_000) as found:
            inspector.history(found, inspected)
    hits = {(hit.path, hit.commit, hit.line) for hit in inspected.hits if hit.likelihood is Likelihood.LIKELY}
    as_it_is = {("a.env", brought, 2), ("wide.txt", brought, 1), ("in.zip!/inner/.env", message, 1)}
    assert hits >= as_it_is
    assert ("", message) in {(path, commit) for path, commit, _ in hits}
    assert any(path == "b64.txt" for path, *_ in hits) is not plain
    assert inspected.files == 8 + 5 + 3


async def test_many_files_are_named_by_their_commits_in_one_walk(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leakwatch.git.objects._TOGETHER", 2)
    tools = host.create("tools")
    commits = [tools.commit({"a.txt": f"text {n}", f"{n}.txt": "the same"}) for n in range(4)]
    tools.push()
    oids = [tools.git("rev-parse", f"{commit}:a.txt") for commit in commits]
    same = tools.git("rev-parse", "HEAD:0.txt")
    with Leash(tmp_path / "home", agent="x", seconds=30, most_bytes=10**8, where="host") as leash:
        found = objects.commits(leash, tools.bare, [*oids, same, "1" * 40])
    assert found == {**dict(zip(oids, commits, strict=True)), same: commits[-1]}


async def test_what_was_amended_reset_or_never_committed_is_read_where_it_lies(host: Host, tmp_path: Path) -> None:
    tools = host.create("tools")
    tools.commit({"a.env": "kept"})
    first = tools.commit({"dir/b.env": "amended away"}, "first try")
    tools.commit({"dir/b.env": "instead"}, "second try", amend=True)
    tools.commit({"c.env": "reset away"})
    tools.git("reset", "--quiet", "--hard", "HEAD^")
    (tools.work / "d.env").write_text("never committed")
    tools.git("add", "d.env")
    tools.git("rm", "--quiet", "--force", "d.env")
    amended = tools.git("rev-parse", f"{first}:dir/b.env")
    async with history(str(tools.work), http=http_config(), git=GitConfig(), max_bytes=2000) as found:
        texts = {document.text: document.reference.path for document in found.documents}
        assert found.commits([amended]) == {amended: first}
    assert texts.items() >= {"kept": "a.env", "amended away": "dir/b.env", "instead": "dir/b.env"}.items()
    assert texts.items() >= {"reset away": "c.env", "never committed": ""}.items()
    assert any("first try" in text for text in texts)


async def test_where_there_are_too_many_objects_to_name_what_refs_lead_to_is_read(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leakwatch.git.objects._MOST_LISTED", 10)
    tools = host.create("tools")
    tools.commit({"a.env": "kept"})
    async with history(str(tools.work), http=http_config(), git=GitConfig(), max_bytes=2000) as found:
        assert "kept" in {document.text for document in found.documents}


async def test_a_history_of_something_else_is_refused(tmp_path: Path) -> None:
    for where, kind in (
        ("http://127.0.0.1:1/x.git", ForbiddenAddress),
        ("ext::sh -c id", BadContent),
        ("-x", BadContent),
    ):
        with pytest.raises(kind):
            async with history(where, http=http_config(allow_networks=[]), git=GitConfig(), max_bytes=2000):
                pass
    with pytest.raises(Gone):
        async with history(str(tmp_path), http=http_config(), git=GitConfig(), max_bytes=2000):
            pass

"""What a document costs, source by source: requests and bytes, counted where they are answered, on loopback.

The shipped definitions are read as the daemon reads them, from git's own HTTP back-end and from answers made after the
sites' documents. How soon documents are had at a site's own limits follows from that, and is reckoned, not waited for.
"""

import io
import json
import tarfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import hyperscan
from aiohttp import web

from benchmarks.measuring import Result, Row, versions
from leakwatch.config import GitConfig, HttpConfig
from leakwatch.definitions import Definition, find, load
from leakwatch.fetch import Session, Source, fetch, poll
from leakwatch.model import Checkpoint, Document, Reference
from leakwatch.units import Rate
from tests.integration.git.host import Repository, _backend
from tests.unit.fetch.sites import site

AT_ONCE: Final = 10  # documents, or changes, that are published together
SIZE: Final = 4_096  # bytes of a document
FILES: Final = 5  # in a package
OLD: Final = 200  # files of a repository that is new to us
AT: Final = datetime(2026, 11, 23, 22, 44, 36, tzinfo=UTC).isoformat().replace("+00:00", "Z")
_AGENT: Final = "leakwatch bench (bench@issuer.example)"
_HOUR: Final = 3600.0
_TOKENS: Final = {"github": 5_000.0, "gitlab": 12_000.0, "huggingface": 12_000.0}  # requests an hour that a token has


@dataclass(kw_only=True)
class Host:
    """A site, and what was taken from it."""

    root: Path
    url: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    requests: int = 0
    turns: float = 0.0  # for which the rate makes us wait: git asks a repository several times in one
    bytes: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer, and count."""
        said = self.answers.get(request.path)
        if said is None:
            response = await _backend(self.root, request)
        else:
            body = (
                said
                if isinstance(said, bytes)
                else said.encode()
                if isinstance(said, str)
                else json.dumps(said).encode()
            )
            response = web.Response(body=body)
        assert isinstance(response, web.Response)  # noqa: S101 - none of these streams
        self.requests += 1
        self.turns += 1 if said is not None else request.path.endswith("/info/refs") / 2
        self.bytes += len(response.body) if isinstance(response.body, bytes) else 0
        return response


Publish = Callable[[Host, Sequence[str]], Iterator[None]]
"""Has a site show nothing of some texts, then all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What some documents took, their listing apart."""

    documents: int
    size: int  # characters and bytes of all of them
    requests: int
    turns: float
    bytes: int
    listing: int  # bytes of the poll that named them


async def cost() -> Result:
    """Measure each kind of source."""
    rows = [await _row(what, use, publish) for what, use, publish in _CASES]
    return Result(
        name="cost",
        title="What a document costs",
        how=(
            f"{AT_ONCE} changes published together, each with a text of {SIZE:,} bytes from installed packages, read "
            "by the shipped definitions on loopback: git's own HTTP back-end, and answers made after the sites' "
            "documents. Requests and bytes of bodies are counted at the server, the listing's apart; of git a commit's "
            f"message is a document, too. A package has {FILES} such texts, a repository that is new to us {OLD}. "
            "Times are reckoned from the definition's `every` and `rate` and from what one token may ask (GitHub 5,000 "
            "an hour, GitLab and Hugging Face 12,000): from the publication until half or all of the ten are had, if "
            "nothing else waits; of a search, in one round of its words. Scanning and mail take less than a second "
            "more (see the other tables); where a site pushes, there is no poll to wait for. Nothing was asked of "
            "these sites."
        ),
        reference="bytes of the document",
        bar="none: this says what to expect",
        rows=tuple(rows),
        versions=versions("aiohttp"),
    )


async def _row(what: str, use: str, publish: Publish) -> Row:
    with TemporaryDirectory(prefix="leakwatch-bench-") as scratch:
        source, found = await _measured(Path(scratch), use, publish)
    definition = source.definition
    a_change, interval = found.turns / AT_ONCE, (definition.rate or HttpConfig(user_agent=_AGENT).rate).interval
    taken = AT_ONCE * a_change * interval
    every = _round(source)
    wait = f"half within {every / 2 + taken / 2:,.0f} s, all within {every + taken:,.0f} s"
    hourly = _hourly(use, definition, a_change, interval)
    return Row(
        what=what,
        value=found.requests / found.documents,
        unit="requests for each",
        ratio=(found.bytes or found.listing) / found.size,
        note=f"{(found.bytes or found.listing) / found.documents:,.0f} bytes; {wait}{hourly}",
    )


def _round(source: Source) -> float:
    """Return in how many seconds all of a source's listings are asked: one token searches for word after word."""
    search = load(find(source.name, Path("none"))).search
    return max(source.every, len(search.words) * search.rate.interval if search and search.rate else 0.0)


def _hourly(use: str, definition: Definition, a_change: float, interval: float) -> str:
    """Say how many changes an hour the site's rate and one token allow, where they cost anything."""
    if not a_change:
        return ""
    is_free = definition.kind == "git" or definition.document.opens == "git"  # git is asked without the token
    budget = next((limit for name, limit in _TOKENS.items() if use.startswith(name) and not is_free), _HOUR / interval)
    return f"; up to {min(_HOUR / interval, budget) / a_change:,.0f} changes an hour"


async def _measured(scratch: Path, use: str, publish: Publish) -> tuple[Source, Cost]:
    http = HttpConfig(user_agent=_AGENT, allow_networks=["127.0.0.0/8"])
    async with _serving(scratch) as host, Session(http, GitConfig(folder=str(scratch / "mirrors"))) as session:
        publishing = publish(host, _texts())
        next(publishing)
        source = _source(use, host)
        checkpoint, _ = await _polled(session, source, None, set())
        known = checkpoint[1]
        next(publishing, None)
        host.bytes = 0
        polled = await poll(session, source, checkpoint[0])
        named = [r for r in polled.batch.references if (r.id, r.version) not in known]
        inline = [d for d in polled.batch.documents if (d.reference.id, d.reference.version) not in known]
        listing = host.bytes
        host.requests, host.turns, host.bytes = 0, 0.0, 0
        documents = [*inline, *await _all(session, source, named, known)]
        size = sum(len(one.raw) if one.raw else len(one.text) for one in documents)
        return source, Cost(
            documents=len(documents),
            size=size,
            requests=host.requests,
            turns=host.turns,
            bytes=host.bytes,
            listing=listing,
        )


async def _polled(
    session: Session, source: Source, checkpoint: Checkpoint | None, known: set[tuple[str, str]]
) -> tuple[tuple[Checkpoint | None, set[tuple[str, str]]], list[Document]]:
    """Poll and fetch all, and remember what there was."""
    polled = await poll(session, source, checkpoint)
    known |= {(r.id, r.version) for r in polled.batch.references}
    known |= {(d.reference.id, d.reference.version) for d in polled.batch.documents}
    documents = await _all(session, source, list(polled.batch.references), known)
    return (polled.batch.checkpoint, known), documents


async def _all(
    session: Session, source: Source, references: list[Reference], known: set[tuple[str, str]]
) -> list[Document]:
    """Fetch references and what they open into, until nothing is left that is not known."""
    documents: list[Document] = []
    while references:
        fetched = await fetch(session, source, references)
        if fetched.failures:
            raise fetched.failures[0][1]
        documents += fetched.documents
        references = list(fetched.left)
        for opened in fetched.opened:
            documents += opened.documents
            references += [r for r in opened.references if (r.id, r.version) not in known]
            opened.settle()
        known |= {(r.id, r.version) for r in references if not r.url.endswith(".git")}
    return documents


@asynccontextmanager
async def _serving(root: Path) -> AsyncIterator[Host]:
    host = Host(root=root)
    async with site(host.answer) as url:
        host.url = url
        yield host


def _source(use: str, host: Host) -> Source:
    definition = load(find(use, Path("none")))
    if definition.search:
        definition = load(find(use, Path("none")), {"search": {"rate": "1000000/s"}})
    parameters = {**definition.parameters, **({"registry": host.url} if "registry" in definition.parameters else {})}
    return Source(
        name=use,
        definition=definition,
        base_url=f"{host.url}/one.git" if use == "git" else host.url,
        every=definition.every,
        rate=Rate(1_000_000, 1.0),
        concurrency=4,
        max_bytes=definition.max_bytes or 10_000_000,
        robots="ignore",
        parameters=parameters,
        token="made up" if definition.token else "",
    )


def _texts() -> list[str]:
    paths = sorted(Path(hyperscan.__file__).parents[1].rglob("*.py"))
    texts = (path.read_text(encoding="utf-8", errors="replace") for path in paths if path.stat().st_size > 2 * SIZE)
    return [text.encode("ascii", "replace").decode()[:SIZE] for text in islice(texts, OLD + FILES * AT_ONCE)]


def _one_repository(host: Host, texts: Sequence[str]) -> Iterator[None]:
    one = Repository(host.root, "one", host.url)
    one.commit({f"{n}.txt": text for n, text in enumerate(texts[AT_ONCE:])})
    one.push()
    yield
    for number in range(AT_ONCE):
        one.commit({f"new/{number}.txt": texts[number]})
    one.push()
    yield


def _repositories(host: Host, texts: Sequence[str]) -> Iterator[None]:
    repositories = [_repository(host, number, [str(number)]) for number in range(AT_ONCE)]
    _list(host, repositories, 0)
    yield
    for number, repository in enumerate(repositories):
        repository.commit({"new.txt": texts[number]})
        repository.push()
    _list(host, repositories, 1)
    yield


def _new_repositories(host: Host, texts: Sequence[str]) -> Iterator[None]:
    old = _repository(host, AT_ONCE, ["old"])
    _list(host, [old], 0)
    yield
    _list(host, [old, *(_repository(host, number, texts[AT_ONCE:OLD]) for number in range(AT_ONCE))], 0)
    yield


def _repository(host: Host, number: int, texts: Sequence[str]) -> Repository:
    repository = Repository(host.root, f"r{number}", host.url)
    repository.commit({f"{n}.txt": f"{number}\n{text}" for n, text in enumerate(texts)})
    repository.push()
    return repository


def _list(host: Host, repositories: Sequence[Repository], minute: int) -> None:
    at = f"2026-11-23T22:{40 + minute}:00Z"
    facts = {"updated_at": at, "owner": {"login": "ada"}}
    host.answers["/api/v1/repos/search"] = {
        "data": [{**facts, "id": one.url, "full_name": one.url, "clone_url": one.url} for one in repositories]
    }


def _pushes(host: Host, texts: Sequence[str]) -> Iterator[None]:
    def named(number: int) -> tuple[str, dict[str, str]]:
        before, head = f"{number + 0xA0:x}" * 20, f"{number + 0xB0:x}" * 20
        return f"{before}...{head}", {"before": before, "head": head}

    yield from _compared(host, texts, "PushEvent", named)


def _branches(host: Host, texts: Sequence[str]) -> Iterator[None]:
    def named(number: int) -> tuple[str, dict[str, str]]:
        return f"main...b{number}", {"ref": f"b{number}", "ref_type": "branch", "master_branch": "main"}

    yield from _compared(host, texts, "CreateEvent", named)


def _compared(
    host: Host, texts: Sequence[str], kind: str, named: Callable[[int], tuple[str, dict[str, str]]]
) -> Iterator[None]:
    event = {"actor": {"login": "ada"}, "repo": {"name": "ada/tools"}, "created_at": AT, "type": kind}
    old = {**event, "id": "0", "payload": {"comment": {"body": "x"}}, "type": "IssueCommentEvent"}
    host.answers["/events"] = [old]
    yield
    pushes = []
    for number in range(AT_ONCE):
        basehead, payload = named(number)
        head = f"{number + 0xB0:x}" * 20
        pushes.append({**event, "id": str(number + 1), "payload": payload})
        patch = "@@ -0,0 +1,99 @@\n" + "\n".join(f"+{line}" for line in texts[number].split("\n"))
        commit = {
            "sha": head,
            "commit": {"message": "Change", "author": {"name": "A"}},
            "html_url": "https://x.example",
        }
        files = [{"sha": head, "filename": "a.py", "patch": patch, "blob_url": "https://x.example"}]
        host.answers[f"/repos/ada/tools/compare/{basehead}"] = {"commits": [commit], "files": files}
    host.answers["/events"] = [*pushes, old]
    yield


def _searched(host: Host, texts: Sequence[str]) -> Iterator[None]:
    host.answers["/search/code"] = {"total_count": 0, "incomplete_results": False, "items": []}
    yield
    repository = {"name": "tools", "full_name": "ada/tools", "owner": {"login": "ada"}}
    items = []
    for number in range(AT_ONCE):
        host.answers[f"/repos/ada/tools/contents/{number}.py"] = texts[number]
        page = f"https://github.com/ada/tools/blob/{'3' * 40}/{number}.py"
        items.append({"path": f"{number}.py", "sha": str(number), "html_url": page, "repository": repository})
    host.answers["/search/code"] = {"total_count": AT_ONCE, "incomplete_results": False, "items": items}
    yield


def _attached(host: Host, texts: Sequence[str]) -> Iterator[None]:
    host.answers["/events"] = []
    yield
    events = []
    for number in range(AT_ONCE):
        host.answers[f"/repos/ada/tools/releases/assets/{number}"] = body = _tarred(texts[number : number + 1])
        asset = {"id": number, "name": f"{number}.tgz", "size": len(body), "updated_at": AT}
        release = {"html_url": "https://x.example", "assets": [asset]}
        event = {"id": str(number), "type": "ReleaseEvent", "actor": {"login": "ada"}, "repo": {"name": "ada/tools"}}
        events.append({**event, "created_at": AT, "payload": {"action": "published", "release": release}})
    host.answers["/events"] = events
    yield


def _gists(host: Host, texts: Sequence[str]) -> Iterator[None]:
    host.answers["/gists/public"] = []
    yield
    gists = []
    for number in range(AT_ONCE):
        host.answers[f"/raw/{number}"] = texts[number]
        files = {"a.py": {"filename": "a.py", "raw_url": f"{host.url}/raw/{number}"}}
        gist = {
            "id": str(number),
            "files": files,
            "updated_at": AT,
            "html_url": "https://x.example",
            "owner": {"login": "a"},
        }
        gists.append({**gist, "description": "mine"})
    host.answers["/gists/public"] = gists
    yield


def _snippets(host: Host, texts: Sequence[str]) -> Iterator[None]:
    host.answers["/api/v4/snippets/public"] = []
    yield
    for number in range(AT_ONCE):
        host.answers[f"/api/v4/snippets/{number + 1}/raw"] = texts[number]
    host.answers["/api/v4/snippets/public"] = [
        {"id": n + 1, "title": "a", "file_name": "a.py", "created_at": AT, "updated_at": AT,
         "web_url": f"{host.url}/-/snippets/{n + 1}"} for n in range(AT_ONCE)
    ]  # fmt: skip
    yield


def _packages(host: Host, texts: Sequence[str]) -> Iterator[None]:
    host.answers["/registry/"] = {"update_seq": 1}
    host.answers["/registry/_changes"] = {"results": [], "last_seq": 1}
    yield
    for number in range(AT_ONCE):
        name, released = f"p{number}", {f"1.{n}.0": "2025-01-01T00:00:00Z" for n in range(20)} | {"2.0.0": AT}
        host.answers[f"/{name}/2.0.0.tgz"] = _tarred(texts[FILES * number : FILES * (number + 1)])
        dist = {v: {"name": name, "version": v, "dist": {"tarball": f"{host.url}/{name}/{v}.tgz"}} for v in released}
        host.answers[f"/{name}"] = {"name": name, "versions": dist, "time": released}
    changed = [{"seq": n + 2, "id": f"p{n}", "changes": []} for n in range(AT_ONCE)]
    host.answers["/registry/_changes"] = {"results": changed, "last_seq": AT_ONCE + 1}
    yield


def _releases(host: Host, texts: Sequence[str]) -> Iterator[None]:
    host.answers["/simple/"] = {"meta": {"_last-serial": 1}, "projects": [{"name": "p", "_last-serial": 1}]}
    _feed(host, ["old/1.0"])
    host.answers["/pypi/old/1.0/json"] = {"urls": []}
    yield
    for number in range(AT_ONCE):
        files = [
            {"filename": f"p{number}.{kind}", "url": f"{host.url}/files/p{number}.{kind}", "upload_time_iso_8601": AT}
            for kind in ("tar.gz", "whl")
        ]
        for file in files:
            host.answers[file["url"].removeprefix(host.url)] = _tarred(texts[FILES * number : FILES * (number + 1)])
        host.answers[f"/pypi/p{number}/2.0/json"] = {"info": {"description": texts[number]}, "urls": files}
    _feed(host, [f"p{n}/2.0" for n in range(AT_ONCE)] + ["old/1.0"])
    yield


def _feed(host: Host, releases: Sequence[str]) -> None:
    items = (f"<item><title>x</title><link>https://pypi.org/project/{one}/</link></item>" for one in releases)
    host.answers["/rss/updates.xml"] = f"<rss><channel>{''.join(items)}</channel></rss>"


def _pastes(host: Host, texts: Sequence[str]) -> Iterator[None]:
    host.answers["/api_scraping.php"] = [{"key": "old", "date": "1795473876", "title": "x"}]
    host.answers["/api_scrape_item.php"] = texts[0]
    yield
    host.answers["/api_scraping.php"] = [{"key": f"k{n}", "date": "1795473876", "title": "x"} for n in range(AT_ONCE)]
    yield


def _posts(host: Host, texts: Sequence[str]) -> Iterator[None]:
    host.answers["/wp-json/wp/v2/posts"] = []
    yield
    host.answers["/wp-json/wp/v2/posts"] = [
        {"id": n + 1, "modified_gmt": "2026-11-23T22:44:36", "link": f"{host.url}/{n}", "title": {"rendered": "x"},
         "content": {"rendered": texts[n]}} for n in range(AT_ONCE)
    ]  # fmt: skip
    yield


def _tarred(texts: Sequence[str]) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as archive:
        for number, text in enumerate(texts):
            about = tarfile.TarInfo(f"package/{number}.py")
            about.size = len(text.encode())
            archive.addfile(about, io.BytesIO(text.encode()))
    return whole.getvalue()


_CASES: Final[Sequence[tuple[str, str, Publish]]] = (
    ("`git`: ten commits to a repository", "git", _one_repository),
    ("`gitea` and other forges: a commit to each of ten repositories", "gitea", _repositories),
    ("`gitea` and other forges: ten repositories that are new to us", "gitea", _new_repositories),
    ("`github-events`: ten pushes of a file", "github-events", _pushes),
    ("`github-events`: ten new branches with a file each", "github-events", _branches),
    (
        "`github-code-search`: ten files, where each word has fewer than a thousand results",
        "github-code-search",
        _searched,
    ),
    ("`github-releases`: a packed file of each of ten releases, but for a redirect", "github-releases", _attached),
    ("`github-gists`", "github-gists", _gists),
    ("`gitlab-snippets`", "gitlab-snippets", _snippets),
    ("`npm`: a version of each of ten packages", "npm", _packages),
    ("`pypi`: a release of each of ten packages, in two files", "pypi", _releases),
    ("`pastebin` and other lists of pastes", "pastebin", _pastes),
    ("`wordpress` and others that list the text itself", "wordpress", _posts),
)

"""What we ask of GitHub and how we read it, by GitHub's own OpenAPI document: prism stands between.

It lets no fault pass. Behind it answers a program of ours, with the examples of that document. It is not GitHub:
limits, delays and what a search finds are not shown here.
"""

import copy
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from aiohttp import web

from leakwatch.config import GitConfig
from leakwatch.containers.opener import Opener
from leakwatch.definitions import find, load
from leakwatch.demo import free_port
from leakwatch.errors import FetchError
from leakwatch.fetch import Session, Source, fetch, poll
from leakwatch.fetch.apps import App
from leakwatch.members import parts
from leakwatch.model import Reference, Via
from leakwatch.units import Rate
from tests.peers.software import LOG, needs, serving
from tests.unit.containers.making import zipped
from tests.unit.fetch.sites import http_config, site
from tests.unit.fetch.test_apps import key, pem

pytestmark = pytest.mark.peers
NODE = Path(__file__).parents[2] / ".peers" / "contract" / "node_modules"
PRISM = NODE / "@stoplight" / "prism-cli" / "dist" / "index.js"
DOCUMENT = NODE / "@octokit" / "openapi" / "generated" / "api.github.com.json"
API = "https://api.github.com"
PLANTED = "what was published there"
ASKED = {
    "actions/download-workflow-run-logs": "/repos/{owner}/{repo}/actions/runs/{run_id}/logs",
    "actions/list-workflow-runs-for-repo": "/repos/{owner}/{repo}/actions/runs",
    "apps/create-installation-access-token": "/app/installations/{installation_id}/access_tokens",
    "activity/list-public-events": "/events",
    "gists/list-public": "/gists/public",
    "pulls/get": "/repos/{owner}/{repo}/pulls/{pull_number}",
    "repos/compare-commits-with-basehead": "/repos/{owner}/{repo}/compare/{basehead}",
    "repos/get-content": "/repos/{owner}/{repo}/contents/{path}",
    "repos/get-release-asset": "/repos/{owner}/{repo}/releases/assets/{asset_id}",
    "repos/list-for-user": "/users/{username}/repos",
    "repos/list-releases": "/repos/{owner}/{repo}/releases",
    "search/code": "/search/code",
    "search/commits": "/search/commits",
}
"""Every operation that a definition of ours asks for, and its path."""


@cache
def github() -> Any:
    """GitHub's document; whoever needs it is skipped where it is not installed."""
    needs("node", DOCUMENT, PRISM, what="GitHub's OpenAPI document, or prism,")
    return json.loads(DOCUMENT.read_text(encoding="utf-8"))


def operation(name: str) -> Any:
    methods = github()["paths"][ASKED[name]].values()
    [found] = [one for one in methods if isinstance(one, dict) and one.get("operationId") == name]
    return found


def example(name: str) -> Any:
    """The answer that the document gives as its example."""
    [answer] = [one for status, one in operation(name)["responses"].items() if status in ("200", "201")]
    value = next(iter(answer["content"]["application/json"]["examples"].values()))
    return copy.deepcopy(_followed(value)["value"])


def _followed(value: Any) -> Any:
    while "$ref" in value:
        kind, name = value["$ref"].removeprefix("#/components/").split("/")
        value = github()["components"][kind][name]
    return value


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(reference := value.get("$ref"), str):
            yield reference
        for one in value.values():
            yield from _references(one)
    elif isinstance(value, list):
        for one in value:
            yield from _references(one)


def cut() -> Any:
    """The document without the operations that nobody here asks for: prism takes long to read them all.

    Of raw files, and of those of releases, it speaks in words alone: what is written there is added. So is the
    archive to which a redirect leads, since prism follows that itself.
    """
    whole = copy.deepcopy(github())
    raw = whole["paths"][ASKED["repos/get-content"]]["get"]
    assert "application/vnd.github.raw+json`**: Returns the raw file contents" in raw["description"]
    raw["responses"]["200"]["content"]["application/vnd.github.raw"] = {"schema": {"type": "string"}}
    asset = whole["paths"][ASKED["repos/get-release-asset"]]["get"]
    assert "`application/octet-stream`](" in asset["description"]
    asset["responses"]["200"]["content"]["application/octet-stream"] = {"schema": {"type": "string"}}
    logs = whole["paths"][ASKED["actions/download-workflow-run-logs"]]["get"]
    assert list(logs["responses"]) == ["302"]
    logs["responses"]["200"] = {"description": "", "content": {"application/zip": {"schema": {"type": "string"}}}}
    kept = {**whole, "paths": {path: whole["paths"][path] for path in ASKED.values()}, "components": {}}
    wanted, known = set(_references(kept)), set[str]()
    while wanted:
        reference = wanted.pop()
        known.add(reference)
        kind, name = reference.removeprefix("#/components/").split("/")
        one = whole["components"][kind][name]
        kept["components"].setdefault(kind, {})[name] = one
        wanted |= set(_references(one)) - known
    return kept


@dataclass
class Upstream:
    """The program behind prism: GitHub's examples, with something published in them."""

    own: str = ""  # its address, for what is not of the API
    front: str = ""  # prism's
    shown: list[bool] = field(default_factory=list)  # whether a token was, to whom an archive is fetched from
    asked: list[tuple[str, str, Mapping[str, str]]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        if path == "/raw":
            return web.Response(text=PLANTED)
        if path == "/file":
            self.shown.append("Authorization" in request.headers)
            return web.Response(text=PLANTED, content_type="application/octet-stream")
        if path == "/logs.zip":
            self.shown.append("Authorization" in request.headers)
            return web.Response(body=zipped({"build/1_Run.txt": PLANTED.encode()}), content_type="application/zip")
        [name] = [name for name, one in ASKED.items() if re.fullmatch(_pattern(one), path)]
        self.asked.append((name, request.path_qs, dict(request.headers)))
        if name == "repos/get-content":
            # GitHub says raw+json, of which prism believes that it is JSON.
            return web.Response(text=PLANTED, content_type="application/vnd.github.raw")
        if name in ("actions/download-workflow-run-logs", "repos/get-release-asset"):
            raise web.HTTPFound(f"{self.own}/{'logs.zip' if name.startswith('actions') else 'file'}")
        answers: Mapping[str, Callable[[Any], Any]] = {
            "apps/create-installation-access-token": self._token,
            "activity/list-public-events": self._events,
            "gists/list-public": self._gists,
            "repos/compare-commits-with-basehead": self._changes,
            "pulls/get": self._pull,
            "search/code": self._files,
            "search/commits": self._commits,
        }
        body = answers.get(name, lambda value: value)(example(name))
        status = 201 if name.startswith("apps/") else 200
        return web.json_response(body, status=status, headers={"X-RateLimit-Remaining": "4000"})

    def _token(self, value: Any) -> Any:
        return {**value, "expires_at": f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"}

    def _events(self, value: Any) -> Any:
        issue, comment = (
            copy.deepcopy(github()["components"]["examples"][n]["value"]) for n in ("issue", "issue-comment")
        )
        comment["body"] = PLANTED
        pull = example("pulls/get")
        minimal = {name: pull[name] for name in ("id", "number", "url")}
        for end in ("head", "base"):
            one = pull[end]
            repo = {name: one["repo"][name] for name in ("id", "url", "name")}
            minimal[end] = {"ref": one["ref"], "sha": one["sha"], "repo": repo}
        payloads = {
            "IssueCommentEvent": {"action": "created", "issue": issue, "comment": comment},
            "PullRequestEvent": {"action": "opened", "number": pull["number"], "pull_request": minimal},
            "ReleaseEvent": {"action": "published", "release": example("repos/list-releases")[0]},
            "CreateEvent": {"ref": "main", "ref_type": "branch", "full_ref": "refs/heads/main", "pusher_type": "user",
                            "master_branch": "main", "description": None},
        }  # fmt: skip
        more = [{**value[0], "id": kind, "type": kind, "payload": payload} for kind, payload in payloads.items()]
        branch = {**payloads["CreateEvent"], "ref": "feature", "full_ref": "refs/heads/feature"}
        return [*value, *more, {**more[-1], "id": "branch", "payload": branch}]

    def _gists(self, value: Any) -> Any:
        for gist in value:
            for file in gist["files"].values():
                file["raw_url"] = f"{self.own}/raw"
        return value

    def _changes(self, value: Any) -> Any:
        [file] = value["files"]
        url = f"{self.front or self.own}/repos/octocat/Hello-World/contents/large.ipynb?ref={'6' * 40}"
        large = {**file, "sha": "5" * 40, "filename": "large.ipynb", "contents_url": url}
        del large["patch"]
        return {**value, "files": [{**file, "patch": f"@@ -0,0 +1 @@\n+{PLANTED}"}, large]}

    def _pull(self, value: Any) -> Any:
        return {**value, "body": PLANTED, "requested_teams": []}  # the example's teams are not as the document wants

    def _files(self, value: Any) -> Any:
        """OpenAPI cannot say that a path goes on, so the file lies at the top."""
        item = value["items"][0]
        item["html_url"] = item["html_url"].replace(item["path"], item["name"])
        return {**value, "total_count": 1, "items": [{**item, "path": item["name"]}]}

    def _commits(self, value: Any) -> Any:
        value["items"][0]["commit"]["message"] = PLANTED
        return value


def _pattern(path: str) -> str:
    rest = path.endswith("{path}")
    return re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path.removesuffix("{path}"))) + (".+" if rest else "")


@dataclass
class Contract:
    """Prism, and who is behind it."""

    url: str
    upstream: Upstream
    log: Path

    def faults(self) -> list[str]:
        """What prism has found wrong with a request or an answer."""
        return [line for line in self.log.read_text().splitlines() if "✖" in line or "⚠" in line]


@asynccontextmanager
async def contract(folder: Path) -> AsyncIterator[Contract]:
    upstream, port, document = Upstream(), free_port(), folder / "github.json"
    document.write_text(json.dumps(cut()))
    async with site(upstream.answer) as own:
        upstream.own = own
        command = ("node", PRISM, "proxy", document, own, "--errors", "--host", "127.0.0.1", "--port", str(port))
        async with serving(folder, port, *command):
            upstream.front = f"http://127.0.0.1:{port}"
            yield Contract(upstream.front, upstream, folder / LOG)


def watched(name: str, at: Contract) -> Source:
    own = at.upstream.own.removeprefix("http://")
    overrides: dict[str, Any] = (
        {"hosts": [own]} if name.startswith(("github-gists", "github-actions", "github-releases")) else {}
    )
    if name.endswith("-search"):
        overrides["search"] = {"words": ["sk-proj-"]}
    definition = load(find(name, Path("none")), overrides)
    assert definition.token is not None
    app = App(id="12", installation="34", key=pem(key(0)))
    return Source(
        name=name,
        definition=definition,
        base_url=at.url,
        every=60.0,
        rate=Rate(1000, 1.0),
        concurrency=4,
        max_bytes=10**7,
        robots="ignore",
        parameters={**definition.parameters, **dict.fromkeys(definition.parameters, "octocat")},
        apps=(app,) if definition.token.app else (),
        token="" if definition.token.app else "made up",
    )


async def texts(session: Session, source: Source) -> tuple[list[str], list[Reference]]:
    """Poll, open and fetch all that is no repository: the texts, and the repositories that git would fetch."""
    polled = await poll(session, source)
    assert polled.trace.listing is not None
    assert [note for note in polled.trace.listing.notes if "found nothing" not in note] == []
    documents, wanted = list(polled.batch.documents), polled.batch.references
    repositories = [one for one in wanted if one.via is Via.GIT]
    while wanted := tuple(one for one in wanted if one.via is not Via.GIT):
        fetched = await fetch(session, source, wanted)
        assert fetched.failures == ()
        documents += [*fetched.documents, *(one for opened in fetched.opened for one in opened.documents)]
        wanted = tuple(one for opened in fetched.opened for one in opened.references)
    with closing(Opener()) as opener:
        inside = [part.text for document in documents for part in parts(opener, document, Counter())]
    return inside, repositories


SOURCES = sorted(path.stem for path in (Path(__file__).parents[2] / "sources").glob("github-*.toml"))


PUBLISHED = {
    "github-actions": 1,
    "github-actions-owner": 1,
    "github-code-search": 1,
    "github-commit-search": 1,
    "github-events": 6,  # a push, a new branch, in each a file whose change is left out; a comment, a pull request
    "github-gists": 1,
    "github-new": 0,
    "github-owner": 0,
    "github-releases": 1,
    "github-releases-owner": 1,
}
"""In how many texts each finds what was published."""


def planted(found: Mapping[str, tuple[list[str], list[Reference]]]) -> dict[str, int]:
    return {name: sum(PLANTED in text for text in documents) for name, (documents, _) in found.items()}


async def test_what_is_asked_and_how_it_is_read_keeps_to_githubs_own_document(tmp_path: Path) -> None:
    github()
    async with contract(tmp_path) as at, Session(http_config(), GitConfig(folder=str(tmp_path / "git"))) as session:
        found = {name: await texts(session, watched(name, at)) for name in SOURCES}
        assert at.faults() == []
        wrong = replace(watched("github-owner", at), parameters={"owner": "octocat"})
        with pytest.raises(FetchError):  # so that nothing would be noticed if nothing were looked at
            await session.get(f"{at.url}/users/octocat/repos?sort=luck", source=wrong)
        with pytest.raises(FetchError):
            await session.get(f"{at.url}/repositories", source=wrong)
    # Prism passes an archive on as if it were a text.
    assert {**planted(found), "github-actions": 1, "github-actions-owner": 1} == PUBLISHED
    repositories = {name: [one.url for one in there] for name, (_, there) in found.items() if there}
    assert repositories == {
        "github-new": ["https://github.com/octocat/Hello-World.git"],
        "github-owner": ["https://github.com/octocat/Hello-World.git"],
    }
    assert {name for name, _, _ in at.upstream.asked} == set(ASKED)


async def test_apps_ask_for_what_github_lets_apps_ask_for_and_archives_are_fetched_without_a_token(
    tmp_path: Path,
) -> None:
    github()
    upstream = Upstream()
    async with (
        site(upstream.answer) as url,
        site(upstream.answer) as upstream.own,
        Session(http_config(), GitConfig(folder=str(tmp_path))) as session,
    ):
        upstream.front = url
        at, found = Contract(url, upstream, tmp_path), dict[str, tuple[list[str], list[Reference]]]()
        for name in SOURCES:
            del upstream.asked[:]
            source = watched(name, at)
            found[name] = await texts(session, source)
            asked = {one for one, _, _ in upstream.asked if not one.startswith("apps/")}
            assert asked
            assert all(operation(one)["x-github"]["enabledForGitHubApps"] for one in asked) == bool(source.apps), name
    assert planted(found) == PUBLISHED
    assert upstream.shown == [False] * 4


@pytest.mark.parametrize("name", SOURCES)
def test_a_samples_fields_are_githubs(name: str) -> None:
    """A sample has the fields that are read, and GitHub's document has each of them, with such a value."""
    listed = {
        "github-actions": "actions/list-workflow-runs-for-repo",
        "github-actions-owner": "actions/list-workflow-runs-for-repo",
        "github-code-search": "search/code",
        "github-commit-search": "search/commits",
        "github-events": "activity/list-public-events",
        "github-gists": "gists/list-public",
        "github-new": "activity/list-public-events",
        "github-owner": "repos/list-for-user",
        "github-releases": "activity/list-public-events",
        "github-releases-owner": "repos/list-releases",
    }
    opened = {"github-events": ["repos/compare-commits-with-basehead", "pulls/get"]}
    places = iter(opened.get(name, []))
    for sample in load(find(name, Path("none"))).samples:
        of = "repos/list-for-user" if sample.of == "index" else listed[name]
        if sample.of == "push":
            said = github()["components"]["schemas"]["webhook-push"]
        else:
            answer = operation(next(places) if sample.of == "open" else of)["responses"]["200"]
            said = answer["content"]["application/json"]["schema"]
        schema = {**_partial(said), "components": _components()}
        jsonschema.Draft202012Validator(schema).validate(json.loads(sample.body))


@cache
def _components() -> Any:
    return {"schemas": _partial(github()["components"]["schemas"])}


def _partial(schema: Any) -> Any:
    """A schema of OpenAPI 3.0 as JSON Schema, of which not everything need be there, and of alternatives any."""
    if isinstance(schema, list):
        return [_partial(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _partial(one) for name, one in schema.items() if name not in ("required", "example", "examples")}
    if isinstance(schema.get("required"), dict):  # a property of that name
        found["required"] = _partial(schema["required"])
    if "oneOf" in found:
        found["anyOf"] = [*found.get("anyOf", []), *found.pop("oneOf")]
    if found.pop("nullable", False) is True:
        found = {"anyOf": [found, {"type": "null"}]}
    return found

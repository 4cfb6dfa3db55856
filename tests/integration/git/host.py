"""A git host on loopback: bare repositories behind git's own HTTP back-end, which every git brings along."""

import asyncio
import gzip
import os
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.unit.fetch.sites import site

AUTHOR = "Ada Lovelace"
NOBODY_ELSES = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": AUTHOR,
    "GIT_AUTHOR_EMAIL": "ada@dev.example",
    "GIT_COMMITTER_NAME": "Grace Hopper",
    "GIT_COMMITTER_EMAIL": "grace@dev.example",
}


def git(folder: Path, *arguments: str, stdin: bytes = b"") -> str:
    """Run git to its end; a failure fails the test."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={**os.environ, **NOBODY_ELSES},
        input=stdin,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode("utf-8", "replace").strip()


class Repository:
    """A repository on the host, and its developer's clone."""

    def __init__(self, root: Path, name: str, url: str) -> None:
        self.bare = root / f"{name}.git"
        self.work = root / f"{name}.work"
        self.url = f"{url}/{name}.git"
        self.bare.parent.mkdir(parents=True, exist_ok=True)
        git(root, "init", "--quiet", "--bare", "--initial-branch=main", str(self.bare))
        git(root, "init", "--quiet", "--initial-branch=main", str(self.work))
        for setting in ("uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"):
            git(self.bare, "config", setting, "true")

    def commit(self, files: Mapping[str, str | bytes], message: str = "work", *, amend: bool = False) -> str:
        """Commit files to the current branch; return the commit."""
        for name, text in files.items():
            path = self.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        git(self.work, "add", "--all")
        git(self.work, "commit", "--quiet", "--allow-empty", f"--message={message}", *(["--amend"] if amend else []))
        return git(self.work, "rev-parse", "HEAD")

    def push(self, *specs: str) -> None:
        git(self.work, "push", "--quiet", "--force", str(self.bare), *(specs or ("refs/*:refs/*",)))

    def git(self, *arguments: str, stdin: bytes = b"") -> str:
        return git(self.work, *arguments, stdin=stdin)


class Host:
    """The host: where it is, and what was asked of it."""

    def __init__(self, root: Path, url: str, requests: list[web.Request], answers: dict[str, Any]) -> None:
        self.root = root
        self.url = url
        self.requests = requests
        self.answers = answers  # what else it says, by path: JSON, a text, or bytes

    def create(self, name: str) -> Repository:
        return Repository(self.root, name, self.url)


@asynccontextmanager
async def serving(root: Path) -> AsyncIterator[Host]:
    """Serve the repositories in a folder until the block ends."""
    requests: list[web.Request] = []
    answers: dict[str, Any] = {}

    async def answer(request: web.Request) -> web.StreamResponse:
        requests.append(request)
        if request.path == "/moved.git/info/refs":
            return web.Response(status=301, headers={"Location": f"{url}/other.git/info/refs?{request.query_string}"})
        said = answers.get(request.path)
        if isinstance(said, bytes):
            return web.Response(body=said)
        if said is not None:
            return web.Response(text=said) if isinstance(said, str) else web.json_response(said)
        return await _backend(root, request)

    async with site(answer) as url:
        yield Host(root, url, requests, answers)


async def _backend(root: Path, request: web.Request) -> web.StreamResponse:
    """Run git http-backend as a server's CGI would."""
    body = await request.read()
    if request.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    process = await asyncio.create_subprocess_exec(
        *("git", "http-backend"),
        env={
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_PROJECT_ROOT": str(root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": request.path,
            "QUERY_STRING": request.query_string,
            "REQUEST_METHOD": request.method,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": "127.0.0.1",
        },
        stdin=asyncio.subprocess.PIPE if body else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    said, _ = await process.communicate(body or None)
    head, _, content = said.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
    status = int(headers.pop("Status", "200").split()[0])
    return web.Response(status=status, body=content, headers=headers)

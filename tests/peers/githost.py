"""A code host: bare repositories behind cgit, gitweb and git's own HTTP back-end, served by lighttpd."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from leakwatch.demo import free_port
from tests.peers.listening import listens

NEEDED = {
    "cgit": Path("/usr/lib/cgit/cgit.cgi"),
    "gitweb": Path("/usr/share/gitweb/gitweb.cgi"),
    "libcgi-pm-perl": Path("/usr/share/perl5/CGI.pm"),
    "lighttpd": Path("/usr/sbin/lighttpd"),
    "git": Path("/usr/lib/git-core/git-http-backend"),
}
LIGHTTPD = """\
server.document-root = "{folder}/git"
server.bind = "127.0.0.1"
server.port = {port}
server.errorlog = "{folder}/lighttpd.log"
server.modules = ("mod_alias", "mod_setenv", "mod_cgi")
alias.url = (
  "/git/" => "/usr/lib/git-core/git-http-backend/",
  "/cgit" => "/usr/lib/cgit/cgit.cgi",
  "/gitweb" => "/usr/share/gitweb/gitweb.cgi",
)
cgi.assign = ("" => "")
setenv.add-environment = (
  "GIT_PROJECT_ROOT" => "{folder}/git", "GIT_HTTP_EXPORT_ALL" => "1", "REMOTE_USER" => "dev",
  "CGIT_CONFIG" => "{folder}/cgitrc", "GITWEB_CONFIG" => "{folder}/gitweb.conf",
)
"""
AUTHOR = "Ada Lovelace"


class Repository:
    """A developer's clone, whose pushes go over HTTP."""

    def __init__(self, folder: Path, remote: str) -> None:
        self._folder = folder
        folder.mkdir()
        self._git("init", "--quiet", "--initial-branch=master")
        self._git("remote", "add", "origin", remote)

    def branch(self, name: str) -> None:
        """Go on in a new branch."""
        self._git("checkout", "--quiet", "-b", name)

    def push(self, files: Mapping[str, str], message: str, *, at: str | None = None) -> str:
        """Commit files and push; return the commit's hash. `at` is its date, as git reads one."""
        for name, text in files.items():
            (self._folder / name).write_text(text)
        self._git("add", "--all")
        self._git("commit", "--quiet", f"--message={message}", at=at)
        self._git("push", "--quiet", "origin", "HEAD")
        return self._git("rev-parse", "HEAD").strip()

    def _git(self, *arguments: str, at: str | None = None) -> str:
        nobody_elses = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        names = {"GIT_AUTHOR_NAME": AUTHOR, "GIT_COMMITTER_NAME": "Grace Hopper"}
        mails = {"GIT_AUTHOR_EMAIL": "ada@dev.example", "GIT_COMMITTER_EMAIL": "grace@dev.example"}
        dates = {"GIT_AUTHOR_DATE": at, "GIT_COMMITTER_DATE": at} if at else {}
        done = subprocess.run(
            ["git", *arguments],
            cwd=self._folder,
            env={**os.environ, **nobody_elses, **names, **mails, **dates},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


class GitHost:
    """The host, and where its pages are."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self.url = f"http://127.0.0.1:{port}"

    def create(self, name: str) -> Repository:
        """Make an empty repository that anybody may push to, and a clone of it."""
        bare = self._folder / "git" / f"{name}.git"
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=master", str(bare)], check=True)
        subprocess.run(["git", "-C", str(bare), "config", "http.receivepack", "true"], check=True)
        return Repository(self._folder / name, f"{self.url}/git/{name}.git")

    def cgit(self, name: str) -> str:
        """A repository's page in cgit."""
        return f"{self.url}/cgit/{name}.git"

    def gitweb(self, name: str) -> str:
        """A repository's page in gitweb."""
        return f"{self.url}/gitweb?p={name}.git"


@asynccontextmanager
async def serving_git(folder: Path) -> AsyncIterator[GitHost]:
    """Run the host on a free port until the block ends."""
    if missing := [package for package, program in NEEDED.items() if not program.exists()]:
        pytest.skip(f"not installed: as root, `make test-all` or apt-get install {' '.join(missing)}")
    (folder / "git").mkdir()
    port = free_port()
    (folder / "lighttpd.conf").write_text(LIGHTTPD.format(folder=folder, port=port))
    (folder / "cgitrc").write_text(f"virtual-root=/cgit/\nscan-path={folder}/git\ncache-size=0\n")
    (folder / "gitweb.conf").write_text(f'$projectroot = "{folder}/git";\n')
    server = await asyncio.create_subprocess_exec(NEEDED["lighttpd"], "-D", "-f", folder / "lighttpd.conf")
    try:
        await listens(port, folder / "lighttpd.log")
        yield GitHost(folder, port)
    finally:
        server.terminate()
        await server.wait()

"""Every check by its name: `.venv/bin/nox --list` shows them, `make` runs them.

They run in the environment that nox itself is in, the one made from `requirements-dev.lock`.
"""

import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

import nox
from babel.messages.catalog import Catalog

nox.needs_version = ">=2026.10.20"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "layers", "changelog", "tests", "coverage100"]

os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

# The tests that take longest wait for daemons: two of them share a core well.
PARALLEL = [f"--numprocesses={2 * (os.cpu_count() or 1)}", "--dist=worksteal"]
# Here a branch that no test takes could be a key that is never found, or a notice that says something else.
EXACT = [
    "leakwatch/core/*",
    "leakwatch/scan/*",
    "leakwatch/containers/*",
    "leakwatch/match/*",
    "leakwatch/notify/compose.py",
    "leakwatch/notify/views.py",
]
PACKAGES = [
    "cgit",
    "dokuwiki",
    "fossil",
    "gitweb",
    "libcgi-pm-perl",  # gitweb's
    "lighttpd",
    "mediawiki",
    "mercurial",
    "mitmproxy",
    "nginx-light",
    "php-cli",
    "php-sqlite3",
    "postfix",  # its smtp-sink
    "public-inbox",
]
BROWSER_PACKAGES = {"chromium": "chromium", "nodejs": "node", "npm": "npm"}  # by the command that may come otherwise
WATCHERS = ("libasan.so", "libubsan.so")
BROWSER_LOCK = Path("tests/browser/package-lock.json")

LOCALES = Path("leakwatch/notify/locale")


@nox.session
def lint(session: nox.Session) -> None:
    """Style, mistakes and format."""
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Types, strictly, in the package, the migrations, the tests and this file."""
    session.run("mypy")


@nox.session
def layers(session: nox.Session) -> None:
    """What may import what."""
    session.run("lint-imports", "--no-logo")


@nox.session
def changelog(session: nox.Session) -> None:
    """Whether the change has its fragment in `changelog.d/`, where there is a base to compare with."""
    base = os.environ.get("BASE", "origin/main")
    if not session.run("git", "branch", "--all", "--list", base, f"remotes/{base}", silent=True):
        session.skip(f"there is no {base} to compare with")
    session.run("towncrier", "check", "--compare-with", base)


@nox.session
def unit(session: nox.Session) -> None:
    """The tests that are done in seconds. Arguments after `--` go to pytest."""
    session.run("pytest", *PARALLEL, *(session.posargs or ["tests/unit", "tests/definitions"]))


@nox.session
def tests(session: nox.Session) -> None:
    """All tests but the peers', with coverage. Arguments after `--` go to pytest."""
    # Those that take longest begin first, so that none is left alone at the end.
    paths = session.posargs or ["tests/acceptance", "tests/integration", "tests/unit", "tests/definitions"]
    session.run("pytest", *PARALLEL, "--cov", "--cov-report=term-missing", *paths)


@nox.session
def coverage100(session: nox.Session) -> None:
    """Every branch of the stages that must not miss, from what `tests` measured."""
    session.run("coverage", "report", f"--include={','.join(EXACT)}", "--fail-under=100")


@nox.session
def peers(session: nox.Session) -> None:
    """The tests against other people's servers, after installing these; Debian's packages as root alone."""
    _install(session, "python", Path("requirements-peers.lock"))
    _install_npm(session, Path("tests/peers/node"), Path(".peers/node"))
    _install_npm(session, Path("tests/peers/contract"), Path(".peers/contract"))
    _install_packages(session, PACKAGES)
    session.run("pytest", *(session.posargs or ["--numprocesses=3", "--dist=loadfile", "tests/peers"]))


@nox.session
def browser(session: nox.Session) -> None:
    """The pages and mails in Chromium, after installing it and axe, which judges whether all can read them."""
    _install_packages(session, [name for name, command in BROWSER_PACKAGES.items() if not shutil.which(command)])
    _install_npm(session, BROWSER_LOCK.parent, Path(".peers/browser"))
    session.run("pytest", *(session.posargs or ["tests/browser"]))


def _install_npm(session: nox.Session, source: Path, target: Path) -> None:
    """Install what npm brings, where there is one; else its tests say that they are skipped."""
    wanted = (source / "package-lock.json").read_text()
    stamp = target / "stamp"
    if shutil.which("npm") is None or (stamp.exists() and stamp.read_text() == wanted):
        return
    target.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(source / name, target / name)
    session.run("npm", "ci", f"--prefix={target}", "--ignore-scripts", "--no-audit", "--no-fund", external=True)
    stamp.write_text(wanted)


def _install_packages(session: nox.Session, packages: Sequence[str]) -> None:
    """Install what Debian brings; who may not is told by the tests that are skipped."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    if missing := [package for package in packages if not _is_installed(session, package)]:
        session.run("apt-get", "update", "--quiet", silent=True, external=True)
        install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *missing]
        session.run(*install, env={"DEBIAN_FRONTEND": "noninteractive"}, silent=True, external=True)


def _is_installed(session: nox.Session, package: str) -> bool:
    """Whether dpkg has a package, wherever this release of Debian puts its files."""
    ask = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    said = session.run(*ask, silent=True, external=True, log=False, success_codes=[0, 1])
    return str(said).endswith("installed") and not str(said).endswith("not-installed")


def _install(session: nox.Session, name: str, lock: Path) -> None:
    """Install other people's programs into an environment of their own, unless that is what is there."""
    venv, wanted = Path(".peers") / name, lock.read_text()
    stamp = venv / "stamp"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    session.run(sys.executable, "-m", "venv", "--clear", str(venv))
    session.run(str(venv / "bin/pip"), "install", "-qq", "--no-deps", "--require-hashes", f"--requirement={lock}")
    stamp.write_text(wanted)


@nox.session
def outage(session: nox.Session) -> None:
    """A database that is away for a minute: longer than `tests` has time for."""
    session.run("pytest", "-k", "60", "tests/integration/outage/test_postgres_away.py", env={"LEAKWATCH_LONG": "1"})


@nox.session
def bench(session: nox.Session) -> None:
    """The yardsticks, against other scanners too. Arguments after `--` name those that are measured."""
    _install(session, "scanners", Path("requirements-scanners.lock"))
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Hostile inputs, guided by coverage, for ten minutes or as many seconds as stand after `--`."""
    _install(session, "fuzz", Path("requirements-fuzz.lock"))
    [libraries] = Path(".peers/fuzz").glob("lib/python*/site-packages")
    seconds = session.posargs[0] if session.posargs else "600"
    limits = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=3000", "-max_len=40000"]
    found = ["-artifact_prefix=.peers/fuzz/", "-print_final_stats=1"]
    command = ["python", "-m", "tests.fuzz", ".peers/fuzz/corpus", *limits, *found]
    session.run(*command, env={"PYTHONPATH": str(libraries)})


@nox.session
def translations(session: nox.Session) -> None:
    """Bring the catalogues up to date with what is said in English. What is new waits in each, not translated."""
    babel, template = ("python", "-m", "babel.messages.frontend"), LOCALES / "leakwatch.pot"
    said = ("--no-location", "--sort-output", "--omit-header")
    session.run(*babel, "extract", f"-F{LOCALES}/babel.cfg", "-k_message", *said, f"-o{template}", ".", silent=True)
    for catalogue in sorted(LOCALES.glob("*/LC_MESSAGES/leakwatch.po")):
        code = catalogue.parts[-3]
        kept = ("--width=110", "--no-fuzzy-matching", "--ignore-obsolete", "--omit-header")
        session.run(*babel, "update", f"-i{template}", f"-o{catalogue}", f"-l{code}", *kept, silent=True)
        # What Babel writes besides says nothing, and changes with each run.
        kinds = f"Plural-Forms: {Catalog(locale=code).plural_forms}"
        form = ("MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit")
        facts = (f"Language: {code}", *form, kinds)
        head = "".join(f'"{fact}\\n"\n' for fact in facts)
        catalogue.write_text(f'msgid ""\nmsgstr ""\n{head}\n{catalogue.read_text("utf-8").strip()}\n', "utf-8")


@nox.session
def sanitize(session: nox.Session) -> None:
    """The tests of the compiled core, each of its reads and sums watched (needs gcc), in a copy of the checkout."""
    watched = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    libraries = [session.run("gcc", f"-print-file-name={name}", silent=True, external=True) for name in WATCHERS]
    with tempfile.TemporaryDirectory() as copy:
        for name in ("leakwatch", "benchmarks", "tests"):
            shutil.copytree(name, Path(copy, name), ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        shutil.copy("pyproject.toml", copy)
        core, include = Path(copy, "leakwatch/core"), sysconfig.get_path("include")
        built = ["-o", str(core / "_fast.abi3.so"), str(core / "_fast.c"), f"-I{include}"]
        session.run(
            "gcc", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", *watched, *built, external=True
        )
        preloaded = {"LD_PRELOAD": " ".join(str(library).strip() for library in libraries), "PYTHONMALLOC": "malloc"}
        session.chdir(copy)
        session.run(
            "pytest", "tests/unit/core", env={**preloaded, "ASAN_OPTIONS": "detect_leaks=0", "PYTHONPATH": copy}
        )


@nox.session
def systemd(session: nox.Session) -> None:
    """The installation, the unit and the daemon under a real systemd, which boots in namespaces of its own."""
    session.run("pytest", *(session.posargs or ["tests/systemd"]))

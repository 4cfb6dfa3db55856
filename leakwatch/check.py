"""Everything that could keep the daemon from doing its work, found before it starts."""

import shutil
import stat
from collections.abc import AsyncIterator, Iterator
from typing import Final

from leakwatch import core, definitions, scan
from leakwatch.app import links, returns, webhooks
from leakwatch.config import Config, SourceConfig
from leakwatch.errors import ChannelUnusable, InputError, LeakwatchError, SecretError
from leakwatch.fetch import Session, poll
from leakwatch.fetch.source import Source, resolve
from leakwatch.match import intake
from leakwatch.notify import Channels, languages, usable
from leakwatch.pepper import Pepper
from leakwatch.store import registry, schema
from leakwatch.store.opening import connect
from leakwatch.toml import Problem, Problems

_OTHERS: Final = stat.S_IRWXO


async def problems(config: Config, *, live: bool) -> list[Problem]:
    """Return what is wrong with an installation, each with what to change; `live` also tries its peers."""
    found = [*_detectors(), *_definitions(config), *_secrets(config), *_bounces(config), *_notices(config)]
    sources, broken = _sources(config)
    found += broken
    found += _git(config, sources)
    found += [problem async for problem in _database(config)]
    if live:
        found += [problem async for problem in _mail(config)]
        found += [problem async for problem in _places(config, sources)]
    return found


def of_reload(config: Config) -> list[Problem]:
    """Return what would make a running daemon refuse this configuration: what its sources are made of."""
    return _sources(config)[1]


def warnings(config: Config) -> Iterator[Problem]:
    """Yield what keeps nothing from running and is hardly meant."""
    if not core.is_compiled:
        what = "what is compiled is missing: scanning takes several times as long"
        yield Problem(file="leakwatch", line=0, what=what, mend="install gcc and Python's headers, then leakwatch anew")
    if not config.notices.operator:
        what = "there is no operator: nobody is told of findings and of what goes wrong"
        yield config.problem(("notices", "operator"), what, 'write operator = ["mailto:you@host"] under [notices]')


def _detectors() -> Iterator[Problem]:
    try:
        scan.Scanner(scan.shipped())
    except LeakwatchError as error:
        yield from _told("detectors", error)


def _definitions(config: Config) -> Iterator[Problem]:
    for path in definitions.available(config.definitions_folder):
        try:
            definitions.load(path)
        except LeakwatchError as error:
            yield from _told(str(path), error)


def _sources(config: Config) -> tuple[list[Source], list[Problem]]:
    try:
        return resolve(config), []
    except LeakwatchError as error:
        return [], list(_told(str(config.path), error))


def _git(config: Config, sources: list[Source]) -> Iterator[Problem]:
    """What keeps repositories from being fetched, where there are any."""
    if not any(source.definition.kind == "git" or source.definition.document.opens == "git" for source in sources):
        return
    if shutil.which("git") is None:
        yield Problem(file="git", line=0, what="git is not installed", mend="install git 2.39 or later")
    try:
        config.git.place.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        what = f"the folder of the mirrors cannot be made: {error.strerror}"
        yield Problem(file=str(config.git.place), line=0, what=what, mend="name another one as git.folder")


def _secrets(config: Config) -> Iterator[Problem]:
    for read in (
        lambda: Pepper(config.pepper()),
        config.smtp_password,
        config.database_password,
        lambda: links(config),
        lambda: returns(config),
        config.webhook_secrets,
    ):
        try:
            read()
        except LeakwatchError as error:
            yield from _told(str(config.path), error)
    files: tuple[str | None, ...] = (
        config.matching.pepper_file,
        config.email.password_file,
        config.database.password_file,
        config.web.signing_key_file,
        *(webhook.secret_file for webhook in config.webhooks),
        *(file for source in config.sources for file in _files(source)),
        *(app.key_file for source in config.sources for app in source.apps),
    )
    for file in dict.fromkeys(filter(None, files)):
        yield from _exposed(config, file)


def _notices(config: Config) -> Iterator[Problem]:
    """Build what sends, without connecting; and what the operator is to be told on, and how."""
    try:
        Channels(config.email, config.smtp_password(), webhooks=webhooks(config))
    except SecretError:
        pass  # said already, by who reads it
    except LeakwatchError as error:
        yield from _told(str(config.path), error)
    for index, url in enumerate(config.notices.operator):
        try:
            usable(url, trusted=True)
        except ChannelUnusable as error:
            yield config.problem(("notices", "operator", index), error.message, error.mend)
    try:
        intake.locale(config.notices.operator_locale, sorted(languages()))
    except InputError as error:
        yield config.problem(("notices", "operator_locale"), error.message, error.mend)


def _bounces(config: Config) -> Iterator[Problem]:
    """Mail that comes back must reach us, and what reaches us must be told from other mail."""
    read = config.bounces.maildir or config.bounces.lmtp
    if config.email.return_path and not read:
        what = "mail that comes back to return_path is not read"
        yield config.problem(("email", "return_path"), what, "name bounces.maildir or bounces.lmtp")
    if read and not config.email.return_path:
        what = "nothing comes back: notices have no return path of their own"
        yield config.problem(("bounces",), what, "name email.return_path")
    if config.maildir is not None and not (config.maildir / "new").is_dir():
        what = f"{config.maildir} is no Maildir"
        yield config.problem(("bounces", "maildir"), what, "make it, with cur, new and tmp in it, ours to write")


def _files(source: SourceConfig) -> tuple[str | None, ...]:
    return source.token_file, source.proxy_password_file, source.push_secret_file


def _exposed(config: Config, file: str) -> Iterator[Problem]:
    try:
        path = config.secret_path(file)
        mode = path.stat().st_mode
    except (OSError, LeakwatchError):
        return  # said already, by who reads it
    if mode & _OTHERS:
        yield Problem(file=str(path), line=0, what="everybody may read this secret", mend=f"chmod o-rwx {path}")


async def _database(config: Config) -> AsyncIterator[Problem]:
    try:
        database = connect(config)
        try:
            await schema.check(database)
            async with database.reading() as tx:
                await registry.check_pepper(tx, Pepper(config.pepper()).fingerprint)
        finally:
            await database.close()
    except LeakwatchError as error:
        for problem in _told("database", error):
            yield problem


async def _mail(config: Config) -> AsyncIterator[Problem]:
    try:
        channels = Channels(config.email, config.smtp_password())
        try:
            await channels.probe()
        finally:
            await channels.close()
    except LeakwatchError as error:
        for problem in _told(config.email.smtp, error):
            yield problem


async def _places(config: Config, sources: list[Source]) -> AsyncIterator[Problem]:
    async with Session(config.http, config.git) as session:
        for source in sources:
            place = f"source {source.name}"
            await session.prove(source)
            try:
                await poll(session, source, None)
            except LeakwatchError as error:
                for problem in _told(place, error):
                    yield problem
            for fault in session.faults(source):
                yield Problem(file=place, line=0, what=fault)


def _told(place: str, error: LeakwatchError) -> Iterator[Problem]:
    if isinstance(error, Problems):
        yield from error.problems
    else:
        yield Problem(file=place, line=0, what=f"{error.reason}: {error.message}", mend=error.mend)

"""The operator's one TOML file, read into types; secrets come from files or the environment, never from it."""

import ipaddress
import os
import re
from dataclasses import replace
from datetime import time
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, PrivateAttr

from leakwatch.errors import ConfigError, SecretError
from leakwatch.secret_files import expand, read_secret
from leakwatch.toml import Problem, Problems, Strict, line_of, read
from leakwatch.units import Clock, Duration, Growing, QuietHours, Rate, RateField, Size
from leakwatch.values import (
    AppId,
    ChannelUrl,
    Contact,
    DatabaseUrl,
    Digest,
    Folder,
    Helo,
    IpNetwork,
    Listen,
    Mailbox,
    Name,
    Place,
    Proxy,
    PublicUrl,
    SmtpUrl,
    WebhookUrl,
    WebUrl,
)

LOCATIONS: Final = (Path("/etc/leakwatch/leakwatch.toml"), Path("leakwatch.toml"))
_CACHE: Final = Path("/var/cache/leakwatch")  # the unit's CacheDirectory
_LEAST_SECRET: Final = 16  # characters that nobody guesses
_WEBHOOK_SECRET: Final = re.compile(r"whsec_(?:[A-Za-z0-9+/]{4}){8,21}(?:[A-Za-z0-9+/]{2,3}={0,2})?")


class DatabaseConfig(Strict):
    """Where everything durable is kept."""

    url: Annotated[DatabaseUrl, Field(examples=["sqlite:////var/lib/leakwatch/leakwatch.db"])]
    password_file: str | None = None


class MatchingConfig(Strict):
    """How customers' digests are kept and compared."""

    pepper_file: str | None = None
    schemes: Annotated[list[Literal["sha256"]], Field(min_length=1)] = ["sha256"]


class HttpConfig(Strict):
    """How we fetch: who we say we are, what we never wait for, what we never read."""

    user_agent: Annotated[Contact, Field(examples=["leakwatch (+https://issuer.example; security@issuer.example)"])]
    allow_networks: list[IpNetwork] = []
    connect_timeout: Duration = 10.0
    read_timeout: Duration = 20.0
    total_timeout: Duration = 60.0
    max_bytes: Size = 10_000_000
    redirects: Annotated[int, Field(ge=0, le=20)] = 5
    rate: RateField = Rate(1, 1.0)
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 2

    @cached_property
    def networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """The private networks that sources may reach."""
        return tuple(ipaddress.ip_network(n) for n in self.allow_networks)


class GitConfig(Strict):
    """Where repositories are mirrored, and what they may take of time and disk."""

    folder: Folder | None = None
    budget: Size = 20_000_000_000
    max_bytes: Size = 2_000_000_000
    timeout: Duration = 900.0

    @cached_property
    def place(self) -> Path:
        """The folder of the mirrors: the one that is named, the service's or the user's cache."""
        if self.folder:
            return Path(expand(self.folder))
        if service := os.environ.get("CACHE_DIRECTORY", "").partition(":")[0]:
            return Path(service) / "git"
        if os.access(_CACHE, os.W_OK):  # the command line, run as the service's user
            return _CACHE / "git"
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "leakwatch" / "git"


class NoticesConfig(Strict):
    """When notices are sent, and what the operator is told."""

    hold: bool = False
    breaker: RateField = Rate(100, 3600.0)
    operator: list[ChannelUrl] = []
    operator_locale: str = "en"
    retry_for: Duration = 259_200.0
    digest: Duration = 86_400.0
    summary: Clock = time(7)
    late_after: Duration = 1800.0
    reminders: Growing = [86_400.0, 259_200.0, 604_800.0, 1_209_600.0]


class EmailConfig(Strict):
    """The mail server that takes our notices, and who they are from."""

    sender: Annotated[Mailbox, Field(alias="from", examples=["Example Security <security@issuer.example>"])]
    reply_to: Mailbox | None = None
    return_path: Mailbox | None = None
    smtp: Annotated[SmtpUrl, Field(examples=["smtps://mailer@mail.issuer.example:465"])]
    password_file: str | None = None
    helo: Helo | None = None
    timeout: Duration = 60.0
    connections: Annotated[int, Field(ge=1, le=100)] = 2

    @cached_property
    def server(self) -> SplitResult:
        """The server's URL in its parts."""
        return urlsplit(self.smtp)


class BouncesConfig(Strict):
    """How mail that comes back reaches us."""

    maildir: str | None = None
    lmtp: Listen | None = None
    every: Duration = 30.0


class WebConfig(Strict):
    """Health, readiness and metrics; the customer's page, where it has an address."""

    listen: Listen = "127.0.0.1:8321"
    public_url: PublicUrl | None = None
    signing_key_file: str | None = None
    links_valid: Duration = 7_776_000.0
    proxies: list[IpNetwork] = ["127.0.0.0/8", "::1/128"]

    @cached_property
    def proxy_networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """The networks of proxies whose word on who asks is taken."""
        return tuple(ipaddress.ip_network(n) for n in self.proxies)


class WebhookConfig(Strict):
    """A program of the issuer's that is told of each finding."""

    name: Name = "webhook"
    url: WebhookUrl
    secret_file: str
    allow_networks: list[IpNetwork] = []
    timeout: Duration = 15.0

    @cached_property
    def networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """The private networks in which it may be."""
        return tuple(ipaddress.ip_network(n) for n in self.allow_networks)


class LogConfig(Strict):
    """What is logged, and in which form."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "human", "json"] = "auto"


class CanaryConfig(Strict):
    """A document that the operator has published there, and the digest of the made-up key in it."""

    url: WebUrl
    digest: Digest
    every: Duration = 21_600.0


class AppConfig(Strict):
    """A GitHub App: its number or client id, where it is installed, and its private key."""

    id: AppId
    installation: Annotated[int, Field(ge=1)]
    key_file: str


class SourceConfig(Strict):
    """One place to watch: a definition and what differs here."""

    use: Name
    name: Name | None = None
    enabled: bool | None = None  # None: as the definition says
    base_url: Place | None = None
    parameters: dict[str, str] = {}
    every: Duration | None = None
    fastest: Duration | None = None
    slowest: Duration | None = None
    quiet: QuietHours | None = None
    rate: RateField | None = None
    concurrency: Annotated[int, Field(ge=1, le=1000)] | None = None
    max_bytes: Size | None = None
    observe: bool = False
    backlog: Literal["scan", "skip"] = "scan"
    robots: Literal["obey", "ignore"] = "obey"
    proxy: Proxy | None = None
    proxy_password_file: str | None = None
    token_file: str | None = None
    apps: list[AppConfig] = []
    push_secret_file: str | None = None
    abuse: str | None = None
    canary: CanaryConfig | None = None
    override: dict[str, Any] = {}

    @property
    def key(self) -> str:
        """The source's name everywhere: its own, or the definition's."""
        return self.name or self.use


class SecretProblem(SecretError):
    """A credential that the configuration names, or has to name, and that cannot be used."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(replace(problem, mend="")), mend=problem.mend)
        self.problem = problem


class Config(Strict):
    """The whole file."""

    definitions: str = "sources"
    database: DatabaseConfig
    matching: MatchingConfig = MatchingConfig()
    http: HttpConfig
    git: GitConfig = GitConfig()
    notices: NoticesConfig = NoticesConfig()
    email: EmailConfig
    bounces: BouncesConfig = BouncesConfig()
    web: WebConfig = WebConfig()
    log: LogConfig = LogConfig()
    webhooks: Annotated[list[WebhookConfig], Field(alias="webhook")] = []
    sources: Annotated[list[SourceConfig], Field(alias="source")] = []

    _path: Path = PrivateAttr(default=Path("leakwatch.toml"))

    @property
    def path(self) -> Path:
        """The file that this was read from."""
        return self._path

    @property
    def definitions_folder(self) -> Path:
        """The operator's own definitions: beside the configuration unless said otherwise."""
        return self.path.parent / self.definitions

    def pepper(self) -> bytes:
        """Read the pepper. Raises SecretError."""
        return self._secret("pepper", ("matching", "pepper_file"), "LEAKWATCH_PEPPER", required=True).encode()

    def smtp_password(self) -> str | None:
        """Read the mail server's password, or None where there is none. Raises SecretError."""
        return self._secret("SMTP password", ("email", "password_file"), "LEAKWATCH_SMTP_PASSWORD") or None

    def database_password(self) -> str | None:
        """Read the database's password, or None where there is none. Raises SecretError."""
        return self._secret("database password", ("database", "password_file"), "LEAKWATCH_DATABASE_PASSWORD") or None

    def signing_keys(self) -> list[bytes] | None:
        """Read the keys that sign what only we can have made, the newest first; None where there is none.

        They are required as soon as something needs them. Raises SecretError.
        """
        required = self.web.public_url is not None or self.email.return_path is not None
        setting = ("web", "signing_key_file")
        lines = self._secret("signing key", setting, "LEAKWATCH_SIGNING_KEY", required=required).splitlines()
        return [line.strip().encode() for line in lines if line.strip()] or None

    def webhook_secrets(self) -> dict[str, list[str]]:
        """Read what signs each webhook, by its name: one secret, or several, one a line. Raises SecretError."""
        secrets: dict[str, list[str]] = {}
        for index, webhook in enumerate(self.webhooks):
            setting = ("webhook", index, "secret_file")
            lines = self._read("webhook secret", webhook.secret_file, setting).split()
            if not all(_WEBHOOK_SECRET.fullmatch(line) for line in lines):
                mend = "write whsec_ and 24 to 64 random bytes in base64: echo whsec_$(openssl rand -base64 32)"
                raise SecretProblem(self.problem(setting, "the webhook secret is none", mend))
            secrets[webhook.name] = lines
        return secrets

    def token(self, index: int) -> str:
        """Read the token of the source with that index, or "" where it has none. Raises SecretError."""
        return self._secret_of_source("token", index, "token_file")

    def app_keys(self, index: int) -> list[str]:
        """Read the private keys of the Apps of the source with that index, in their order. Raises SecretError."""
        apps = enumerate(self.sources[index].apps)
        return [self._read("private key", app.key_file, ("source", index, "apps", n, "key_file")) for n, app in apps]

    def proxy_password(self, index: int) -> str:
        """Read the password for the proxy of the source with that index, or "". Raises SecretError."""
        return self._secret_of_source("proxy password", index, "proxy_password_file")

    def push_secrets(self, index: int) -> tuple[str, ...]:
        """Read of what who pushes to the source with that index must know one, the newest first. Raises SecretError."""
        lines = map(str.strip, self._secret_of_source("push secret", index, "push_secret_file").splitlines())
        secrets = [line for line in lines if line]
        for number, secret in enumerate(secrets, 1):
            if len(secret) < _LEAST_SECRET:
                what = f"the push secret, number {number} in its file, has fewer than {_LEAST_SECRET} characters"
                mend = "make one: openssl rand -hex 32"
                raise SecretProblem(self.problem(("source", index, "push_secret_file"), what, mend))
        return tuple(dict.fromkeys(secrets))

    def secret_path(self, file: str) -> Path:
        """Return where a secret is that the configuration names. Raises SecretError for a variable that is not set."""
        return self.path.parent / expand(file, credentials=self.path.parent / "credentials")

    @property
    def maildir(self) -> Path | None:
        """Where mail that came back lies."""
        return None if self.bounces.maildir is None else self.path.parent / self.bounces.maildir

    def problem(self, setting: tuple[str | int, ...], what: str, mend: str = "") -> Problem:
        """Return what is wrong with a setting, with the line where it stands, or should."""
        line = line_of(_text(self.path), setting)
        return Problem(file=str(self.path), line=line, what=what, mend=mend)

    def _secret_of_source(self, name: str, index: int, setting: str) -> str:
        file: str | None = getattr(self.sources[index], setting)
        return "" if file is None else self._read(name, file, ("source", index, setting))

    def _secret(self, name: str, setting: tuple[str, str], variable: str, *, required: bool = False) -> str:
        table, key = setting
        file: str | None = getattr(getattr(self, table), key)
        if file is not None:
            return self._read(name, file, setting)
        if value := os.environ.get(variable, ""):
            return value
        if required:
            mend = f"name its file in {self.path}, or set {variable}"
            raise SecretProblem(self.problem(setting, f"there is no {name}", mend))
        return ""

    def _read(self, name: str, file: str, setting: tuple[str | int, ...]) -> str:
        try:
            return read_secret(name, self.secret_path(file))
        except SecretError as error:
            raise SecretProblem(self.problem(setting, error.message, error.mend)) from error


def load(path: Path | None = None) -> Config:
    """Read the configuration from a file, or from the first of `LOCATIONS` that exists. Raises ConfigError."""
    path = path or find()
    if not _is_there(path):
        message = f"{path}: cannot be read: No such file or directory"
        raise ConfigError(message, mend="name the configuration with -c or LEAKWATCH_CONFIG")
    config = read(path, Config)
    config._path = path.absolute()  # noqa: SLF001 - the model's own constructor has no place for it
    _check_names(config)
    return config


def find() -> Path:
    """Return the file that the environment names, or the first of `LOCATIONS` that exists. Raises ConfigError."""
    named = os.environ.get("LEAKWATCH_CONFIG")
    if named:
        return Path(named)
    for path in LOCATIONS:
        if _is_there(path):
            return path
    message = "there is no configuration"
    raise ConfigError(message, mend=f"name one with -c or LEAKWATCH_CONFIG, or write {LOCATIONS[0]}")


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return True  # as far as we may see: who reads it will say what is wrong


def _text(path: Path) -> str:
    """The file again, for its lines; "" when it is gone or was never one."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _check_names(config: Config) -> None:
    text = config.path.read_text(encoding="utf-8")
    twice: list[Problem] = []
    tables = {"source": [s.key for s in config.sources], "webhook": [w.name for w in config.webhooks]}
    for table, names in tables.items():
        for index, name in enumerate(names):
            if name in names[:index]:
                line = line_of(text, (table, index, "name")) or line_of(text, (table, index))
                what = f"a second {table} named {name}"
                twice.append(Problem(file=str(config.path), line=line, what=what, mend="give it a name of its own"))
    if twice:
        raise Problems(twice)

"""The operator's one TOML file, read into types; secrets come from files or the environment, never from it."""

import ipaddress
import os
import re
from dataclasses import replace
from email.utils import parseaddr
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, PrivateAttr

from leakwatch.errors import ConfigError, SecretError
from leakwatch.toml import Problem, Problems, Strict, line_of, read
from leakwatch.units import Duration, QuietHours, Rate, RateField, Size

LOCATIONS: Final = (Path("/etc/leakwatch/leakwatch.toml"), Path("leakwatch.toml"))
_CACHE: Final = Path("/var/cache/leakwatch")  # the unit's CacheDirectory
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_LAST_PORT: Final = 65_535
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def _network(value: str) -> str:
    ipaddress.ip_network(value)
    return value


def _no_password(value: str) -> str:
    if urlsplit(value).password is not None:
        message = "a password does not stand in the configuration: use password_file or the environment"
        raise ValueError(message)
    return value


def _contact(value: str) -> str:
    if "@" not in value and "+http" not in value:
        message = "name a contact: an address, or a page as +https://…"
        raise ValueError(message)
    if not value.isprintable():
        message = "a header is one line of printable characters"
        raise ValueError(message)
    return value


def _mailbox(value: str) -> str:
    if "@" not in parseaddr(value)[1] or not value.isprintable():
        message = 'write a mailbox as "Name <user@host>"'
        raise ValueError(message)
    return value


def _web_url(value: str) -> str:
    parts = urlsplit(_no_password(value))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        message = "write a web address: https://host/path"
        raise ValueError(message)
    _port(parts)
    return value


def _port(parts: SplitResult) -> None:
    try:
        _ = parts.port  # raises ValueError for one that is none
    except ValueError:
        message = "the port is a number up to 65535"
        raise ValueError(message) from None  # the error itself repeats what may be half a password


def _database_url(value: str) -> str:
    parts = urlsplit(_no_password(value))
    kind = parts.scheme.partition("+")[0]
    if kind not in ("sqlite", "postgresql"):
        message = f"{kind or 'this'} is no database that we know: write sqlite:////path or postgresql://user@host/name"
        raise ValueError(message)
    _port(parts)
    return value


def _smtp_url(value: str) -> str:
    parts = urlsplit(_no_password(value))
    if parts.scheme not in ("smtps", "smtp", "smtp+insecure") or not parts.hostname:
        message = "write smtps://user@host:465 (TLS), smtp://user@host:587 (STARTTLS) or smtp+insecure://localhost:25"
        raise ValueError(message)
    _port(parts)
    return value


def _channel(value: str) -> str:
    if ":" not in value or not value.isprintable():
        message = "write a channel as mailto:user@host or as an Apprise URL"
        raise ValueError(message)
    return value


def _listen(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and int(port) <= _LAST_PORT):
        message = 'write an address as "127.0.0.1:8321", with a port up to 65535'
        raise ValueError(message)
    return value


def _source_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        message = "a name is made of a-z, 0-9, '.', '_' and '-', 64 at the most"
        raise ValueError(message)
    return value


def _place(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme == "file" and parts.path.startswith("/") and not parts.netloc:
        return value
    return _web_url(value)


def _proxy(value: str) -> str:
    parts = urlsplit(_no_password(value))
    if parts.scheme not in ("http", "socks5", "socks5h") or not parts.hostname or parts.path not in ("", "/"):
        message = 'write a proxy as "http://host:3128", "socks5://host:1080", or for Tor "socks5h://127.0.0.1:9050"'
        raise ValueError(message)
    _port(parts)
    return value


Mailbox = Annotated[str, AfterValidator(_mailbox)]
WebUrl = Annotated[str, AfterValidator(_web_url)]
Place = Annotated[str, AfterValidator(_place)]
Proxy = Annotated[str, AfterValidator(_proxy)]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Name = Annotated[str, AfterValidator(_source_name)]


class DatabaseConfig(Strict):
    """Where everything durable is kept."""

    url: Annotated[str, AfterValidator(_database_url), Field(examples=["sqlite:////var/lib/leakwatch/leakwatch.db"])]
    password_file: str | None = None


class MatchingConfig(Strict):
    """How customers' digests are kept and compared."""

    pepper_file: str | None = None
    schemes: Annotated[list[Literal["sha256"]], Field(min_length=1)] = ["sha256"]


class HttpConfig(Strict):
    """How we fetch: who we say we are, what we never wait for, what we never read."""

    user_agent: Annotated[
        str, AfterValidator(_contact), Field(examples=["leakwatch (+https://issuer.example; security@issuer.example)"])
    ]
    allow_networks: list[Annotated[str, AfterValidator(_network)]] = []
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


def _absolute(value: str) -> str:
    if not value.startswith(("/", "${")):
        message = "write an absolute path: /var/cache/leakwatch/git"
        raise ValueError(message)
    return value


class GitConfig(Strict):
    """Where repositories are mirrored, and what they may take of time and disk."""

    folder: Annotated[str, AfterValidator(_absolute)] | None = None
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
    operator: list[Annotated[str, AfterValidator(_channel)]] = []
    operator_locale: str = "en"
    retry_for: Duration = 259_200.0


class EmailConfig(Strict):
    """The mail server that takes our notices, and who they are from."""

    sender: Annotated[Mailbox, Field(alias="from", examples=["Example Security <security@issuer.example>"])]
    reply_to: Mailbox | None = None
    smtp: Annotated[str, AfterValidator(_smtp_url), Field(examples=["smtps://mailer@mail.issuer.example:465"])]
    password_file: str | None = None
    timeout: Duration = 60.0
    connections: Annotated[int, Field(ge=1, le=100)] = 2

    @cached_property
    def server(self) -> SplitResult:
        """The server's URL in its parts."""
        return urlsplit(self.smtp)


class WebConfig(Strict):
    """Health, readiness and metrics."""

    listen: Annotated[str, AfterValidator(_listen)] = "127.0.0.1:8321"


class LogConfig(Strict):
    """What is logged, and in which form."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "human", "json"] = "auto"


class CanaryConfig(Strict):
    """A document that the operator has published there, and the digest of the made-up key in it."""

    url: WebUrl
    digest: Digest
    every: Duration = 21_600.0


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
    token_file: str | None = None
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
    web: WebConfig = WebConfig()
    log: LogConfig = LogConfig()
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

    def token(self, index: int) -> str:
        """Read the token of the source with that index, or "" where it has none. Raises SecretError."""
        file = self.sources[index].token_file
        if file is None:
            return ""
        try:
            return _read_secret("token", self.secret_path(file))
        except SecretError as error:
            problem = self.problem(("source", index, "token_file"), error.message, error.mend)
            raise SecretProblem(problem) from error

    def secret_path(self, file: str) -> Path:
        """Return where a secret is that the configuration names. Raises SecretError for a variable that is not set."""
        return self.path.parent / expand(file, credentials=self.path.parent / "credentials")

    def problem(self, setting: tuple[str | int, ...], what: str, mend: str = "") -> Problem:
        """Return what is wrong with a setting, with the line where it stands, or should."""
        line = line_of(_text(self.path), setting)
        return Problem(file=str(self.path), line=line, what=what, mend=mend)

    def _secret(self, name: str, setting: tuple[str, str], variable: str, *, required: bool = False) -> str:
        table, key = setting
        file: str | None = getattr(getattr(self, table), key)
        if file is not None:
            try:
                return _read_secret(name, self.secret_path(file))
            except SecretError as error:
                raise SecretProblem(self.problem(setting, error.message, error.mend)) from error
        if value := os.environ.get(variable, ""):
            return value
        if required:
            mend = f"name its file in {self.path}, or set {variable}"
            raise SecretProblem(self.problem(setting, f"there is no {name}", mend))
        return ""


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


def expand(text: str, *, credentials: Path | None = None) -> str:
    """Replace ``${NAME}`` by the environment's value. Raises SecretError where there is none.

    Outside of the unit nobody sets CREDENTIALS_DIRECTORY: then it is `credentials`, if that folder exists.
    """

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if not found and match[1] == "CREDENTIALS_DIRECTORY" and credentials is not None and credentials.is_dir():
            return str(credentials)
        if not found:
            message = f"{match[0]} is not set"
            mend = "systemd sets CREDENTIALS_DIRECTORY; else set it, or make `credentials` beside the configuration"
            raise SecretError(message, mend=mend)
        return found

    return _VARIABLE.sub(value, text)


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
    seen: set[str] = set()
    text = config.path.read_text(encoding="utf-8")
    twice: list[Problem] = []
    for index, source in enumerate(config.sources):
        if source.key in seen:
            line = line_of(text, ("source", index, "name")) or line_of(text, ("source", index))
            what = f"a second source named {source.key}"
            twice.append(Problem(file=str(config.path), line=line, what=what, mend="give it a name of its own"))
        seen.add(source.key)
    if twice:
        raise Problems(twice)


def _read_secret(name: str, path: Path) -> str:
    try:
        value = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        message = f"the {name} in {path} cannot be read: {why}"
        raise SecretError(message, mend="check the path and who may read it") from error
    if not value:
        message = f"the {name} in {path} is empty"
        raise SecretError(message, mend="write it there, on one line; under systemd into the file of LoadCredential=")
    return value

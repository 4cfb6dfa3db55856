"""The configuration: what is wrong is said with file, line and mend; secrets come from elsewhere."""

import base64
import os
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from leakwatch import config as module
from leakwatch.config import Config, GitConfig, load
from leakwatch.errors import ConfigError, SecretError
from leakwatch.secret_files import expand
from leakwatch.toml import Problems

GOOD = """\
definitions = "mine"

[database]
url = "postgresql://leakwatch@db.issuer.example/leakwatch"

[matching]
pepper_file = "${CREDENTIALS_DIRECTORY}/pepper"

[http]
user_agent = "leakwatch (+https://issuer.example/leakwatch)"
allow_networks = ["10.0.0.0/8"]
rate = "5/s"

[notices]
operator = ["mailto:soc@issuer.example"]
breaker = "100/h"

[email]
from = "Security <security@issuer.example>"
smtp = "smtps://mailer@mail.issuer.example:465"

[web]
listen = "127.0.0.1:8321"

[[source]]
use = "bepasty"
base_url = "https://paste.example/"

[[source]]
name = "second"
use = "bepasty"
base_url = "https://paste2.example"
every = "90s"
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CONFIG", "PEPPER", "SMTP_PASSWORD", "DATABASE_PASSWORD", "SIGNING_KEY"):
        monkeypatch.delenv(f"LEAKWATCH_{name}", raising=False)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    return tmp_path / "leakwatch.toml"


def configured(path: Path, *changes: tuple[str, str]) -> Config:
    text = GOOD
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text)
    return load(path)


def test_a_good_file_is_read(path: Path) -> None:
    config = configured(path)

    assert config.path == path
    assert config.definitions_folder == path.parent / "mine"
    assert [one.key for one in config.sources] == ["bepasty", "second"]
    assert config.sources[0].base_url == "https://paste.example/"
    assert config.http.rate.interval == 0.2
    assert [str(one) for one in config.http.networks] == ["10.0.0.0/8"]
    assert (config.email.server.hostname, config.email.server.port) == ("mail.issuer.example", 465)


@pytest.mark.parametrize(
    ("good", "bad", "line", "says"),
    [
        ('url = "postgresql:', 'urll = "postgresql:', 4, "did you mean url"),
        ("[database]", "[databas]", 3, "did you mean database"),
        ("leakwatch@db", "leakwatch:s3cret@db", 4, "password_file"),
        ("leakwatch (+https://issuer.example/leakwatch)", "leakwatch", 10, "name a contact"),
        ("leakwatch (+https://issuer.example/leakwatch)", "a@b\\nX: y", 10, "one line"),
        ("10.0.0.0/8", "10.0.0.1/8", 11, "host bits"),
        ("10.0.0.0/8", "ten", 11, "http.allow_networks"),
        ('rate = "5/s"', "rate = 5", 12, "write a rate as"),
        ('rate = "5/s"', 'rate = "0/s"', 12, "write a rate as"),
        ('rate = "5/s"', 'read_timeout = "soon"', 12, "write a duration as"),
        ('rate = "5/s"', 'max_bytes = "much"', 12, "write a size as"),
        ('rate = "5/s"', "redirects = 21", 12, "less than or equal to 20"),
        ('rate = "5/s"', 'concurrency = "2"', 12, "valid integer"),
        ('"mailto:soc@issuer.example"', '"soc"', 15, "mailto:user@host"),
        ("Security <security@issuer.example>", "Security", 19, "Name <user@host>"),
        ("smtps://mailer@", "https://mailer@", 20, "smtps://user@host:465"),
        ("mailer@mail", "mailer:s3cret@mail", 20, "password_file"),
        ("127.0.0.1:8321", "8321", 23, "127.0.0.1:8321"),
        ("127.0.0.1:8321", "127.0.0.1:65536", 23, "up to 65535"),
        ("127.0.0.1:8321", "127.0.0.1:²", 23, "127.0.0.1:8321"),
        ("issuer.example:465", "issuer.example:xx", 20, "number up to 65535"),
        ("issuer.example:465", "issuer.example:99999", 20, "number up to 65535"),
        ('example:465"', 'example:465"\nhelo = "our host"', 21, 'write a full name as "leakwatch.issuer.example"'),
        ("db.issuer.example/", "db.issuer.example:xx/", 4, "number up to 65535"),
        ("postgresql://", "oracle://", 4, "oracle is no database that we know: write sqlite:////path or postgresql://"),
        ('rate = "5/s"', "total_timeout = 0.0", 12, "more than nothing"),
        ('rate = "5/s"', "total_timeout = nan", 12, "more than nothing"),
        ('rate = "5/s"', "max_bytes = -1", 12, "write a size as"),
        ('breaker = "100/h"', 'summary = "7:00"', 16, "write a time of day as"),
        ('breaker = "100/h"', 'summary = "24:00"', 16, "write a time of day as"),
        ('breaker = "100/h"', 'reminders = ["2d", "1d"]', 16, "at least as long as the one before"),
        ('breaker = "100/h"', "hold = 1", 16, "write true or false"),
        ('user_agent = "', '# "', 9, 'http.user_agent is missing (write user_agent = "'),
        ('use = "bepasty"', 'use = "../bepasty"', 26, "a name is made of"),
        ('use = "bepasty"', "", 25, "source.0.use is missing"),
        ("https://paste.example/", "paste.example", 27, "https://host/path"),
        ("https://paste.example/", "https://u:s3cret@paste.example/", 27, "password"),
        ("https://paste.example/", "https://paste.example:99999/", 27, "number up to 65535"),
        ('every = "90s"', 'backlog = "maybe"', 33, "'scan' or 'skip'"),
        ('name = "second"', "", 29, "a second source named bepasty (give it a name of its own)"),
        ('name = "second"', 'name = "bepasty"', 30, "a second source named bepasty"),
        ('listen = "127.0.0.1:8321"', 'public_url = "http://leakwatch.example"', 23, "https://host"),
        ('listen = "127.0.0.1:8321"', 'public_url = "https://leakwatch.example/?x"', 23, "https://host"),
        ('listen = "127.0.0.1:8321"', 'proxies = ["10.0.0.1/8"]', 23, "host bits"),
        ("[[source]]", '[[webhook]]\nurl = "http://hook.example"\n[[source]]', 26, "https://host/path"),
        ("[[source]]", '[[webhook]]\nurl = "https://u@hook.example"\n[[source]]', 26, "https://host/path"),
        ('every = "90s"', "every = 90s", 33, "is not TOML"),
    ],
)
def test_what_is_wrong_is_said_with_file_line_and_mend(path: Path, good: str, bad: str, line: int, says: str) -> None:
    with pytest.raises(Problems) as caught:
        configured(path, (good, bad))

    (problem,) = [one for one in caught.value.problems if one.line == line]
    assert str(problem).startswith(f"{path}:{line}: ")
    assert says in str(problem)
    assert "s3cret" not in str(caught.value)


def test_a_table_that_is_missing_is_shown_at_its_least(path: Path) -> None:
    with pytest.raises(Problems, match=r'http is missing \(write \[http\] and below it user_agent = "'):
        configured(path, ("[http]", "[https]"))


def test_everything_that_is_wrong_is_said_at_once(path: Path) -> None:
    with pytest.raises(Problems) as caught:
        configured(path, ('rate = "5/s"', "rate = 5"), ("127.0.0.1:8321", "8321"), ("[email]", "[emial]"))

    assert {one.line for one in caught.value.problems} >= {12, 18, 23}
    assert "email is missing" in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"leakwatch\.toml: cannot be read: No such file.* -c or LEAKWATCH_CONFIG"):
        load(path)
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="it is not UTF-8"):
        load(path)


def test_the_file_is_found_by_the_environment_or_where_it_usually_is(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOCATIONS", (path.parent / "none.toml", path))
    with pytest.raises(ConfigError, match="there is no configuration") as caught:
        load()
    assert "-c or LEAKWATCH_CONFIG" in caught.value.mend

    configured(path)
    assert load().path == path
    other = path.with_name("other.toml")
    other.write_text(GOOD)
    monkeypatch.setenv("LEAKWATCH_CONFIG", str(other))
    assert load().path == other


# --- secrets


def test_a_secret_is_read_from_its_file_without_the_final_newline(path: Path) -> None:
    (path.parent / "pepper").write_text("  the pepper\n")
    assert configured(path).pepper() == b"the pepper"


def test_a_relative_file_lies_beside_the_configuration(path: Path) -> None:
    (path.parent / "keys").mkdir()
    (path.parent / "keys" / "smtp").write_text("s3cret\n")
    config = configured(path, ("[web]", 'password_file = "keys/smtp"\n[web]'))

    assert config.smtp_password() == "s3cret"


@pytest.mark.parametrize(
    ("variable", "method"),
    [
        ("LEAKWATCH_SMTP_PASSWORD", Config.smtp_password),
        ("LEAKWATCH_DATABASE_PASSWORD", Config.database_password),
    ],
)
def test_a_secret_without_a_file_comes_from_the_environment(
    path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, method: object
) -> None:
    assert callable(method)
    config = configured(path)
    assert method(config) is None
    monkeypatch.setenv(variable, "from outside")
    assert method(config) == "from outside"


def test_a_pepper_must_come_from_somewhere(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured(path, ('pepper_file = "${CREDENTIALS_DIRECTORY}/pepper"', ""))
    with pytest.raises(SecretError, match="there is no pepper") as caught:
        config.pepper()
    assert "LEAKWATCH_PEPPER" in caught.value.mend
    monkeypatch.setenv("LEAKWATCH_PEPPER", "from outside")
    assert config.pepper() == b"from outside"


def test_the_file_goes_before_the_environment(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAKWATCH_PEPPER", "from outside")
    with pytest.raises(SecretError, match="No such file"):
        configured(path).pepper()  # a file that is named and missing is never passed over


def test_the_example_shows_every_setting_with_its_default(path: Path) -> None:
    example = (Path(module.__file__).parents[1] / "config.example.toml").read_text(encoding="utf-8")
    example = example.replace("sha256:…", "sha256:" + 64 * "0")
    path.write_text(re.sub(r"^# (?=\w+ = |\[\[?\w+\]\]?$)", "", example, flags=re.MULTILINE))
    shown = tomllib.loads(path.read_text(encoding="utf-8"))
    config = load(path)
    assert {f.alias or n for n, f in Config.model_fields.items()} == shown.keys()
    for name, table in shown.items():
        for one in table if isinstance(table, list) else [table] if isinstance(table, dict) else []:
            value = getattr(config, {"source": "sources", "webhook": "webhooks"}.get(name, name))
            fields = type(value[0] if isinstance(value, list) else value).model_fields
            assert {f.alias or n for n, f in fields.items()} == one.keys(), name


def webhooks(path: Path, *secrets: str) -> dict[str, list[str]]:
    (path.parent / "hook").write_text("\n".join(secrets))
    table = '[[webhook]]\nurl = "https://hook.example"\nsecret_file = "hook"\n[[source]]'
    return configured(path, ("[[source]]", table)).webhook_secrets()


def test_a_webhooks_secrets_are_read_one_a_line(path: Path) -> None:
    one, two = ("whsec_" + base64.b64encode(bytes(size)).decode() for size in (24, 64))
    assert webhooks(path, one, two) == {"webhook": [one, two]}


@pytest.mark.parametrize("bad", ["correct-horse", "whsec_" + "A" * 30, "whsec_" + "A" * 31 + "!", "whsec_" + "A" * 100])
def test_what_is_no_secret_of_a_webhook_is_told_with_its_line(path: Path, bad: str) -> None:
    with pytest.raises(
        SecretError, match=r"leakwatch\.toml:27: the webhook secret is none.*openssl rand -base64 32"
    ) as told:
        webhooks(path, bad)
    assert bad not in str(told.value)


def test_a_push_secret_is_long_enough_and_told_to_nobody(path: Path) -> None:
    config = configured(path, ("[[source]]\n", '[[source]]\npush_secret_file = "push"\n'))
    (path.parent / "push").write_text(f"{'x' * 16}\n")
    assert config.push_secrets(0) == ("x" * 16,)
    (path.parent / "push").write_text(f"{'y' * 16}\n\n  {'x' * 16}\n{'y' * 16}\n")
    assert config.push_secrets(0) == ("y" * 16, "x" * 16)  # the newest first
    for short in ("", "correct-horse", f"{'x' * 16}\n\ncorrect-horse\n"):
        (path.parent / "push").write_text(short)
        with pytest.raises(SecretError, match=r"leakwatch\.toml:\d+: the push secret.*") as told:
            config.push_secrets(0)
        assert "horse" not in str(told.value)
        assert ("number 2 in" in str(told.value)) is (short.count("\n") > 2)


def test_a_summary_is_at_seven_unless_said_otherwise(path: Path) -> None:
    assert configured(path).notices.summary == time(7)
    assert configured(path, ("breaker =", 'summary = "00:00"\nbreaker =')).notices.summary == time(0)
    assert configured(path, ("breaker =", 'summary = ""\nbreaker =')).notices.summary is None


def test_links_need_a_key_and_old_keys_stay(path: Path) -> None:
    url = ("[web]", '[web]\npublic_url = "https://leakwatch.issuer.example/"')
    assert configured(path).signing_keys() is None
    config = configured(path, url)
    assert config.web.public_url == "https://leakwatch.issuer.example"
    with pytest.raises(SecretError, match=r"leakwatch\.toml:22: there is no signing key.*LEAKWATCH_SIGNING_KEY"):
        config.signing_keys()

    (path.parent / "signing").write_text(" newest \n\nolder\n")
    config = configured(path, url, ("public_url", 'signing_key_file = "signing"\npublic_url'))
    assert config.signing_keys() == [b"newest", b"older"]


@pytest.mark.parametrize("host", ["127.0.0.1:8321", "localhost", "[::1]:8321"])
def test_a_page_on_this_machine_needs_no_tls(path: Path, host: str) -> None:
    assert configured(path, ("[web]", f'[web]\npublic_url = "http://{host}"')).web.public_url == f"http://{host}"


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything: be somebody else for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_secret_that_may_not_be_read_says_so(path: Path) -> None:
    pepper = path.parent / "pepper"
    pepper.write_text("s3cret")
    pepper.chmod(0)
    config = configured(path)

    with as_nobody(), pytest.raises(SecretError, match="Permission denied") as caught:
        config.pepper()
    assert str(pepper) in str(caught.value)
    assert "who may read it" in caught.value.mend


@pytest.mark.parametrize(("content", "says"), [(b"", "is empty"), (b" \n", "is empty"), (b"\xff\xfe", "not UTF-8")])
def test_a_secret_that_is_none_says_so(path: Path, content: bytes, says: str) -> None:
    (path.parent / "pepper").write_bytes(content)
    with pytest.raises(SecretError, match=says):
        configured(path).pepper()


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SET", "value")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)

    assert expand("${SET}/a/${SET}") == "value/a/value"
    assert expand("$SET {SET}") == "$SET {SET}"
    with pytest.raises(SecretError, match=r"\$\{CREDENTIALS_DIRECTORY\} is not set") as caught:
        expand("${CREDENTIALS_DIRECTORY}/pepper")
    assert "systemd" in caught.value.mend


def test_outside_of_the_unit_credentials_are_beside_the_configuration(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    config = configured(path)
    with pytest.raises(SecretError, match="is not set"):
        config.pepper()

    (path.parent / "credentials").mkdir()
    (path.parent / "credentials" / "pepper").write_text("beside\n")
    (path.parent / "pepper").write_text("the unit's\n")
    assert config.pepper() == b"beside"

    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(path.parent))
    assert config.pepper() == b"the unit's"


def test_a_file_that_may_not_be_seen_is_not_passed_over(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(self: Path) -> bool:
        raise PermissionError

    monkeypatch.setattr(Path, "exists", forbidden)

    assert module.find() == module.LOCATIONS[0]


def test_a_secret_that_cannot_be_used_names_the_line_of_its_setting(path: Path) -> None:
    config = configured(path)
    with pytest.raises(SecretError, match=r"leakwatch\.toml:7: the pepper in .* cannot be read"):
        config.pepper()


def test_a_pepper_that_nobody_named_names_the_table_where_it_belongs(path: Path) -> None:
    config = configured(path, ('pepper_file = "${CREDENTIALS_DIRECTORY}/pepper"', ""))
    with pytest.raises(SecretError, match=r"leakwatch\.toml:6: there is no pepper.*LEAKWATCH_PEPPER"):
        config.pepper()


def test_mirrors_lie_where_they_are_named_or_in_the_services_or_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CACHE_DIRECTORY", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("leakwatch.config._CACHE", tmp_path / "none")
    monkeypatch.setenv("HOME", "/home/ada")
    assert GitConfig().place == Path("/home/ada/.cache/leakwatch/git")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert GitConfig().place == Path("/caches/leakwatch/git")
    monkeypatch.setattr("leakwatch.config._CACHE", tmp_path)
    assert GitConfig().place == tmp_path / "git"
    monkeypatch.setenv("CACHE_DIRECTORY", "/var/cache/leakwatch:/other")
    assert GitConfig().place == Path("/var/cache/leakwatch/git")
    assert GitConfig(folder="${XDG_CACHE_HOME}/x").place == Path("/caches/x")
    with pytest.raises(ValidationError, match="write an absolute path"):
        GitConfig(folder="mirrors")

"""The command line as an operator meets it: what it prints, what it does, and how it ends."""

import asyncio
import io
import json
import shlex
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from leakwatch import core
from leakwatch.cli import COMMANDS, command
from leakwatch.cli.ending import guarded
from leakwatch.demo import DEFINITION, PasteSite
from leakwatch.engine import NewJob
from leakwatch.engine.embedded import EmbeddedEngine
from leakwatch.errors import Gone
from leakwatch.match import digest_text
from leakwatch.model import Answer, NoticeKind, now
from leakwatch.pepper import Pepper
from leakwatch.scan.synthetic import fill
from leakwatch.store import answers, bounces, findings, notices, registry, reminders
from leakwatch.store.database import Database
from leakwatch.store.notices import Taken
from tests.installation import customers
from tests.integration.store.making import place, register, registration, seen

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise's own
CONFIG = """\
[database]
url = "sqlite:///leakwatch.db"
[matching]
pepper_file = "pepper"
[http]
user_agent = "leakwatch test (test@issuer.example)"
allow_networks = ["127.0.0.0/8"]
[email]
from = "Example AI Security <security@issuer.example>"
smtp = "smtp+insecure://127.0.0.1:25"
"""
SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"  # Apprise's own example
HEADER = "customer,email,locale,provider,label,key_id,digest\n"


@dataclass
class Said:
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def rows(self) -> Any:
        return json.loads(self.out)


Leakwatch = Callable[..., Said]


@pytest.fixture
def leakwatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Leakwatch:
    """The command line in a folder with a configuration, without a process of its own."""
    (tmp_path / "leakwatch.toml").write_text(CONFIG)
    (tmp_path / "pepper").touch(0o600)
    (tmp_path / "pepper").write_text("p" * 40)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, stdin: bytes = b"") -> Said:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        status = guarded(command, arguments)
        captured = capsys.readouterr()
        return Said(status, captured.out, captured.err)

    return run


@pytest.fixture
def installed(leakwatch: Leakwatch) -> Leakwatch:
    assert leakwatch("db", "upgrade").status == 0
    return leakwatch


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(leakwatch: Leakwatch, name: str) -> None:
    said = leakwatch(name, "--help")
    assert said.status == 0
    assert "Usage: " in said.out
    listed = next(
        line.split(maxsplit=1) for line in leakwatch("--help").out.splitlines() if line.startswith(f"  {name} ")
    )
    assert listed == [name, COMMANDS[name].says]
    assert f" {listed[1].rstrip('.')}" in " ".join(said.out.split())


def test_what_is_no_command_is_told_with_status_2(leakwatch: Leakwatch) -> None:
    said = leakwatch("keyz")
    assert said.status == 2
    assert "No such command" in said.err


def test_a_key_becomes_its_digest_and_is_never_shown(leakwatch: Leakwatch) -> None:
    key = customers(1, seed=41)[0].key
    said = leakwatch("keys", "digest", stdin=f"{key}\n".encode())
    assert said.out == digest_text(key) + "\n"
    pem = fill("{pem:lines}", Random(1))
    file = json.dumps({"private_key": pem, "type": "service_account"})
    printed = [leakwatch("keys", "digest", stdin=text.encode()).out for text in (pem, file)]
    assert printed == [digest_text(pem) + "\n"] * 2
    wrong = leakwatch("keys", "digest", stdin=f"{key} {key}".encode())
    assert wrong.status == 2
    assert key not in wrong.err + wrong.out


def test_bad_rows_are_told_by_their_line_and_the_others_imported(installed: Leakwatch, tmp_path: Path) -> None:
    good, other = (digest_text(c.key) for c in customers(2, seed=42))
    key = customers(1, seed=43)[0].key
    rows = [
        f"acme,soc@acme.example,en,OpenAI,billing,,{good}",
        f"acme,soc@acme.example,en,OpenAI,leaked,,{key}",
        f"acme,not an address,en,OpenAI,other,,{other}",
        f"lumière,soc@lumiere.example,fr-CA,Anthropic,assistant,key_1,{other}",
    ]
    (tmp_path / "customers.csv").write_text(HEADER + "\n".join(rows), encoding="utf-8")
    said = installed("keys", "import", "customers.csv")
    assert said.status == 1
    assert "line 3: " in said.err
    assert "line 4: " in said.err
    assert "2 added, 0 known before, 2 could not be used" in said.err
    assert key not in said.err + said.out
    again = installed("keys", "import", "customers.csv")
    assert "0 added, 2 known before" in again.err
    assert sorted((k["customer"], k["label"]) for k in installed("keys", "list", "--json").rows) == [
        ("acme", "billing"),
        ("lumière", "assistant"),
    ]


@pytest.mark.parametrize("column", ["customer", "provider", "label"])
def test_a_key_in_place_of_its_name_reaches_neither_database_nor_terminal(
    installed: Leakwatch, tmp_path: Path, column: str
) -> None:
    key, digest = customers(1, seed=47)[0].key, digest_text("another")
    facts = {"customer": "acme", "email": "a@b.example", "digest": digest}
    rows = [{**facts, column: f"{facts.get(column, '')} {key}"}, {**facts, "label": "billing"}]
    said = installed("keys", "import", "-", stdin="\n".join(map(json.dumps, rows)).encode())
    assert (said.status, "line 1: " in said.err, "1 added" in said.err) == (1, True, True), said.err
    assert key not in said.err + said.out
    assert not any(key.encode() in file.read_bytes() for file in tmp_path.glob("leakwatch.db*"))


def test_an_id_of_the_provider_may_look_like_a_key(installed: Leakwatch) -> None:
    key_id = customers(1, seed=48)[0].key
    row = {"customer": "acme", "email": "a@b.example", "digest": digest_text("another"), "key_id": key_id}
    assert installed("keys", "import", "-", stdin=json.dumps(row).encode()).status == 0


def test_a_customer_is_not_named_by_a_key(installed: Leakwatch) -> None:
    key = customers(1, seed=49)[0].key
    said = installed("customers", "add", f"acme {key}", "--channel", "mailto:a@b.example")
    assert (said.status, key in said.err) == (2, False)
    assert installed("customers", "list", "--json").rows == []


def test_an_address_that_a_second_import_corrects_is_told_with_how_to_end_it(
    installed: Leakwatch, tmp_path: Path
) -> None:
    digests = [digest_text(str(n)) for n in range(3)]

    def rows(address: str) -> bytes:
        more = ["Acme Inc,soc@acme.example", "lumière,soc@lumiere.example"]
        lines = [f"{who},en,,,,{digest}\n" for who, digest in zip([f"Acme Inc,{address}", *more], digests, strict=True)]
        return (HEADER + "".join(lines)).encode()

    assert "NOTE" not in installed("keys", "import", "-", stdin=rows("wrnog@acme.example")).err
    again = installed("keys", "import", "-", stdin=rows("wrong@acme.example"))
    [note] = [line for line in again.err.splitlines() if "NOTE" in line]
    command_line = note.partition("leakwatch ")[2]
    assert command_line == "customers remove 'Acme Inc' --channel mailto:wrnog@acme.example"
    assert installed(*shlex.split(command_line)).status == 0
    [acme, _] = installed("customers", "list", "--json").rows
    assert acme["channels"] == ["soc@acme.example", "wrong@acme.example"]
    assert "NOTE" not in installed("keys", "import", "-", stdin=rows("wrong@acme.example")).err


def test_a_channel_that_holds_a_token_is_ended_by_what_is_shown_of_it(installed: Leakwatch) -> None:
    for channel in (SLACK, SLACK.replace("T1", "T2"), "mailto:a@b.example"):
        assert installed("customers", "add", "acme", "--channel", channel).status == 0
    assert "several such channels" in installed("customers", "remove", "acme", "--channel", "slack://…").err
    assert installed("customers", "remove", "acme", "--channel", SLACK).status == 0
    assert installed("customers", "remove", "acme", "--channel", "slack://…").status == 0
    assert "no such channel" in installed("customers", "remove", "acme", "--channel", "slack://…").err
    assert installed("customers", "list", "--json").rows[0]["channels"] == ["a@b.example"]


def test_json_lines_come_by_standard_input(installed: Leakwatch) -> None:
    digest = digest_text(customers(1, seed=44)[0].key)
    names = ("customer", "email", "locale", "provider", "label", "key_id", "digest")
    row = dict(zip(names, ("acme", "a@b.example", "en", "", "x", "", digest), strict=True))
    said = installed("keys", "import", "-", stdin=json.dumps(row).encode())
    assert (said.status, "1 added" in said.err) == (0, True)


def test_another_pepper_is_refused(installed: Leakwatch, tmp_path: Path) -> None:
    digest = digest_text(customers(1, seed=45)[0].key)
    line = f"{HEADER}acme,a@b.example,en,,x,,{digest}\n".encode()
    assert installed("keys", "import", "-", stdin=line).status == 0
    (tmp_path / "pepper").write_text("q" * 40)
    said = installed("keys", "import", "-", stdin=line)
    assert said.status == 3
    assert "another pepper" in said.err


def test_customers_come_change_and_go(installed: Leakwatch) -> None:
    assert installed("customers", "add", "acme", "--channel", "mailto:a@b.example", "--locale", "fr").status == 0
    assert installed("customers", "add", "acme", "--channel", SLACK, "--locale", "fr").status == 0
    [acme] = installed("customers", "list", "--json").rows
    assert acme["channels"] == ["a@b.example", "slack://…"]
    assert installed("customers", "remove", "acme", "--channel", "mailto:a@b.example").status == 0
    assert installed("customers", "list", "--json").rows[0]["channels"] == ["slack://…"]
    assert installed("customers", "remove", "acme").status == 0
    assert installed("customers", "list", "--json").rows == []
    gone = installed("customers", "remove", "nobody")
    assert (gone.status, "no customer is named nobody" in gone.err) == (2, True)


@pytest.mark.parametrize(
    ("channel", "locale", "words"),
    [
        ("soc@acme.example", "en", "a channel is no URL"),
        ("mailto:soc@acme.example", "tlh", "locale is not known"),
        ("mailto:soc@under_score.example", "en", "email is no mail address"),
        ("json://169.254.169.254/", "en", "do not go to json:// channels"),
    ],
)
def test_a_customer_who_could_not_be_told_is_not_added(
    installed: Leakwatch, channel: str, locale: str, words: str
) -> None:
    said = installed("customers", "add", "acme", "--channel", channel, "--locale", locale)
    assert (said.status, words in said.err) == (2, True)
    assert installed("customers", "list", "--json").rows == []


def test_a_finding_is_listed_shown_and_closed_and_its_place_commands_no_terminal(
    installed: Leakwatch, tmp_path: Path
) -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J notes\u202e"
    asyncio.run(_find_one(tmp_path, title=hostile))
    [listed] = installed("findings", "list", "--json").rows
    assert (listed["customer"], listed["sightings"]) == ("acme", 1)
    shown = installed("findings", "show", str(listed["id"]))
    assert "text 3:7" in shown.out
    assert "notes" in shown.out
    assert all(c.isprintable() or c == "\n" for c in shown.out)
    [place] = installed("findings", "show", str(listed["id"]), "--json").rows
    assert place["title"] == hostile
    assert "1 closed" in installed("findings", "close", str(listed["id"])).err
    assert installed("findings", "list", "--json").rows == []
    assert [row["closed_at"] is None for row in installed("findings", "list", "--all", "--json").rows] == [False]


def test_what_a_customer_answered_is_shown(installed: Leakwatch, tmp_path: Path) -> None:
    asyncio.run(_answer_one(tmp_path, "it was\u202e an example"))
    [listed] = installed("findings", "list", "--json").rows
    assert listed["answer"] == "false_alarm"
    for noun, number in (("findings", listed["id"]), ("notices", 1)):
        shown = installed(noun, "show", str(number))
        assert "false_alarm" in shown.out
        assert "an example" in shown.out
        assert all(c.isprintable() or c == "\n" for c in shown.out)
    notice = installed("notices", "show", "1", "--json").rows
    assert [(a["word"], a["findings"]) for a in notice["answers"]] == [("false_alarm", [listed["id"]])]
    assert [(d["channel_url"], d["tries"]) for d in notice["deliveries"]] == [("acme@example.org", [])]


def test_reminders_that_somebody_stopped_are_shown(installed: Leakwatch, tmp_path: Path) -> None:
    asyncio.run(_answer_one(tmp_path, "", stop=True))
    shown = installed("notices", "show", "1").out
    for words in ("exposure", "acme", "stopped"):
        assert words in shown
    [listed] = installed("notices", "list", "--json").rows
    assert listed["reminders"] == "stopped"


def test_an_event_is_listed_and_previewed(installed: Leakwatch, tmp_path: Path) -> None:
    asyncio.run(_tell_software(tmp_path))
    [listed] = installed("notices", "list", "--json").rows
    assert (listed["kind"], listed["channel"]) == ("event", "webhook:tickets")
    assert json.loads(installed("notices", "preview", "1").out)["data"]["customer"] == "acme"


async def _tell_software(folder: Path) -> None:
    await _find_one(folder)
    database = Database(f"sqlite:///{folder / 'leakwatch.db'}")
    async with database.transaction() as tx:
        await registry.operator_channels(tx, ["webhook:tickets", "mailto:soc@issuer.example"])
        await notices.open_notice(
            tx,
            kind=NoticeKind.EVENT,
            customer_id=None,
            finding_ids=[1],
            held=None,
            make_message_id=lambda: "<1@issuer.example>",
            now=now(),
            alarm="finding.opened",
        )
    await database.close()


def test_a_customer_is_sent_a_test(installed: Leakwatch) -> None:
    channels = ("--channel", "mailto:a@b.example", "--channel", SLACK)
    assert installed("customers", "add", "acme", *channels).status == 0
    said = installed("notices", "test", "acme")
    assert (said.status, said.err) == (
        0,
        "notice 1 goes to a@b.example, slack://…: see `leakwatch notices show 1`\n",
    )
    assert installed("notices", "test", "acme", "--json").rows == {
        "notice": 2,
        "channels": ["a@b.example", "slack://…"],
    }
    listed = installed("notices", "list", "--json").rows
    assert {(row["kind"], row["state"]) for row in listed} == {("test", "pending")}
    assert len(installed("jobs", "list", "--live", "--json").rows) == 4
    preview = installed("notices", "preview", "1", "--json").rows
    assert preview["subject"] == "Test: do our notices reach you?"
    assert "This is a test" in preview["html"]
    assert installed("notices", "retry", "--all", "--json").rows == {"tried_again": 4}
    assert installed("notices", "release", "--all", "--json").rows == {"released": 0}
    assert installed("notices", "list", "--bounced").err == "no notice came back\n"


def test_nobody_is_sent_a_test_who_cannot_be(installed: Leakwatch) -> None:
    assert installed("customers", "add", "acme", "--channel", "mailto:a@b.example").status == 0
    assert installed("customers", "remove", "acme", "--channel", "mailto:a@b.example").status == 0
    for name, words in (("acme", "acme has no channel"), ("nobody", "no customer is named nobody")):
        said = installed("notices", "test", name)
        assert (said.status, words in said.err) == (2, True)
    assert installed("customers", "remove", "acme").status == 0
    assert "no customer is named acme" in installed("notices", "test", "acme").err


def test_what_came_back_is_listed_and_shown(installed: Leakwatch, tmp_path: Path) -> None:
    asyncio.run(_answer_one(tmp_path, ""))
    asyncio.run(_bounce_one(tmp_path))
    [listed] = installed("notices", "list", "--bounced", "--json").rows
    assert (listed["state"], listed["channel"]) == ("bounced", "acme@example.org")
    assert "5.1.1" in installed("notices", "show", "1").out
    [delivery] = installed("notices", "show", "1", "--json").rows["deliveries"]
    assert (delivery["state"], delivery["bounced"]) == ("accepted", "5.1.1")
    assert [(b["action"], b["detail"]) for b in delivery["bounces"]] == [("failed", "no such user")]


async def _bounce_one(folder: Path) -> None:
    database = Database(f"sqlite:///{folder / 'leakwatch.db'}")
    async with database.transaction() as tx:
        await notices.accepted(tx, [Taken(delivery_id=1, at=now(), code=250, detail="")])
        await bounces.add(tx, 1, action="failed", status="5.1.1", detail="no such user", now=now())
    await database.close()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ('return_path = "b@issuer.example"\n[web]\nsigning_key_file = "pepper"', "is not read"),
        ('[bounces]\nlmtp = "127.0.0.1:0"', "no return path of their own"),
        ('[bounces]\nmaildir = "Maildir"', "is no Maildir"),
    ],
)
def test_check_sees_that_what_comes_back_is_read(
    installed: Leakwatch, tmp_path: Path, settings: str, words: str
) -> None:
    with (tmp_path / "leakwatch.toml").open("a") as file:
        file.write(settings)
    said = installed("check")
    assert (said.status, words in said.err) == (1, True), said.err


def test_a_preview_shows_a_link_that_opens_nothing(installed: Leakwatch, tmp_path: Path) -> None:
    asyncio.run(_answer_one(tmp_path, ""))
    with (tmp_path / "leakwatch.toml").open("a") as file:
        file.write('[web]\npublic_url = "https://leakwatch.issuer.example"\nsigning_key_file = "signing"\n')
    assert installed("check").status == 1
    assert installed("notices", "preview", "1").status == 2
    (tmp_path / "signing").touch(0o600)
    (tmp_path / "signing").write_text("s" * 32)
    preview = installed("notices", "preview", "1").out
    assert "https://leakwatch.issuer.example/a/…" in preview
    assert installed("check").status == 0


async def _answer_one(folder: Path, remark: str, *, stop: bool = False) -> None:
    """Find acme's key, owe the notice, and answer it."""
    await _find_one(folder)
    database = Database(f"sqlite:///{folder / 'leakwatch.db'}")
    async with database.transaction() as tx:
        owner = await registry.customer_named(tx, "acme")
        assert owner is not None
        opened = await notices.open_notice(
            tx,
            kind=NoticeKind.EXPOSURE,
            customer_id=owner.id,
            finding_ids=[1],
            held=None,
            make_message_id=lambda: "<1@issuer.example>",
            now=now(),
        )
        facts = {"word": Answer.FALSE_ALARM, "remark": remark, "finding_ids": [1], "now": now()}
        await answers.give(tx, notice_id=opened.notice_id, **facts)  # type: ignore[arg-type] # as named
        if stop:
            await reminders.stop(tx, opened.notice_id)
    await database.close()


def test_a_key_that_is_retired_is_listed_no_more(installed: Leakwatch, tmp_path: Path) -> None:
    asyncio.run(_find_one(tmp_path))
    [key] = installed("keys", "list", "--customer", "acme", "--json").rows
    assert [row["id"] for row in installed("customers", "show", "acme", "--json").rows] == [key["id"]]
    assert "1 retired" in installed("keys", "retire", str(key["id"])).err
    assert installed("keys", "list", "--json").rows == []
    assert installed("findings", "list", "--json").rows == []


def test_what_was_given_up_is_tried_again(installed: Leakwatch, tmp_path: Path) -> None:
    asyncio.run(_give_up_one(tmp_path))
    [dead] = installed("jobs", "list", "--json").rows
    assert (dead["queue"], dead["reason"]) == ("fetch", "gone")
    assert "1 tried again" in installed("jobs", "retry", "--all").err
    assert installed("jobs", "list", "--json").rows == []
    assert [row["id"] for row in installed("jobs", "list", "--live", "--json").rows] == [dead["id"]]


def test_what_was_given_up_is_shown_and_dropped(installed: Leakwatch, tmp_path: Path) -> None:
    key = customers(1, seed=52)[0].key
    asyncio.run(_give_up(tmp_path, f"https://paste.example/{key}/a", "https://paste.example/b"))
    first, second = (row["id"] for row in reversed(installed("jobs", "list", "--json").rows))
    shown = installed("jobs", "show", str(first))
    assert "https://paste.example/" in shown.out
    assert key not in shown.out + shown.err
    [document] = installed("jobs", "show", str(second), "--json").rows["documents"]
    assert document == {"address": "https://paste.example/b", "title": "notes"}
    assert "1 dropped" in installed("jobs", "drop", str(first)).err
    assert [row["id"] for row in installed("jobs", "list", "--json").rows] == [second]
    assert "1 dropped" in installed("jobs", "drop", "--dead").err
    assert installed("jobs", "list", "--json").rows == []
    assert installed("jobs", "drop", "--dead").status == 0


def test_a_job_that_waits_is_shown_and_not_dropped(installed: Leakwatch) -> None:
    assert installed("customers", "add", "acme", "--channel", "mailto:a@b.example").status == 0
    assert installed("notices", "test", "acme").status == 0
    [job] = installed("jobs", "list", "--live", "--json").rows
    shown = installed("jobs", "show", str(job["id"]), "--json").rows
    assert (shown["queue"], shown["about"], shown["documents"]) == ("deliver", "1", [])
    assert installed("jobs", "drop", str(job["id"])).status == 2
    assert len(installed("jobs", "list", "--live", "--json").rows) == 1


async def _give_up(folder: Path, *addresses: str) -> None:
    database, pepper = Database(f"sqlite:///{folder / 'leakwatch.db'}"), Pepper(b"p" * 40)
    jobs = []
    for url in addresses:
        packed = {"source": "paste", "references": [{"url": url, "id": url, "title": "notes"}]}
        sealed = pepper.seal(json.dumps(packed).encode(), "fetch")
        jobs.append(NewJob(queue="fetch", payload=sealed, failed=Gone("not there")))
    async with database.transaction() as tx:
        await EmbeddedEngine(database).enqueue(tx, jobs)
    await database.close()


def test_what_is_held_is_dropped_with_a_reason_and_shown_so(installed: Leakwatch, tmp_path: Path) -> None:
    asyncio.run(_find_one(tmp_path))
    asyncio.run(_hold(tmp_path, 2))
    assert installed("notices", "drop", "1").status == 2  # without a reason
    assert installed("notices", "drop", "--reason", "x").status == 2
    assert "1 dropped" in installed("notices", "drop", "1", "--reason", "an example\x1b[2J in a\nbook").err
    shown = installed("notices", "show", "1").out
    assert "dropped" in shown
    assert "an example" in shown
    assert "none of these is held" in installed("notices", "release", "1").err
    assert installed("notices", "drop", "1", "--reason", "again").status == 2
    assert [row["notice"] for row in installed("notices", "list", "--held", "--json").rows] == [2]
    assert installed("notices", "drop", "--held", "--reason", "x", "--json").rows == {"dropped": 1}
    assert {row["state"] for row in installed("notices", "list", "--json").rows} == {"dropped"}
    assert installed("jobs", "list", "--live", "--json").rows == []


async def _hold(folder: Path, count: int) -> None:
    database = Database(f"sqlite:///{folder / 'leakwatch.db'}")
    async with database.transaction() as tx:
        owner = await registry.customer_named(tx, "acme")
        assert owner is not None
        for number in range(count):
            await notices.open_notice(
                tx,
                kind=NoticeKind.EXPOSURE,
                customer_id=owner.id,
                finding_ids=[1],
                held="observe",
                make_message_id=lambda number=number: f"<{number}@issuer.example>",  # type: ignore[misc] # mypy#12557
                now=now(),
            )
    await database.close()


async def _find_one(folder: Path, title: str = "") -> None:
    """Register acme's key, and find it."""
    database = Database(f"sqlite:///{folder / 'leakwatch.db'}")
    async with database.transaction() as tx:
        await register(tx, [registration("acme")])
        [key] = await registry.keys(tx)
        await findings.record(tx, [replace(seen(key.id), place=place(title=title))])
    await database.close()


async def _give_up_one(folder: Path) -> None:
    database = Database(f"sqlite:///{folder / 'leakwatch.db'}")
    async with database.transaction() as tx:
        await EmbeddedEngine(database).enqueue(tx, [NewJob(queue="fetch", payload=b"", failed=Gone("not there"))])
    await database.close()


def test_lists_that_are_empty_say_so(installed: Leakwatch) -> None:
    for name, words in (
        ("findings", "no key is known to be exposed"),
        ("notices", "no notice is owed"),
        ("jobs", "nothing was given up"),
        ("sources", "no source is configured"),
        ("keys", "no key is registered"),
        ("customers", "no customer is registered"),
    ):
        said = installed(name, "list")
        assert (said.status, said.out) == (0, "")
        assert words in said.err
        assert installed(name, "list", "--json").rows == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("findings", "show", "7"), "there is no finding 7"),
        (("notices", "show", "7"), "there is no notice 7"),
        (("notices", "preview", "7"), "there is no notice 7"),
        (("notices", "release"), "which notices?"),
        (("notices", "retry"), "which notices?"),
        (("jobs", "retry"), "which jobs?"),
        (("jobs", "drop"), "which jobs?"),
        (("jobs", "retry", "999"), "none of these is a job that was given up"),
        (("jobs", "drop", "999"), "none of these is a job that was given up"),
        (("jobs", "show", "999"), "there is no job 999"),
        (("notices", "release", "999"), "there is no notice 999"),
        (("notices", "drop", "999", "--reason", "x"), "there is no notice 999"),
        (("notices", "drop", "--reason", "x"), "which notices?"),
        (("findings", "close", "999"), "none of these is a finding that is open"),
        (("keys", "retire", "7"), "none of these"),
        (("customers", "show", "nobody"), "no customer is named nobody"),
        (("sources", "test", "nowhere"), "no source is named nowhere"),
    ],
)
def test_what_is_not_there_is_told_with_what_to_do(
    installed: Leakwatch, arguments: tuple[str, ...], words: str
) -> None:
    said = installed(*arguments)
    assert said.status == 2
    assert words in said.err
    assert ": " in said.err.removeprefix("leakwatch: ")


def test_a_database_without_a_schema_says_what_to_run(leakwatch: Leakwatch) -> None:
    said = leakwatch("findings", "list")
    assert said.status == 3
    assert "leakwatch db upgrade" in said.err
    assert leakwatch("db", "check").status == 3
    assert leakwatch("db", "upgrade").status == 0
    assert leakwatch("db", "check").status == 0


def test_check_finds_nothing_wrong_with_a_good_installation(installed: Leakwatch) -> None:
    said = installed("check")
    assert (said.status, "no problem found" in said.out) == (0, True), said.err


def test_check_tells_every_problem_with_its_place_and_mend(installed: Leakwatch, tmp_path: Path) -> None:
    (tmp_path / "pepper").chmod(0o644)
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "mine.toml").write_text('name = "mine"\nkind = "html"\nselecter = "a"\n')
    config = CONFIG + '[[source]]\nuse = "unheard-of"\nbase_url = "https://paste.example"\n'
    (tmp_path / "leakwatch.toml").write_text(config)
    said = installed("check")
    assert said.status == 1
    assert "chmod o-rwx" in said.err
    assert "mine.toml:3: unknown setting selecter" in said.err
    line = config[: config.index("unheard-of")].count("\n") + 1
    assert f"leakwatch.toml:{line}: no definition is named unheard-of" in said.err


def test_check_names_the_line_of_a_sources_secret_once(installed: Leakwatch, tmp_path: Path) -> None:
    (tmp_path / "push").write_text("short")
    source = '[[source]]\nuse = "gitea"\nbase_url = "https://forge.example"\npush_secret_file = "push"\n'
    (tmp_path / "leakwatch.toml").write_text(f"{source}{CONFIG}")
    said = installed("check")
    assert said.status == 1
    [line] = [line for line in said.err.splitlines() if "the push secret" in line]
    assert line.count("leakwatch.toml:") == 1
    assert "leakwatch.toml:4: the push secret, number 1 in its file, has fewer than" in line


def test_check_says_what_keeps_repositories_from_being_fetched(
    installed: Leakwatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = '[git]\nfolder = "/proc/none"\n[[source]]\nuse = "git"\nbase_url = "https://git.example/x.git"\n'
    (tmp_path / "leakwatch.toml").write_text(CONFIG + source)
    monkeypatch.setenv("PATH", str(tmp_path))
    said = installed("check")
    assert said.status == 1
    assert "git is not installed" in said.err
    assert "the folder of the mirrors cannot be made" in said.err


APPS = 'apps = [{ id = 12, installation = 34, key_file = "token" }]\n'


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("<security@", "<a..b@"), "email.from does not hold one address"),
        (("//127.0.0.1:25", "//mail.issuer.example:25"), "in the clear over a network"),
        (("[http]", '[notices]\noperator = ["foo:bar"]\n[http]'), "leakwatch.toml:6: a channel is of no kind"),
        (("[http]", '[notices]\noperator = ["mailto:a..b@x.example"]\n[http]'), "does not hold one address"),
        (("[http]", '[notices]\noperator_locale = "xx"\n[http]'), "leakwatch.toml:6: the locale is not known"),
        (
            ("[database]", '[[source]]\nuse = "feed"\nenabled = false\ntoken_file = "token"\n[database]'),
            "everybody may read this secret",
        ),
        (
            ("[database]", '[[source]]\nuse = "gitea"\nenabled = false\npush_secret_file = "token"\n[database]'),
            "everybody may read this secret",
        ),
        (
            ("[database]", f'[[source]]\nuse = "github-events"\n{APPS}[database]'),
            "leakwatch.toml:3: the App's key is no private key in PEM",
        ),
        (
            ("[database]", f'[[source]]\nuse = "feed"\nbase_url = "https://a.example/f"\n{APPS}[database]'),
            "takes no GitHub Apps",
        ),
        (("[database]", '[[source]]\nuse = "github-events"\n[database]'), "wants a token"),
    ],
)
def test_check_refuses_what_would_not_run(
    installed: Leakwatch, tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    (tmp_path / "token").write_text("t")
    (tmp_path / "token").chmod(0o644)
    (tmp_path / "leakwatch.toml").write_text(CONFIG.replace(*change))
    said = installed("check")
    assert (said.status, words in said.err) == (1, True), said.err


def test_check_warns_where_nobody_is_told_of_anything(installed: Leakwatch, tmp_path: Path) -> None:
    said = installed("check")
    assert (said.status, "warning: " in said.err, "there is no operator" in said.err) == (0, True, True), said.err
    (tmp_path / "leakwatch.toml").write_text(CONFIG + '[notices]\noperator = ["mailto:soc@issuer.example"]\n')
    assert "warning" not in installed("check").err


def test_check_warns_where_scanning_is_slow(installed: Leakwatch, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "scanning" not in installed("check").err
    monkeypatch.setattr(core, "is_compiled", False)
    said = installed("check")
    assert said.status == 0
    assert "what is compiled is missing: scanning takes several times as long (install gcc" in said.err


def test_a_reload_is_kept_back_by_its_sources_alone(installed: Leakwatch, tmp_path: Path) -> None:
    (tmp_path / "pepper").chmod(0o644)
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "unused.toml").write_text("broken")
    assert installed("check").status == 1
    assert installed("check", "--reload").status == 0
    with (tmp_path / "leakwatch.toml").open("a") as file:
        file.write('[[source]]\nuse = "unused"\n')
    refused = installed("check", "--reload")
    assert (refused.status, "unused.toml" in refused.err) == (1, True)
    assert installed("check", "--reload", "--live").status == 2


def test_check_live_tries_the_mail_server(installed: Leakwatch, tmp_path: Path) -> None:
    (tmp_path / "leakwatch.toml").write_text(CONFIG.replace("127.0.0.1:25", "127.0.0.1:1"))
    said = installed("check", "--live")
    assert said.status == 1
    assert "mail_unreachable" in said.err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('url = "sqlite', 'urll = "sqlite'), "leakwatch.toml:2: unknown setting database.urll (did you mean url?)"),
        (("[http]", "[htpp]"), "unknown setting htpp"),
        (('smtp = "smtp+insecure', "smtp = 25 #"), "leakwatch.toml:10: email.smtp"),
        (('"sqlite:///leakwatch.db"', '"oracle://x"'), "oracle"),
        (("[database]", "[database"), "leakwatch.toml:1: is not TOML"),
    ],
)
def test_a_wrong_configuration_names_file_line_and_mend(
    leakwatch: Leakwatch, tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    (tmp_path / "leakwatch.toml").write_text(CONFIG.replace(*change))
    said = leakwatch("findings", "list")
    assert said.status == 2
    assert words in said.err


def test_no_configuration_at_all_says_where_it_is_looked_for(leakwatch: Leakwatch, tmp_path: Path) -> None:
    (tmp_path / "leakwatch.toml").unlink()
    said = leakwatch("findings", "list")
    assert (said.status, "/etc/leakwatch/leakwatch.toml" in said.err) == (2, True)


@pytest.fixture
async def site() -> AsyncIterator[PasteSite]:
    async with PasteSite().serving() as site:
        yield site


async def test_sources_test_shows_what_a_poll_would_yield_and_where_a_selector_finds_nothing(
    installed: Leakwatch, tmp_path: Path, site: PasteSite
) -> None:
    key = customers(1, seed=46)[0].key
    site.publish(f"my key {key}", "text")
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "demo-paste.toml").write_text(DEFINITION)
    sources = (
        f'[[source]]\nuse = "demo-paste"\nbase_url = "{site.url}"\noverride = {{ fields = {{ author = ".by" }} }}\n'
    )
    (tmp_path / "leakwatch.toml").write_text(CONFIG + sources)

    said = await asyncio.to_thread(installed, "sources", "test", "demo-paste")
    assert said.status == 0, said.err
    assert f"GET {site.url}/recent" in said.out
    assert "fields.title (a): in 1" in said.out
    assert "fields.author (.by): NOT FOUND in any item" in said.out
    assert "1 documents" in said.out
    assert key not in said.out
    as_json = await asyncio.to_thread(installed, "sources", "test", "demo-paste", "--json")
    assert as_json.rows["documents"][0]["url"] == f"{site.url}/raw/0"
    listed = await asyncio.to_thread(installed, "sources", "list", "--json")
    assert [(s["name"], s["state"]) for s in listed.rows] == [("demo-paste", "new")]
    polled = await asyncio.to_thread(installed, "sources", "poll", "demo-paste")
    assert "is polled next" in polled.err
    assert [j["queue"] for j in (await asyncio.to_thread(installed, "jobs", "list", "--live", "--json")).rows] == [
        "poll"
    ]


async def test_sources_test_of_a_site_that_is_away_says_why(installed: Leakwatch, tmp_path: Path) -> None:
    (tmp_path / "leakwatch.toml").write_text(CONFIG + '[[source]]\nuse = "bepasty"\nbase_url = "http://127.0.0.1:1"\n')
    said = await asyncio.to_thread(installed, "sources", "test", "bepasty")
    assert said.status == 1
    assert "unreachable" in said.out


def test_the_shipped_definitions_and_detectors_can_be_listed(leakwatch: Leakwatch) -> None:
    assert {"bepasty", "feed"} <= {row["name"] for row in leakwatch("sources", "available", "--json").rows}
    assert "openai-project" in {row["id"] for row in leakwatch("detectors", "list", "--json").rows}
    assert "anthropic" in leakwatch("detectors", "list").out
    tried = leakwatch("detectors", "test")
    assert (tried.status, "0 failures" in tried.out) == (0, True)


def test_detectors_are_chosen_by_provider_confidence_and_whether_a_marker_finds_them(leakwatch: Leakwatch) -> None:
    azure = leakwatch("detectors", "list", "--provider", "azure", "--json").rows
    assert {row["provider"] for row in azure} == {"Microsoft Azure"}
    bare = leakwatch("detectors", "list", "--bare", "--confidence", "memory", "--json").rows
    assert {(row["kind"], row["confidence"]) for row in bare} == {("bare", "memory")}
    assert all(row["group"] for row in bare)
    marked = leakwatch("detectors", "list", "--marked", "--provider", "Groq", "--json").rows
    assert [row["id"] for row in marked] == ["groq"]
    assert "no format is like that" in leakwatch("detectors", "list", "--provider", "Acme").err
    assert leakwatch("detectors", "test", "--provider", "cohere").out == "1 formats tried, 0 failures\n"
    assert leakwatch("detectors", "test", "cohere", "groq").out == "2 formats tried, 0 failures\n"
    assert leakwatch("detectors", "test", "cohere", "nothing").status == 2


def test_all_that_is_known_of_a_format_is_shown(leakwatch: Leakwatch) -> None:
    shown = leakwatch("detectors", "show", "fal").out
    for fact in ("fal.ai API key", "with the colon between them", "by its marker", "https://fal.ai/dashboard/keys"):
        assert fact in shown
    assert "Delete the leaked key at fal.ai: its first part" in shown
    assert "DELETE https://api.fal.ai/v1/keys/{key_id}" in shown
    assert "others look the same" in leakwatch("detectors", "show", "cohere").out
    wrong = leakwatch("detectors", "show", "nothing")
    assert (wrong.status, "no format has the id nothing" in wrong.err) == (2, True)

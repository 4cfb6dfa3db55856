"""`leakwatch scan` as its user meets it: what it shows of files, whose keys they are, and how it ends."""

import gzip
import json
import os
import subprocess
from pathlib import Path
from random import Random
from typing import Any

import pytest

from leakwatch.match import digest_text
from leakwatch.scan import shipped, synthesize
from leakwatch.scan.synthetic import fill
from tests.integration.cli.test_commands import HEADER, Leakwatch, Said, installed, leakwatch

__all__ = ["installed", "leakwatch"]  # fixtures

KEYS = {d.id: synthesize(d, Random(5)) for d in shipped() if d.id in {"groq", "anthropic-api", "huggingface-user"}}
GROQ, ANTHROPIC = KEYS["groq"], KEYS["anthropic-api"]
BARE = fill("{hex:40}", Random(6))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    (folder / "sub").mkdir(parents=True)
    (folder / ".env").write_text(f"# keys\nGROQ_API_KEY={GROQ}\nHF_TOKEN=hf_{'x' * 34}\n")
    (folder / "sub/notes.md").write_text(f"the internal one is {BARE}\n")
    return folder


def offline(leakwatch: Leakwatch, *arguments: str | Path, stdin: bytes = b"") -> Said:
    return leakwatch("scan", "--offline", *map(str, arguments), stdin=stdin)


def test_keys_are_shown_masked_and_placeholders_hidden(leakwatch: Leakwatch, files: Path) -> None:
    said = offline(leakwatch, files)
    assert said.status == 1
    assert "LIKELY" in said.out
    assert f"2:14       gsk_…{GROQ[-4:]}  Groq API key" in said.out
    assert "1 likely; " in said.out
    assert "unlikely not shown, see --all" in said.out
    assert GROQ not in said.out
    assert "xxxx" not in said.out
    everything = offline(leakwatch, "--all", files).out
    assert "hf_…xxxx  Hugging Face user access token  (a placeholder or an example)" in everything


def test_what_is_registered_is_told_by_customer_even_without_a_marker(installed: Leakwatch, files: Path) -> None:
    rows = [
        f"Acme,soc@acme.example,en,Internal,gateway,,{digest_text(BARE)}",
        f"Lumière,soc@lumiere.example,fr,Groq,essai,,{digest_text(GROQ)}",
    ]
    Path("customers.csv").write_text(HEADER + "\n".join(rows), encoding="utf-8")
    assert installed("keys", "import", "customers.csv").status == 0
    said = installed("scan", str(files))
    assert said.status == 1
    assert "REGISTERED" in said.out
    assert "(Lumière, “essai”)" in said.out
    assert "(Acme, “gateway”)" in said.out
    assert BARE not in said.out
    assert "2 registered" in said.out
    records = json.loads(installed("scan", "--format", "json", str(files)).out)["findings"]
    assert [(r["detector"], r["owners"]) for r in records if r["owners"]] == [
        ("groq", [{"customer": "Lumière", "label": "essai"}]),
        ("hex40", [{"customer": "Acme", "label": "gateway"}]),
    ]


def test_a_registered_placeholder_is_never_hidden(installed: Leakwatch, tmp_path: Path) -> None:
    key = "gsk_" + "EXAMPLE0" * 6 + "test"
    Path("customers.csv").write_text(f"{HEADER}Acme,soc@acme.example,en,Groq,odd,,{digest_text(key)}\n")
    assert installed("keys", "import", "customers.csv").status == 0
    (tmp_path / "x").write_text(f"a {key} b")
    assert "(Acme, “odd”)" in installed("scan", "x").out


def test_standard_input_is_scanned(leakwatch: Leakwatch) -> None:
    said = offline(leakwatch, "-", stdin=f"curl -H 'x-api-key: {ANTHROPIC}'".encode())
    assert said.status == 1
    assert "(standard input)" in said.out
    assert offline(leakwatch, "-", stdin=b"nothing").status == 0
    Path("a.env").write_text(GROQ)
    both = offline(leakwatch, "-", "a.env", stdin=ANTHROPIC.encode()).out
    assert "(standard input)" in both
    assert "a.env" in both
    nothing = offline(leakwatch)
    assert nothing.status == 2
    assert "one thing is scanned at a time" in nothing.err


def test_a_pipe_that_is_named_is_read_like_standard_input(leakwatch: Leakwatch, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["sh", "-c", 'printf %s "$KEY" > pipe'], env=os.environ | {"KEY": GROQ}):
        said = offline(leakwatch, "pipe")
    assert said.status == 1
    assert f"gsk_…{GROQ[-4:]}" in said.out


def test_what_was_not_looked_at_is_named_with_why_in_every_format_and_by_the_status(
    leakwatch: Leakwatch, files: Path
) -> None:
    (files / ".env").unlink()
    (files / "bomb.gz").write_bytes(gzip.compress(bytes(50_000_000), 9))
    for number in range(12):
        (files / f"{number:02}.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(40))
    said = offline(leakwatch, files)
    assert said.status == 3
    assert f"leakwatch: {files}/00.7z: it, or something in it, is packed in a way that is not known here\n" in said.err
    assert said.err.count(".7z: ") == 10
    assert "3 more could not be looked at; --format json names all" in said.err
    problems = json.loads(offline(leakwatch, "--format", "json", files).out)["summary"]["problems"]
    assert {Path(problem["path"]).name for problem in problems} == {"bomb.gz"} | {f"{n:02}.7z" for n in range(12)}
    [run] = json.loads(offline(leakwatch, "--format", "sarif", files).out)["runs"]
    [invocation] = run["invocations"]
    assert invocation["executionSuccessful"] is False
    told = invocation["toolExecutionNotifications"]
    assert len(told) == 13
    assert told[-1]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == f"{files}/bomb.gz"


def test_whatever_a_file_is_called_it_is_reported_and_commands_no_terminal(leakwatch: Leakwatch, files: Path) -> None:
    for name in (b"caf\xe9.env", b"x\x1b[2J\ny\xc2\x9b.env"):
        Path(os.fsdecode(bytes(files) + b"/" + name)).write_text(GROQ)
    text, as_json, sarif = (offline(leakwatch, "--format", form, files) for form in ("text", "json", "sarif"))
    assert {text.status, as_json.status, sarif.status} == {1}
    assert "caf\ufffd.env\n" in text.out
    assert "x\ufffd[2J\ufffdy\ufffd.env\n" in text.out
    paths = {Path(record["path"]).name for record in json.loads(as_json.out)["findings"]}
    assert paths == {".env", "caf\ufffd.env", "x\x1b[2J\ny\x9b.env"}
    assert "caf%E9.env" in sarif.out
    assert as_json.out.isascii()
    assert sarif.out.isascii()


def test_sarif_knows_a_finding_again_whose_line_has_moved(leakwatch: Leakwatch, files: Path) -> None:
    def prints() -> list[Any]:
        [run] = json.loads(offline(leakwatch, "--format", "sarif", files).out)["runs"]
        return [result["partialFingerprints"] for result in run["results"]]

    before = prints()
    (files / ".env").write_text("\n\n" + (files / ".env").read_text())
    assert prints() == before


@pytest.mark.parametrize(
    ("stdin", "status", "told"),
    [("KEY", 1, False), ("KEY" + "\n" * 200, 1, True), ("\n" * 195 + "KEY", 3, True), ("\n" * 9, 0, False)],
)
def test_of_standard_input_no_more_is_read_than_of_a_file(
    leakwatch: Leakwatch, stdin: str, status: int, *, told: bool
) -> None:
    said = offline(leakwatch, "--max-size", "200", "-", stdin=stdin.replace("KEY", ANTHROPIC).encode())
    assert said.status == status
    assert ("(standard input): more than 200 bytes" in said.err) is told


def test_json_says_what_was_looked_at(leakwatch: Leakwatch, files: Path) -> None:
    said = json.loads(offline(leakwatch, "--format", "json", files).out)
    summary = said["summary"]
    assert (summary["files"], summary["found"], summary["matched"], summary["problems"]) == (2, 1, False, [])
    [record] = said["findings"]
    assert record["path"] == str(files / ".env")
    assert (record["line"], record["column"], record["detector"], record["likelihood"]) == (2, 14, "groq", "likely")


def test_sarif_names_rules_places_and_levels(leakwatch: Leakwatch, files: Path) -> None:
    Path("report.sarif").unlink(missing_ok=True)
    said = offline(leakwatch, "--all", "--format", "sarif", "--output", "report.sarif", files)
    assert said.out == ""
    report: dict[str, Any] = json.loads(Path("report.sarif").read_text(encoding="utf-8"))
    [run] = report["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert {"groq", "huggingface-user"} <= set(rules)
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
    first = run["results"][0]
    assert first["level"] == "error"
    assert first["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": str(files / ".env")},
        "region": {"startLine": 2, "startColumn": 14},
    }
    assert GROQ not in json.dumps(report)
    assert {"note", "error"} <= {result["level"] for result in run["results"]}


def test_what_cannot_be_read_is_told_and_status_3_unless_something_is_found(leakwatch: Leakwatch, files: Path) -> None:
    (files / ".env").unlink()
    said = offline(leakwatch, "--max-size", "10", files)
    assert said.status == 3
    assert "notes.md: 61 bytes, more than --max-size allows" in said.err
    assert "nothing found" in said.out


def test_a_key_in_the_name_of_what_cannot_be_read_is_masked(leakwatch: Leakwatch, files: Path) -> None:
    (files / f"{GROQ}.txt").write_bytes(bytes(100))
    said = offline(leakwatch, "--format", "json", "--max-size", "99", files)
    assert "100 bytes, more than --max-size allows" in said.err
    assert GROQ not in said.out + said.err


def test_without_a_configuration_it_says_that_nobody_is_asked(
    leakwatch: Leakwatch, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("leakwatch.toml").unlink()
    monkeypatch.setattr("leakwatch.config.LOCATIONS", (Path("leakwatch.toml"),))
    said = leakwatch("scan", str(files))
    assert said.status == 1
    assert "there is no configuration" in said.err


def test_a_database_that_does_not_fit_is_told(leakwatch: Leakwatch, files: Path) -> None:
    said = leakwatch("scan", str(files))
    assert said.status == 3
    assert "leakwatch db upgrade" in said.err


def test_several_processes_find_what_one_finds(leakwatch: Leakwatch, files: Path) -> None:
    for number in range(200):
        (files / f"{number:03}.txt").write_text(synthesize(shipped()[6], Random(number)))
    alone, shared = (json.loads(offline(leakwatch, "--jobs", n, "--format", "json", files).out) for n in ("1", "2"))
    assert alone["findings"] == shared["findings"]
    assert len(alone["findings"]) >= 200


def test_all_that_ever_was_in_a_repository_is_scanned_and_told_by_its_commit(
    leakwatch: Leakwatch, tmp_path: Path
) -> None:
    def git(*arguments: str) -> str:
        names = ("-c", "user.name=A", "-c", "user.email=a@b.example")
        done = subprocess.run(["git", "-C", "repo", *names, *arguments], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    (tmp_path / "repo").mkdir()
    git("init", "-q")
    (tmp_path / "repo/.env").write_text(f"A=1\nKEY={GROQ}\n")
    (tmp_path / "repo/.gitmodules").write_text('[submodule "m"]\n\tpath = m\n\turl = https://git.example.com/m.git\n')
    git("add", ".")
    git("commit", "-qm", "first")
    commit = git("rev-parse", "HEAD")
    (tmp_path / "repo/.env").write_text("A=1\n")
    git("commit", "-qam", f"remove {ANTHROPIC}")
    said = leakwatch("scan", "--offline", "--git", "repo")
    assert said.status == 1, said.err
    assert f".env  (since {commit[:12]})" in said.out
    assert "left alone: submodules: 1\nnot followed: https://git.example.com/m.git\n" in said.out
    assert f".env  (since {commit[:12]})" in leakwatch("scan", "--offline", "--plain", "--git", "repo").out
    records = json.loads(leakwatch("scan", "--offline", "--format", "json", "--git", "repo").out)["findings"]
    assert {(r["detector"], r["line"], r["commit"]) for r in records} >= {("groq", 2, commit)}
    assert {r["detector"] for r in records} >= {"groq", "anthropic-api"}
    assert GROQ not in said.out
    assert leakwatch("scan", "--offline", "--git", "https://127.0.0.1:9/x.git").status != 0
    assert leakwatch("scan", "--git", "repo", "repo").status == 2


def test_nothing_is_written(leakwatch: Leakwatch, files: Path, tmp_path: Path) -> None:
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    offline(leakwatch, files)
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before

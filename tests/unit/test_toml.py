from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field

from leakwatch.toml import Problem, Problems, Strict, line_of, parse, read
from leakwatch.units import Duration


class Rule(Strict):
    name: str
    weight: int = 1


class Source(Strict):
    use: str
    every: Duration = 60.0
    rules: Annotated[list[Rule], Field(alias="rule")] = []  # noqa: RUF012 - pydantic copies it
    headers: dict[str, str] = {}  # noqa: RUF012 - likewise


class Web(Strict):
    listen: str = ""
    source: Source | None = None


class File(Strict):
    title: str
    web: Web = Web()
    sources: Annotated[list[Source], Field(alias="source")] = []  # noqa: RUF012 - likewise


WHOLE = """\
title = "whole"  # a comment

[web]
listen = "here"

[[source]]
use = "a"
every = "5s"

[[source.rule]]
name = "first"

[[source.rule]]
name = "second"
weight = 2

[source.headers]
"x-quoted.name" = "1"

[[source]]
use = "b"
every = '''
7s
'''

[[source.rule]]
name = "third"
"""


def _problems(text: str) -> list[Problem]:
    with pytest.raises(Problems) as caught:
        parse(text, File, file="f.toml")
    return list(caught.value.problems)


def _problem(text: str) -> Problem:
    [problem] = _problems(text)
    return problem


def test_a_file_that_is_right(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_text(WHOLE)
    file = read(path, File)
    assert [[rule.name for rule in source.rules] for source in file.sources] == [["first", "second"], ["third"]]
    assert file.sources[1].every == 7.0


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 1),
        (("web",), 3),
        (("web", "listen"), 4),
        (("source", 0), 6),
        (("source", 0, "every"), 8),
        (("source", 0, "rule", 1), 13),
        (("source", 0, "rule", 1, "weight"), 15),
        (("source", 0, "headers", "x-quoted.name"), 18),
        (("source", 1, "use"), 21),
        (("source", 1, "rule", 0, "name"), 27),
        (("source", 1, "rule", 0, "weight"), 26),  # not there: what encloses it
        (("nowhere",), 0),
    ],
)
def test_the_line_of_a_value(path: tuple[str | int, ...], line: int) -> None:
    assert line_of(WHOLE, path) == line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("web.listen = 1", 1),
        ("\n[ web ] # comment\n listen=1", 3),
        ("[web]\r\nlisten = 1\r\n", 2),
        ('[web.source]\nuse = """\n[web]\nlisten = 5\n"""\n[web]\nlisten = 1', 7),
        ('a = "\N{LINE SEPARATOR}"\n[web]\nlisten = 1', 3),
    ],
)
def test_what_people_write(text: str, line: int) -> None:
    assert line_of(text, ("web", "listen")) == line


def test_an_unknown_setting() -> None:
    assert _problem(WHOLE.replace("weight", "wieght")) == Problem(
        file="f.toml", line=15, what="unknown setting source.0.rule.1.wieght", mend="did you mean weight?"
    )
    assert _problem(f"colour = 1\n{WHOLE}") == Problem(
        file="f.toml", line=1, what="unknown setting colour", mend="known here: source, title, web"
    )
    assert _problem(f"{WHOLE}[web.source]\nuse = 'x'\nevry = '5s'").mend == "did you mean every?"


def test_a_wrong_type() -> None:
    problem = _problem(WHOLE.replace("weight = 2", 'weight = "2"'))
    assert (problem.line, problem.what) == (15, "source.0.rule.1.weight: input should be a valid integer")


def test_a_value_that_its_unit_refuses() -> None:
    problem = _problem(WHOLE.replace('"5s"', '"5 seconds"'))
    assert str(problem) == 'f.toml:8: source.0.every: write a duration as "30s", "5m", "1h 30m" or "2d"'


def test_a_missing_setting() -> None:
    assert str(_problem('[[source]]\nuse = "a"')) == "f.toml: title is missing"
    assert str(_problem(f'{WHOLE}[[source]]\nevery = "5s"')) == "f.toml:28: source.2.use is missing"


def test_every_problem_is_told() -> None:
    problems = _problems(WHOLE.replace("title", "titel").replace("weight = 2", "weight = true"))
    assert [p.line for p in problems] == [0, 15, 1]
    with pytest.raises(Problems, match=r"(?s)f.toml: title is missing.*\nf.toml:15: .*\nf.toml:1: unknown") as caught:
        parse(WHOLE.replace("title", "titel").replace("weight = 2", "weight = true"), File, file="f.toml")
    assert caught.value.reason == "config"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("title = ", 1),
        ("title = 1\ntitle = 2", 2),
        ("[web\nlisten = 1", 1),
        ('a = 1\nb = "', 2),
        ("a = 1\nb = [1,\n", 3),
    ],
)
def test_what_is_no_toml(text: str, line: int) -> None:
    problem = _problem(text)
    assert problem.line == line
    assert problem.what.startswith("is not TOML: ")
    assert "at line" not in problem.what


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(Problems, match=r"missing\.toml: cannot be read: No such file"):
        read(tmp_path / "missing.toml", File)
    path = tmp_path / "latin.toml"
    path.write_bytes(b"title = '\xe9'")
    with pytest.raises(Problems, match="cannot be read: it is not UTF-8"):
        read(path, File)

"""Every regular expression that meets fetched text: `re` keeps the interpreter while it works."""

import importlib
import pkgutil
import re
from collections.abc import Callable
from time import process_time

import pytest

from leakwatch import fetch
from leakwatch.definitions import every, first
from leakwatch.definitions.expressions import groups
from leakwatch.fetch import listing

_PUMPS = (
    "<?xml x",
    "<title x",
    "<title>x",
    "charset ",
    "charset=  ",
    "type =",
    "type=  ",
    "a" * 8,
    "a-" * 4,
    " " * 8,
    "1 day and ",
    "2026-11-23T ",
    "1234567890",
    "{a",
    "&#12",
    "t = 1",
    "refused address x (",
)
"""What begins like each of them, repeated, and never comes to its end."""


def _expressions() -> list[re.Pattern[str]]:
    modules = [importlib.import_module(f"leakwatch.fetch.{m.name}") for m in pkgutil.iter_modules(fetch.__path__)]
    values = [value for module in modules for value in vars(module).values()]
    looks = [pattern for pattern, _ in listing._LOOKS]
    each = [*(value for value in values if isinstance(value, re.Pattern)), *looks]
    return [re.compile(_text(one.pattern), one.flags & re.IGNORECASE) for one in dict.fromkeys(each)]


def _text(pattern: str | bytes) -> str:
    return pattern if isinstance(pattern, str) else pattern.decode()


def _seconds(work: Callable[[], object]) -> float:
    spent = []
    for _ in range(3):
        before = process_time()
        work()
        spent.append(process_time() - before)
    return min(spent)


def _grows(expression: re.Pattern[str], pump: str) -> bool:
    """Whether four times the text takes much more than four times as long."""

    def seconds(times: int) -> float:
        text = pump * times + "!"
        return _seconds(lambda: list(expression.finditer(text)))

    few, many = seconds(1_000), seconds(4_000)
    return many > 9 * max(few, 0.002)


@pytest.mark.parametrize("expression", _expressions(), ids=lambda one: str(one.pattern)[:40])
def test_no_expression_takes_more_than_its_share_for_a_longer_text(expression: re.Pattern[str]) -> None:
    assert [pump for pump in _PUMPS if _grows(expression, pump)] == []


@pytest.mark.parametrize("pattern", ["^(a+)+$", "(a|aa)*b", "(.*a){12}", r"^(\w+\s?)*$", "((?:a?){50}a{50})"])
def test_no_expression_of_a_definition_takes_more_than_its_share_for_a_longer_text(pattern: str) -> None:
    few, many = (_seconds(lambda text=text: first(pattern, text)) for text in ("a" * n + "!" for n in (10_000, 40_000)))  # type: ignore[misc]
    assert many < 9 * max(few, 0.02)


@pytest.mark.parametrize(
    ("pattern", "mend"),
    [
        *((p, "without look-around and back-references") for p in ("(?!a)(b)", "(?=a)(b)", "(?<!a)(b)", "(?<=a)(b)")),
        *(
            (p, "without look-around and back-references")
            for p in (r"(a)\1", "(?P<n>a)(?P=n)", "(?>a)(b)", "(a)(?(1)b)")
        ),
        *((p, "(?i), (?m) and (?s)") for p in ("(?x)(a)", "(?a)(b)", "(?#c)(a)")),
        (r"(a)\Z", r"write \z"),
        (r"(\u00e9)", r"write \x{…}"),
        ("(a{1,2000})", "1,000 times or fewer"),
        *((p, "nothing has to be possessive") for p in ("(a*+)", "(a++)", "(a?+)")),
        ("(a", "missing ): (a"),  # nothing to add
    ],
)
def test_what_re2_has_not_is_refused_with_what_to_write(pattern: str, mend: str) -> None:
    with pytest.raises(ValueError, match=re.escape(mend)):
        groups(pattern)


def test_classes_and_ends_are_re2s() -> None:
    assert first(r"([0-9]+)$", "12\n") is None
    assert first(r"([0-9]+)\n?$", "12\n") == "12"
    assert (first(r"(\w+)", "été"), first(r"([\pL\pN_]+)", "été")) == ("t", "été")
    assert first(r"(\s)", "\v\x85") is None


def test_half_a_surrogate_pair_is_no_reason_to_fail() -> None:
    assert first("/(.*)$", "a/b\ud800") == "b?"
    assert first("b(.)?$", "ab") == ""
    assert every("([0-9]+)", "1 \ud800 22") == ["1", "22"]

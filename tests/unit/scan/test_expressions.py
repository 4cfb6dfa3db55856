import pytest

from leakwatch.scan import expressions


@pytest.mark.parametrize(
    ("pattern", "shortest"),
    [
        ("gsk_[A-Za-z0-9]{52}", "gsk_[A-Za-z0-9]{52}"),
        ("ya29[.][a-z]{30,1000}", "ya29[.][a-z]{30}"),
        ("ya29[.][a-z]{30,}", "ya29[.][a-z]{30}"),
        ("ABSK[a-z]{80,250}={0,2}", "ABSK[a-z]{80}"),
        ("dapi[0-9a-f]{32}(?:-[0-9]{1,2})?", "dapi[0-9a-f]{32}"),
    ],
)
def test_the_shortest_form_leaves_out_what_need_not_be_there(pattern: str, shortest: str) -> None:
    assert expressions.shortest(pattern) == shortest
    assert not expressions.refusal(shortest)


@pytest.mark.parametrize("expression", ["a+", "ab*", "ab?", "a{2,3}b", "a{,3}b"])
def test_an_expression_of_several_lengths_is_refused(expression: str) -> None:
    assert "no one length" in expressions.refusal(expression)


@pytest.mark.parametrize("expression", [r"a\+b", "[*+?]b", r"\{2,b", "(?:ab|cd)e"])
def test_what_looks_like_a_repeat_and_is_none_is_taken(expression: str) -> None:
    assert not expressions.refusal(expression)


def test_what_hyperscan_cannot_do_is_refused() -> None:
    assert expressions.untaken(["ab", "cd"]) == {}
    assert list(expressions.untaken(["ab", r"(a)\1"])) == [r"(a)\1"]

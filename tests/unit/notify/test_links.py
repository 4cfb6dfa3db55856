from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.notify.making import LINKS, MOMENT


def test_a_notice_has_a_page_an_end_of_reminders_and_a_reference() -> None:
    answering = LINKS.answering(42, MOMENT)
    page, stop = (url.rpartition("/")[2] for url in (answering.page, answering.stop))
    assert answering.page == f"https://leakwatch.issuer.example/a/{page}"
    assert answering.stop == f"https://leakwatch.issuer.example/a/stop/{stop}"
    for opened in (LINKS.notice(page), LINKS.stopped(stop)):
        assert opened is not None
        assert (opened.number, opened.expires) == (42, MOMENT + timedelta(days=90))
    assert LINKS.notice(stop) is None
    assert LINKS.stopped(page) is None
    assert answering.desk == "leakwatch.issuer.example/a/"


def test_who_only_looks_gets_links_that_open_nothing() -> None:
    shown = LINKS.shown(42, MOMENT)
    assert shown.page == "https://leakwatch.issuer.example/a/…"
    assert shown.reference == LINKS.reference(42)


def test_a_form_is_good_for_one_notice_and_one_state_of_its_answers() -> None:
    form = LINKS.form(7, 42, MOMENT)
    submitted = LINKS.submitted(form, 42)
    assert submitted is not None
    assert (submitted.number, submitted.expires) == (7, MOMENT)
    assert LINKS.submitted(form, 43) is None
    assert LINKS.notice(form) is None


def test_a_reference_is_read_as_people_type_it() -> None:
    reference = LINKS.reference(42)
    assert reference.startswith("42-")
    assert [len(group) for group in reference.split("-")] == [2, 4, 4, 4]
    for typed in (reference, f" {reference.upper()} ", reference.replace("-", " - "), reference.replace("0", "o")):
        assert LINKS.referred(typed) == 42


@pytest.mark.parametrize("wrong", ["", "42", "42-", "43-{}", "-42-{}", "4²-{}", "x-{}", f"{10**30}-{{}}", "42-{}0"])
def test_what_is_no_reference_of_ours(wrong: str) -> None:
    assert LINKS.referred(wrong.format(LINKS.reference(42).partition("-")[2])) is None


@given(st.text(max_size=50))
def test_nobody_finds_a_reference_by_trying(text: str) -> None:
    assert LINKS.referred(text) is None

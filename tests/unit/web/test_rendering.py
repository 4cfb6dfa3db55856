"""What customers' pages say, in each language, exactly as it is sent but for the style sheet."""

import re

import pytest
from syrupy.assertion import SnapshotAssertion

from leakwatch.notify.language import language, languages
from leakwatch.web.rendering import Rendering
from tests.unit.notify.making import ISSUER, composer, exposure, gone, notice

LOCALES = pytest.mark.parametrize("locale", sorted(languages()))
RENDERING = Rendering(ISSUER)


def page(name: str, locale: str, **context: object) -> str:
    text = RENDERING.page(name, language(locale), **context).text or ""
    return re.sub(r"<style>.*?</style>", "<style>…</style>", text, flags=re.DOTALL)


@LOCALES
def test_the_page_of_a_notice(locale: str, snapshot: SnapshotAssertion) -> None:
    told = notice(locale=locale, exposures=(exposure(), exposure(8, label="مفتاح", detector="groq")))
    context = composer().context(told, {}, language(locale))
    more = {"form": "form", "reference": "42-ekec-gsyp-4h5n", "answered": False, "problem": "", "longest": 2000}
    assert page("notice", locale, **context, **more) == snapshot


def test_the_page_of_what_is_gone_says_that_it_was_public() -> None:
    context = composer().context(notice(exposures=(gone(),)), {}, language("en"))
    more = {"form": "form", "reference": "42-ekec-gsyp-4h5n", "answered": False, "problem": "", "longest": 2000}
    html = page("notice", "en", **context, **more)
    assert "<h1>Your API key was public</h1>" in html
    assert "Anyone could read this API key" in html
    assert "is public" not in html
    assert "Anyone can read" not in html


@LOCALES
@pytest.mark.parametrize(
    ("name", "context"),
    [
        ("stop", {"stopped": False}),
        ("stop", {"stopped": True}),
        ("desk", {"asked": False, "found": False}),
        ("desk", {"asked": True, "found": False}),
        *(("problem", {"what": what}) for what in ("unknown", "expired", "foreign", "busy", "down")),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values())),
)
def test_the_other_pages(name: str, context: dict[str, object], locale: str, snapshot: SnapshotAssertion) -> None:
    assert page(name, locale, **context) == snapshot

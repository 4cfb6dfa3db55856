"""Every kind of mail in a real browser: what the HTML part looks like where mail programs honour all of it."""

from dataclasses import replace
from pathlib import Path

import pytest

from leakwatch.notify.language import languages
from tests.browser.conftest import Looker, assert_good, everywhere
from tests.unit.notify.making import ANSWERING, composer
from tests.unit.notify.test_compose import EVERY

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]

SPOKEN = {"exposure", "ten", "digest", "reminder"}  # looked at in every language: the others are made of the same parts


@pytest.mark.parametrize("locale", sorted(languages()))
async def test_mails_are_accessible_and_fetch_nothing(look: Looker, locale: str, tmp_path: Path) -> None:
    looks = []
    for name, notice in EVERY.items():
        if locale != "en" and name not in SPOKEN:
            continue
        file = tmp_path / f"{name}.html"
        file.write_text(composer().compose(replace(notice, locale=locale), None, ANSWERING).html, encoding="utf-8")
        # What is good practice for a page is the mail program's to keep: a mail is a part of its page.
        views = everywhere(file.as_uri(), more=[])
        looks += views if locale == "en" else views[:1]
    reports = await look(looks)
    assert_good(reports)
    for report in reports:
        assert [url for _, url, _ in report["requests"]] == [report["url"]]
